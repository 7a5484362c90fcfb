"""The demonstration's story: told once, through the verbs, and true on every first page."""

from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from allocations.ledger_models import LedgerEntry
from allocations.models import Allocation, Lease, Placement, WaitEntry
from allocations.selectors.proof import ledger_faults
from allocations.selectors.usage import decided_until, sums
from allocations.services import ending, serving
from allocations.services.usage.deciding import LATENESS
from cluster.models import Device, Pool
from common.moments import hour_of
from portal.demo.workloads import take_orders
from portal.seeding import course, strand
from portal.seeding.history import NEIGHBOURS_TURNS, TURNS, closed_month
from portal.seeding.story import POOL, tell
from reports.selectors.board import board, scope_of
from reports.selectors.fleet_rows import Narrowed
from reports.selectors.fleet_screen import picture
from tests.factories import make_node
from usage.models import IdleCase, IdleRule, Statement
from usage.selectors.hints import hints
from usage.services.statements import verify

SEOUL = ZoneInfo("Asia/Seoul")


@pytest.fixture
def story(db: None, tmp_path: Path) -> Pool:
    """The first part of the story."""
    tell(tmp_path)
    return Pool.objects.get(name=POOL)


def test_the_programme_is_under_way_once_two_whole_nodes_have_joined(story: Pool) -> None:
    make_node(story, 8)
    told = strand.tell_strand(story, timezone.now())
    assert not told.told and "2 whole nodes" in told.why_not and not Allocation.objects.exists()
    make_node(story, 8)
    make_node(story, 8)
    Device.objects.update(joined_at=timezone.now())
    assert strand.tell_strand(story, timezone.now()).told
    award = Allocation.objects.get(guaranteed_gpus=strand.KEPT)
    assert award.state == "active" and award.leases.count() == 4
    entry = WaitEntry.objects.get()
    assert (entry.state, entry.device_count) == ("waiting", 10)
    assert Placement.objects.filter(maintenance__isnull=False).count() == 8
    assert not list(ledger_faults())
    assert strand.tell_strand(story, timezone.now()).told
    assert WaitEntry.objects.count() == 1 and Lease.objects.count() == 12, "a second telling changes nothing"

    now = timezone.now()
    kinds = {hint.kind for hint in hints(Lease.objects.all(), now - timedelta(days=14), now).rows}
    assert {"few", "loading", "hung"} <= kinds, "two weeks are past, and the judge has decided them"
    assert sums(Lease.objects.all()).held_seconds == (13 * 4 + 4 * 2) * 86_400

    _check_past(story)

    client = Client()
    client.force_login(User.objects.get(email="viewer@yeongsan.example"))
    home = client.get("/", HTTP_ACCEPT_LANGUAGE="ko").content.decode()
    assert "로봇 조작용" in home and all(lease.get_absolute_url() in home for lease in award.leases.all())
    assert entry.public_id in client.get("/waitlist/").content.decode()


def _check_past(pool: Pool) -> None:
    """A month is closed, the GPUs of today were not all there, and nothing is promised that cannot be lent."""
    now = timezone.now()
    statements = list(Statement.objects.order_by("pk"))
    assert [row.organisation.name_en for row in statements] == ["Mudeung AI", "Yeongsan Robotics"]
    assert {row.month for row in statements} == {closed_month(now)} and not list(verify())
    assert [row.held_seconds for row in statements] == [4 * 2 * 86_400, 2 * 4 * 86_400]
    assert picture(now - timedelta(days=7), Narrowed(), now).total == 8
    today = timezone.localdate()
    (group,) = board(scope_of([pool], today - timedelta(days=20), today + timedelta(days=80), step="week"), now)
    assert not group.over and not any(bucket.now.past_bound for bucket in group.buckets)


@pytest.mark.parametrize("day", [1, 2, 3, 4, 15, 31])
def test_what_is_told_of_the_closed_month_lies_in_it_and_before_everything_else(day: int) -> None:
    now = datetime(2026, 3, day, 0, 10, tzinfo=SEOUL)
    month = closed_month(now)
    assert month == (date(2026, 2, 1) if day > 3 else date(2026, 1, 1))
    recent = min(turn.start(now, month) for turn in TURNS if turn.ago)
    for turn in (*TURNS, *NEIGHBOURS_TURNS):
        start, end = turn.start(now, month), turn.start(now, month) + turn.length
        assert turn.ago or (
            start.astimezone(SEOUL).month == month.month == end.astimezone(SEOUL).month and end < recent
        )


def test_gpus_that_stand_idle_are_noticed_and_can_be_given_back_at_once(story: Pool, tmp_path: Path) -> None:
    make_node(story, 8)
    make_node(story, 8)
    strand.tell_strand(story, timezone.now())
    rule = IdleRule.objects.get()
    assert rule.state == "on" and rule.tried["leases"] > 0, "tried out against the two past weeks"
    booked = Lease.objects.get(note=course.NOTE)
    Lease.objects.filter(pk=booked.pk).update(state="active", active_at=timezone.now())  # as its node would
    before = timezone.now()
    assert course.wait_and_tell(tmp_path, str) and course.wait_and_tell(tmp_path, str)
    mark = decided_until()
    assert mark is not None and mark >= hour_of(before - LATENESS), "the told past is confirmed, not a week behind"
    case = IdleCase.objects.get()
    assert (case.state, case.whole, case.devices.count()) == ("noticed", True, 4)
    assert not list(ledger_faults()) and not LedgerEntry.objects.filter(lease__isnull=False, reason="").exists()
    assert len(take_orders(tmp_path / "workloads")) == 1, "one GPU is parked by a program that really holds memory"

    member, officer = Client(), Client()
    member.force_login(User.objects.get(email="member@yeongsan.example"))
    officer.force_login(User.objects.get(email="officer@agency.example"))
    notice = member.get(reverse("usage:lease-idle", args=[booked.public_id])).content.decode()
    assert case.get_absolute_url() in notice and 'id="give-back-idle"' in notice
    assert case.get_absolute_url() in member.get("/").content.decode()
    for reader in (member, officer):
        assert "<svg" in reader.get(case.get_absolute_url()).content.decode()


def test_whoever_cancels_tomorrows_reservation_sees_the_offer_come(story: Pool) -> None:
    for _node in range(3):
        make_node(story, 8)
    strand.tell_strand(story, timezone.now())
    serving.serve(timezone.now())
    entry = WaitEntry.objects.get()
    assert entry.state == "waiting"
    manager = User.objects.get(email="manager@yeongsan.example")
    lease = Lease.objects.get(device_count=8)
    tomorrow = datetime.now(SEOUL).date() + timedelta(days=1)
    assert lease.starts_at.astimezone(SEOUL).strftime("%F %H:%M") == f"{tomorrow} 09:00"
    ending.cancel(actor=manager, lease=lease)
    WaitEntry.objects.update(next_try_at=timezone.now())
    serving.serve(timezone.now())
    entry.refresh_from_db()
    assert entry.state == "offered" and entry.lease is not None and entry.lease.device_count == 10


def test_a_folder_of_another_version_is_named_with_the_way_out(db: None, tmp_path: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE partners_organisation DROP COLUMN region")
    with pytest.raises(CommandError, match="make demo-reset"):
        call_command("seed_demo", dir=tmp_path)
