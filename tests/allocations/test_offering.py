"""Answering an offer: whole or not at all, once, in time; and every place that knows of an offered reservation."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from icalendar import Calendar

from allocations.models import Allocation, Lease, WaitEntry
from allocations.promises import devices_in_work, promises_on
from allocations.selectors import balances
from allocations.selectors.proof import ledger_faults
from allocations.services import changing, ending, extending, feeds, offering, operating, reconcile, waitlist
from allocations.shapes import ANY
from audit.models import AuditEvent
from cluster.models import NodeCommand
from common.errors import Forbidden, InvalidTransition, RuleBroken, WrongState
from notifications.models import Notification
from partners.models import Agreement
from reports.selectors.fleet import holders
from reports.selectors.home import partner_home
from tests.allocations.conftest import Stage
from tests.allocations.waiting import HOUR, full, join, owner_of, rival, serve
from tests.factories import MembershipFactory, UserFactory


def offer(stage: Stage, count: int = 4, **fields: Any) -> tuple[WaitEntry, Lease]:
    """An entry with an offer out."""
    lease = full(stage)
    entry = join(stage, rival(stage, **fields), count)
    ending.cancel(actor=stage.cast.owner, lease=lease)
    serve(stage)
    entry.refresh_from_db()
    assert entry.lease is not None and entry.state == "offered"
    return entry, entry.lease


def test_an_accepted_offer_is_a_reservation_like_any_other(stage: Stage) -> None:
    entry, lease = offer(stage)
    placed = set(lease.placements.values_list("pk", flat=True))
    done = offering.accept(actor=entry.asked_by, lease=lease)
    entry.refresh_from_db()
    assert (done.state, done.offer_until, entry.state) == ("scheduled", None, "served")
    assert entry.served_at and set(done.placements.filter(released=False).values_list("pk", flat=True)) == placed
    assert balances.balance(entry.allocation).held == 4 * 7200
    assert Notification.objects.filter(event="lease_booked", recipient=entry.asked_by).count() == 1
    assert [row.verb for row in AuditEvent.objects.filter(target_id=lease.public_id).order_by("id")] == [
        "lease.offer",
        "lease.accept",
    ]
    assert ending.cancel(actor=entry.asked_by, lease=done).state == "cancelled"


def test_whoever_asked_and_managers_answer_nobody_else(stage: Stage) -> None:
    entry, lease = offer(stage)
    organisation = entry.allocation.project.organisation
    member, viewer = (MembershipFactory(organisation=organisation, role=role).user for role in ("member", "viewer"))
    for person in (member, viewer, stage.cast.owner, stage.cast.officer):
        with pytest.raises(Forbidden):
            offering.accept(actor=person, lease=lease)
        with pytest.raises(Forbidden):
            offering.decline(actor=person, lease=lease)
    manager = MembershipFactory(organisation=organisation, user=UserFactory(), role="manager").user
    assert offering.accept(actor=manager, lease=lease).booked_by == entry.asked_by


def test_an_offer_is_answered_once(stage: Stage) -> None:
    entry, lease = offer(stage)
    offering.accept(actor=entry.asked_by, lease=lease)
    for verb in (offering.accept, offering.decline):
        with pytest.raises(InvalidTransition):
            verb(actor=entry.asked_by, lease=lease)


def test_a_late_answer_is_refused_in_plain_words_even_before_the_tick_comes_by(stage: Stage) -> None:
    entry, lease = offer(stage)
    Lease.objects.filter(pk=lease.pk).update(offer_until=timezone.now() - timedelta(seconds=1))
    for verb in (offering.accept, offering.decline):
        with pytest.raises(WrongState) as late:
            verb(actor=entry.asked_by, lease=lease)
        assert late.value.code == "offer_over" and late.value.remedy
    offering.end_what_is_over(timezone.now())
    with pytest.raises(WrongState) as gone:
        offering.accept(actor=entry.asked_by, lease=lease)
    assert gone.value.code == "offer_over" and gone.value.facts["end_reason"] == "lapsed"


def test_an_offer_that_lapses_passes_on_and_its_entry_goes_to_the_end(stage: Stage) -> None:
    lease = full(stage)
    first, second = join(stage, rival(stage, priority=9), 12), join(stage, rival(stage), 12)
    ending.cancel(actor=stage.cast.owner, lease=lease)
    serve(stage)
    first.refresh_from_db()
    over = first.lease
    assert over and over.state == "offered"
    Lease.objects.filter(pk=over.pk).update(offer_until=timezone.now() - timedelta(seconds=1))
    assert serve(stage, timedelta(minutes=1)) >= 2
    first.refresh_from_db()
    second.refresh_from_db()
    over.refresh_from_db()
    assert (over.state, over.end_reason) == ("cancelled", "lapsed")
    assert (first.state, first.missed, second.state) == ("waiting", 1, "offered"), "whatever its priority"
    assert balances.balance(first.allocation).held == 0
    note = Notification.objects.get(event="offer_lapsed")
    assert note.recipient == first.asked_by and "end of the queue" in note.body


def test_the_second_offer_that_is_not_taken_costs_the_place(stage: Stage) -> None:
    entry, lease = offer(stage)
    offering.decline(actor=entry.asked_by, lease=lease)
    entry.refresh_from_db()
    assert (entry.state, entry.missed) == ("waiting", 1)
    serve(stage)
    entry.refresh_from_db()
    assert entry.state == "offered" and entry.lease and entry.lease != lease, "nobody else waits"
    Lease.objects.filter(pk=entry.lease_id).update(offer_until=timezone.now())
    offering.end_what_is_over(timezone.now())
    entry.refresh_from_db()
    assert (entry.state, entry.missed, entry.state_reason) == ("dropped", 2, "Two offers were not taken.")
    assert "has left the wait-list" in Notification.objects.get(event="offer_lapsed").body


def test_declining_may_mean_leaving(stage: Stage) -> None:
    entry, lease = offer(stage)
    gone = offering.decline(actor=entry.asked_by, lease=lease, stay=False)
    entry.refresh_from_db()
    assert (gone.state, gone.end_reason, entry.state) == ("cancelled", "declined", "left")
    assert balances.balance(entry.allocation).held == 0


def test_part_of_an_offer_can_not_be_taken(stage: Stage) -> None:
    entry, lease = offer(stage)
    window = {"starts_at": lease.starts_at, "ends_at": lease.ends_at}
    with pytest.raises(InvalidTransition):
        changing.change(actor=entry.asked_by, lease=lease, device_count=2, shape=ANY, **window)
    with pytest.raises(InvalidTransition):
        extending.extend(actor=entry.asked_by, lease=lease, ends_at=lease.ends_at + HOUR)
    for verb in (ending.cancel, ending.release):
        with pytest.raises(InvalidTransition):
            verb(actor=entry.asked_by, lease=lease)
    lease.refresh_from_db()
    assert (lease.state, lease.device_count) == ("offered", 4)


def test_an_award_or_agreement_that_is_not_in_force_accepts_nothing(stage: Stage) -> None:
    entry, lease = offer(stage)
    Allocation.objects.filter(pk=entry.allocation_id).update(state="suspended")
    with pytest.raises(WrongState) as refused:
        offering.accept(actor=entry.asked_by, lease=lease)
    assert refused.value.code == "allocation_not_active"
    Allocation.objects.filter(pk=entry.allocation_id).update(state="active")
    Agreement.objects.filter(pk=entry.allocation.project.agreement_id).update(state="lapsed")
    with pytest.raises(RuleBroken):
        offering.accept(actor=entry.asked_by, lease=lease)
    Agreement.objects.filter(pk=entry.allocation.project.agreement_id).update(state="active")
    assert offering.accept(actor=entry.asked_by, lease=lease).state == "scheduled"


def test_people_are_reminded_once_half_way(stage: Stage) -> None:
    entry, lease = offer(stage)
    assert lease.offer_until is not None
    half = stage.now + (lease.offer_until - stage.now) / 2
    assert offering.remind(half - timedelta(seconds=1)) == 0
    assert offering.remind(half) == 1 and offering.remind(half) == 0
    assert Notification.objects.get(event="offer_reminder").recipient == entry.asked_by


def test_an_offer_counts_against_the_ceilings_and_holds_off_others(stage: Stage) -> None:
    entry, lease = offer(stage, 12, concurrent_gpus=12)
    window = {"starts_at": lease.starts_at, "ends_at": lease.ends_at}
    with pytest.raises(RuleBroken) as own:
        stage.book(1, actor=entry.asked_by, allocation=entry.allocation, start=2, hours=1)
    assert own.value.code == "concurrent_gpus"
    with pytest.raises(RuleBroken) as other:
        stage.book(1, start=2, hours=1)
    assert other.value.code == "no_free_devices", window


def test_the_reconciler_prepares_no_offer_and_starts_it_once_it_is_accepted(stage: Stage) -> None:
    entry, lease = offer(stage)
    soon = lease.starts_at - timedelta(minutes=5)
    assert not reconcile.due(soon).filter(pk=lease.pk).exists()
    assert reconcile.reconcile_lease(lease.public_id, now=soon) == 0 and not NodeCommand.objects.exists()
    offering.accept(actor=entry.asked_by, lease=lease)
    assert reconcile.reconcile_lease(lease.public_id, now=soon) and NodeCommand.objects.exists()


def test_an_offered_device_is_promised_and_not_in_work(stage: Stage) -> None:
    _entry, lease = offer(stage)
    ids = list(lease.placements.values_list("device_id", flat=True))
    assert devices_in_work(ids) == set() and holders(list(stage.small.devices.all())) == {}
    (promise,) = promises_on(ids)
    assert promise.scheduled and not promise.running


def test_operators_move_an_offer_or_take_it_back_without_cost_to_its_place(stage: Stage) -> None:
    entry, lease = offer(stage)
    device = lease.placements.get(device__index=0).device
    ask = {"actor": stage.cast.operator, "device": device, "reason": "smells", "force": True}
    operating.quarantine_device(**ask, plan={lease.public_id: "move"})
    lease.refresh_from_db()
    assert lease.state == "offered" and lease.placements.filter(released=False).count() == 4
    other = lease.placements.filter(released=False).first()
    assert other
    operating.quarantine_device(**{**ask, "device": other.device}, plan={lease.public_id: "end"})
    entry.refresh_from_db()
    lease.refresh_from_db()
    assert (lease.state, lease.end_reason, entry.state, entry.missed) == ("cancelled", "withdrawn", "waiting", 0)
    note = Notification.objects.get(event="offer_withdrawn")
    assert note.recipient == entry.asked_by and "smells" in note.body


def test_a_node_with_an_offer_can_be_drained_like_one_with_a_booking(stage: Stage) -> None:
    _entry, lease = offer(stage)
    node = lease.placements.all()[0].node
    done = operating.drain_node(actor=stage.cast.operator, node=node, reason="fans")
    assert [promise.lease for promise in done.hit] == [lease]


def test_calendar_programs_show_an_offer_as_tentative_and_the_first_page_asks_for_an_answer(stage: Stage) -> None:
    entry, lease = offer(stage)
    feed = feeds.render(feeds.renew(actor=entry.asked_by))
    assert feed is not None
    (event,) = Calendar.from_ical(feed.decode()).walk("VEVENT")
    assert event["STATUS"] == "TENTATIVE" and lease.public_id in event["UID"]
    home = partner_home(entry.asked_by)
    assert home is not None and home.offers == [lease]


def test_the_database_keeps_an_offers_end_and_its_state_together(stage: Stage) -> None:
    _entry, lease = offer(stage)
    for change in ({"offer_until": None}, {"state": "scheduled"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Lease.objects.filter(pk=lease.pk).update(**change)


def test_the_ledger_adds_up_while_an_offer_is_out_and_after(stage: Stage) -> None:
    entry, lease = offer(stage)
    assert not list(ledger_faults())
    waitlist.remove(actor=stage.cast.officer, entry=entry, reason="x")
    assert not list(ledger_faults())
    lease.refresh_from_db()
    assert lease.state == "cancelled" and owner_of(entry.allocation) == entry.asked_by
