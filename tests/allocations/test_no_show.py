"""Never used: told first, taken back only after the grace; a gap in the measurements is never held against anybody."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from allocations.models import Lease
from allocations.services import no_show, reconcile
from audit.models import AuditEvent
from cluster.models import MaintenanceWindow
from notifications.models import Mail, Notification
from telemetry.models import DeviceMinute, Sample
from tests.allocations.conftest import Stage
from tests.allocations.rules import say
from tests.allocations.test_reconcile import brought_back, go, started
from tests.allocations.test_views import sign_in

MINUTE, HOUR, SECOND = timedelta(minutes=1), timedelta(hours=1), timedelta(seconds=1)


@pytest.fixture
def lease(stage: Stage) -> Lease:
    """Two GPUs for ten hours, handed over in time."""
    return started(stage, count=2, hours=10)


def measured(lease: Lease, until: datetime, percent: float = 0.5, since: datetime | None = None) -> None:
    """Every minute of every GPU of the lease, up to then."""
    start = (since or lease.active_at or until).replace(second=0, microsecond=0)
    devices = [row.device_id for row in lease.placements.filter(released=False)]
    minutes = int((until - start) / MINUTE)
    DeviceMinute.objects.bulk_create(
        [
            DeviceMinute(device_id=pk, minute=start + n * MINUTE, samples=6, utilisation_percent=percent)
            for pk in devices
            for n in range(minutes + 1)
        ],
        ignore_conflicts=True,
    )


def told() -> int:
    return Notification.objects.filter(event="lease_no_show").count()


def watch(lease: Lease, at: datetime) -> Lease:
    """Twice: the second look changes nothing."""
    no_show.watch(at)
    before = (AuditEvent.objects.count(), told())
    assert no_show.watch(at) == 0 and before == (AuditEvent.objects.count(), told())
    lease.refresh_from_db()
    return lease


def test_from_the_notice_to_the_end(stage: Stage, lease: Lease, monkeypatch: Any) -> None:
    say(stage, no_show_seconds=3600, no_show_grace_seconds=1800, release_notice_seconds=7200, early_return_percent=0)
    due = lease.active_at + HOUR
    measured(lease, due)
    watch(lease, due - SECOND)
    assert lease.no_show_told_at is None and not told()
    watch(lease, due)
    assert lease.no_show_told_at == due and lease.no_show_due_at == due + HOUR / 2 and lease.state == "active"
    assert told() == 1 and Mail.objects.filter(subject__contains=lease.public_id, body__contains="GPU").exists()
    measured(lease, due + HOUR / 2)
    watch(lease, due + HOUR / 2 - SECOND)
    assert lease.state == "active"
    monkeypatch.setattr(timezone, "now", lambda: due + HOUR / 2)
    watch(lease, due + HOUR / 2)
    assert (lease.state, lease.end_reason) == ("draining", "reclaimed")
    assert lease.state_reason == no_show.UNUSED
    assert AuditEvent.objects.filter(verb="lease.no_show_told", target_id=lease.public_id).count() == 1
    ended = brought_back(go(lease, due + HOUR), due + HOUR)
    settled = ended.ledger.get(kind="settle")
    until = (ended.drained_at - ended.starts_at).total_seconds()  # type: ignore[operator]
    assert settled.device_seconds == -2 * int(until), "the agency takes it back: no notice is charged"
    assert ended.charged_until is None


def test_use_in_between_clears_it_for_good(stage: Stage, lease: Lease) -> None:
    say(stage, no_show_seconds=3600, no_show_grace_seconds=1800)
    due = lease.active_at + HOUR
    measured(lease, due)
    watch(lease, due)
    assert told() == 1
    measured(lease, due + 10 * MINUTE, percent=60, since=due + 2 * MINUTE)
    watch(lease, due + 10 * MINUTE)
    assert lease.no_show_told_at is None and lease.no_show_due_at is None
    assert lease.use_noticed_at == due + 10 * MINUTE
    measured(lease, due + 5 * HOUR, since=due + 11 * MINUTE)
    watch(lease, due + 5 * HOUR)
    assert lease.state == "active" and told() == 1


def test_what_a_gpu_did_before_it_came_is_not_this_leases_use(stage: Stage, lease: Lease) -> None:
    """It was swapped in for an ill one, and somebody else had used it until then."""
    say(stage, no_show_seconds=3600)
    due, came = lease.active_at + 2 * HOUR, lease.active_at + HOUR
    lease.placements.filter(pk=lease.placements.order_by("pk")[0].pk).update(used_from=came)
    measured(lease, due)
    swapped = lease.placements.order_by("pk")[0].device
    DeviceMinute.objects.filter(device=swapped, minute__lt=came - MINUTE).update(utilisation_percent=99)
    assert watch(lease, due).no_show_told_at == due


def test_use_that_is_not_rolled_up_yet_counts(stage: Stage, lease: Lease) -> None:
    say(stage, no_show_seconds=3600, no_show_grace_seconds=600)
    now = timezone.now()
    began = now - 2 * HOUR
    Lease.objects.filter(pk=lease.pk).update(
        starts_at=began, active_at=began, no_show_told_at=now - HOUR, no_show_due_at=now - SECOND
    )
    lease.refresh_from_db()
    measured(lease, now - 2 * MINUTE)
    device = lease.placements.all()[0].device
    Sample.objects.create(device=device, at=now - 90 * SECOND, utilisation_percent=90, memory_used_mib=10)
    watch(lease, now)
    assert lease.state == "active" and lease.use_noticed_at == now
    stage.proved = False  # its window was moved by hand


@pytest.mark.parametrize("measurements", ["none", "one GPU", "a gap"])
def test_no_data_is_never_a_no_show(stage: Stage, lease: Lease, measurements: str) -> None:
    say(stage, no_show_seconds=3600)
    due = lease.active_at + 2 * HOUR
    if measurements != "none":
        measured(lease, due)
        lost = DeviceMinute.objects.all()
        if measurements == "one GPU":
            lost.filter(device=lease.placements.order_by("device")[0].device).delete()
        else:
            lost.filter(minute__gt=lease.active_at + HOUR, minute__lt=lease.active_at + HOUR + 15 * MINUTE).delete()
    watch(lease, due)
    assert lease.no_show_told_at is None and not told()


@pytest.mark.parametrize("figures", [{"memory_used_mib": 40_000}, {"sm_active_percent": 12.0}])
def test_whoever_filled_memory_or_worked_unseen_by_the_utilisation_has_come(
    stage: Stage, lease: Lease, figures: Any
) -> None:
    """One judgement: the notice goes by the evidence, which the reservation's page shows."""
    say(stage, no_show_seconds=3600)
    due = lease.active_at + 2 * HOUR
    measured(lease, due)
    DeviceMinute.objects.filter(minute__lt=lease.active_at + 20 * MINUTE).update(**figures)
    assert watch(lease, due).use_noticed_at == due and not told()


def test_maintenance_is_held_against_nobody(stage: Stage, lease: Lease) -> None:
    say(stage, no_show_seconds=3600)
    due = lease.active_at + 2 * HOUR
    measured(lease, due)
    window = {"reason": "fans", "announced_by": "op", "starts_at": lease.active_at, "ends_at": lease.active_at + HOUR}
    MaintenanceWindow.objects.create(node=lease.placements.all()[0].device.node, **window)
    assert watch(lease, due).no_show_told_at is None and not told()


def test_control_the_same_with_every_minute_is_one(stage: Stage, lease: Lease) -> None:
    say(stage, no_show_seconds=3600)
    measured(lease, lease.active_at + 2 * HOUR)
    assert watch(lease, lease.active_at + 2 * HOUR).no_show_told_at


def test_a_gap_after_the_notice_takes_nothing_away(stage: Stage, lease: Lease) -> None:
    say(stage, no_show_seconds=3600, no_show_grace_seconds=3600)
    due = lease.active_at + HOUR
    measured(lease, due)
    watch(lease, due)
    watch(lease, due + HOUR)
    assert lease.state == "active" and lease.no_show_told_at == due


@pytest.mark.parametrize("values", [{}, {"no_show_seconds": 0}])
def test_without_a_rule_nobody_is_told(stage: Stage, lease: Lease, values: Any) -> None:
    say(stage, **values)
    measured(lease, lease.active_at + 9 * HOUR)
    assert watch(lease, lease.active_at + 9 * HOUR).no_show_told_at is None


def test_one_award_may_be_excepted_and_the_rule_may_be_taken_back(stage: Stage, lease: Lease) -> None:
    say(stage, no_show_seconds=3600)
    due = lease.active_at + HOUR
    measured(lease, due)
    watch(lease, due)
    assert lease.no_show_told_at
    say(stage, "allocation", no_show_seconds=0)
    watch(lease, due + MINUTE)
    assert lease.no_show_told_at is None and lease.state == "active"
    assert AuditEvent.objects.filter(verb="lease.no_show_cleared").count() == 1


def test_nobody_is_told_when_the_notice_would_end_after_the_window(stage: Stage, lease: Lease) -> None:
    say(stage, no_show_seconds=9 * 3600, no_show_grace_seconds=7200)
    due = lease.active_at + 9 * HOUR
    measured(lease, due)
    assert watch(lease, due).no_show_told_at is None


def test_the_tick_watches_and_costs_one_query_when_nothing_is_due(stage: Stage, lease: Lease) -> None:
    say(stage, no_show_seconds=3600)
    for _more in range(3):
        Lease.objects.filter(pk=stage.book(1, start=20, hours=3).pk).update(state="active", active_at=stage.now)
    with CaptureQueriesContext(connection) as queries:
        assert no_show.watch(stage.now) == 0
    assert len(queries) == 1
    measured(lease, lease.active_at + HOUR)
    Lease.objects.exclude(pk=lease.pk).update(state="ended")
    reconcile.tick(now=lease.active_at + HOUR)
    assert told() == 1
    stage.proved = False  # states were set by hand


def test_the_page_says_until_when(stage: Stage, lease: Lease) -> None:
    page = sign_in(stage.cast.owner).get(lease.get_absolute_url()).content.decode()
    assert 'id="no-show"' not in page
    due = timezone.now() + HOUR
    Lease.objects.filter(pk=lease.pk).update(no_show_told_at=timezone.now(), no_show_due_at=due)
    page = sign_in(stage.cast.owner).get(lease.get_absolute_url()).content.decode()
    assert 'id="no-show"' in page and timezone.localtime(due).strftime("%Y-%m-%d %H:%M") in page


def test_one_ill_lease_does_not_hide_the_others(stage: Stage, lease: Lease, monkeypatch: Any) -> None:
    say(stage, no_show_seconds=3600)
    other = started(stage, count=1, hours=10)
    due = max(lease.active_at, other.active_at) + HOUR  # type: ignore[type-var]
    for row in (lease, other):
        measured(row, due)
    with connection.cursor() as cursor:  # the first cannot be written
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            "ALTER TABLE allocations_lease ADD CONSTRAINT ill CHECK (id <> %s OR no_show_told_at IS NULL)", [lease.pk]
        )
    no_show.watch(due)
    other.refresh_from_db()
    assert other.no_show_told_at == due
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE allocations_lease DROP CONSTRAINT ill")
