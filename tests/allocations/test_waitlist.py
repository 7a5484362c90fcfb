"""Joining the wait-list and leaving it: what is refused, what stands, who decides."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from allocations.models import Allocation, Lease, WaitEntry
from allocations.selectors import balances
from allocations.selectors import waitlist as order
from allocations.services import ending, pools, waitlist
from allocations.shapes import Shape
from audit.models import AuditEvent
from common.errors import DomainError, Forbidden, RuleBroken, WrongState
from notifications.models import Notification
from partners.models import Agreement
from tests.allocations.conftest import Stage
from tests.allocations.waiting import HOUR, full, join, owner_of, rival, serve, wish
from tests.factories import AllocationFactory

MINUTE = timedelta(minutes=1)


def refused(code: str, stage: Stage, allocation: Allocation, **changes: Any) -> DomainError:
    with pytest.raises(DomainError) as caught:
        join(stage, allocation, **changes)
    assert caught.value.code == code, caught.value
    return caught.value


def test_an_ask_joins_when_the_pool_is_full_and_is_written_down(stage: Stage) -> None:
    full(stage)
    entry = join(stage, rival(stage), 4, 2)
    assert (entry.state, entry.device_count, entry.smallest, entry.duration) == ("waiting", 4, 2, 2 * HOUR)
    assert AuditEvent.objects.filter(verb="wait_entry.join", target_id=entry.public_id).count() == 1
    assert order.places([stage.pool.pk]) == {entry.pk: order.Place(1, 1)}


def test_what_can_be_booked_now_is_not_waited_for(stage: Stage) -> None:
    full(stage, 8)
    error = refused("free_now", stage, rival(stage), count=8, smallest=4)
    assert error.facts["device_count"] == 4 and error.facts["next_start"]
    assert join(stage, rival(stage), 8).smallest == 8, "whoever is not helped by fewer waits for all"


def test_an_allocation_waits_for_one_thing_at_a_time(stage: Stage) -> None:
    full(stage)
    award = rival(stage)
    first = join(stage, award)
    assert refused("already_waiting", stage, award, count=1).facts["entry"] == first.public_id
    with pytest.raises(IntegrityError), transaction.atomic():
        WaitEntry.objects.create(
            allocation=award,
            asked_by=first.asked_by,
            device_count=1,
            smallest=1,
            duration_seconds=600,
            earliest_at=stage.now,
            latest_at=stage.now + HOUR,
        )
    waitlist.leave(actor=owner_of(award), entry=first)
    assert join(stage, award, 1)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("smallest", {"count": 4, "smallest": 5}),
        ("smallest", {"count": 4, "smallest": 3, "shape": Shape("nodes", 2)}),
        ("shape", {"count": 3, "shape": Shape("nodes", 2)}),
        ("window_too_short", {"duration": timedelta(minutes=9)}),
        ("window_too_long", {"duration": timedelta(days=91)}),
        ("wish_window", {"duration": 7 * HOUR}),
        ("wish_window", {"earliest": timezone.now() - HOUR, "latest": timezone.now() + 2 * HOUR + 9 * MINUTE}),
        ("wish_window", {"latest": timezone.now() + timedelta(days=500)}),
        ("concurrent_gpus", {"count": 65}),
        ("never_that_many", {"count": 13}),
        ("never_that_many", {"count": 9, "shape": Shape("same_node")}),
    ],
)
def test_what_could_never_pass_is_refused_at_once(stage: Stage, code: str, changes: dict[str, Any]) -> None:
    full(stage)
    refused(code, stage, rival(stage), **changes)


def test_the_rules_of_the_award_are_asked_before_one_waits(stage: Stage) -> None:
    full(stage)
    refused("balance", stage, rival(stage, awarded_gpu_seconds=4 * 7199))
    refused("outside_allocation", stage, rival(stage, valid_until=stage.now + 2 * HOUR))
    award = rival(stage)
    Agreement.objects.filter(pk=award.project.agreement_id).update(ceiling_concurrent_gpus=3)
    refused("ceiling_concurrent_gpus", stage, award)
    Agreement.objects.filter(pk=award.project.agreement_id).update(state="suspended", ceiling_concurrent_gpus=64)
    refused("agreement_not_active", stage, award)
    with pytest.raises(WrongState):
        join(stage, rival(stage, state="suspended"))


def test_people_who_may_not_book_may_not_wait(stage: Stage) -> None:
    full(stage)
    for name in ("viewer", "outsider", "officer"):
        with pytest.raises(Forbidden):
            waitlist.join(actor=getattr(stage.cast, name), allocation=stage.allocation, wish=wish(stage))
    entry = waitlist.join(actor=stage.cast.teammate, allocation=stage.allocation, wish=wish(stage))
    for name in ("viewer", "outsider", "officer"):
        with pytest.raises(Forbidden):
            waitlist.leave(actor=getattr(stage.cast, name), entry=entry)
    assert waitlist.leave(actor=stage.cast.manager, entry=entry).state == "left"
    with pytest.raises(WrongState):
        waitlist.leave(actor=stage.cast.manager, entry=entry)


def test_officers_take_an_entry_off_with_a_reason_that_its_people_read(stage: Stage) -> None:
    full(stage)
    entry = join(stage, rival(stage))
    with pytest.raises(RuleBroken):
        waitlist.remove(actor=stage.cast.officer, entry=entry, reason=" ")
    for name in ("owner", "operator", "auditor"):
        with pytest.raises(Forbidden):
            waitlist.remove(actor=getattr(stage.cast, name), entry=entry, reason="x")
    gone = waitlist.remove(actor=stage.cast.officer, entry=entry, reason="asked twice under two names")
    assert (gone.state, gone.state_reason) == ("dropped", "asked twice under two names")
    note = Notification.objects.get(event="waitlist_dropped")
    assert note.recipient == entry.asked_by and "asked twice" in note.body


def test_leaving_with_an_offer_gives_all_of_it_back(stage: Stage) -> None:
    lease = full(stage)
    entry = join(stage, rival(stage))
    ending.cancel(actor=stage.cast.owner, lease=lease)
    serve(stage)
    entry.refresh_from_db()
    assert entry.state == "offered" and balances.balance(entry.allocation).held == 4 * 7200
    assert waitlist.leave(actor=entry.asked_by, entry=entry).state == "left"
    offer = Lease.objects.get(pk=entry.lease_id)
    assert (offer.state, offer.end_reason, offer.offer_until) == ("cancelled", "declined", None)
    assert balances.balance(entry.allocation).held == 0 and not offer.placements.filter(released=False).exists()


def test_a_priority_is_an_officers_with_a_reason(stage: Stage) -> None:
    ask = {"allocation": stage.allocation, "priority": 5, "reason": "ministerial programme"}
    for name in ("owner", "operator", "auditor"):
        with pytest.raises(Forbidden):
            waitlist.prioritise(actor=getattr(stage.cast, name), **ask)
    for wrong in ({"priority": 101}, {"priority": -101}, {"reason": ""}):
        with pytest.raises(RuleBroken):
            waitlist.prioritise(actor=stage.cast.officer, **{**ask, **wrong})
    assert waitlist.prioritise(actor=stage.cast.officer, **ask).priority == 5
    event = AuditEvent.objects.get(verb="allocation.prioritise")
    assert event.changes["priority"] == [0, 5] and event.changes["reason"] == "ministerial programme"


def test_how_long_offers_are_held_is_an_officers_with_a_reason(stage: Stage) -> None:
    assert stage.pool.offer_hold_seconds == 86_400
    for wrong in ({"seconds": 599}, {"seconds": 8 * 86_400}, {"reason": ""}):
        with pytest.raises(RuleBroken):
            pools.hold_offers(actor=stage.cast.officer, pool=stage.pool, **{"seconds": 3600, "reason": "x", **wrong})
    with pytest.raises(Forbidden):
        pools.hold_offers(actor=stage.cast.owner, pool=stage.pool, seconds=3600, reason="x")
    pool = pools.hold_offers(actor=stage.cast.officer, pool=stage.pool, seconds=3600, reason="a busy week")
    assert pool.offer_hold_seconds == 3600


def test_places_are_those_of_the_published_order(stage: Stage) -> None:
    full(stage)
    one, two, three, four, five = (join(stage, rival(stage)) for _turn in range(5))
    by_hand = AllocationFactory(project=two.allocation.project, pool=stage.pool)
    Lease.objects.create(  # two's organisation was served of this pool, a day ago
        allocation=by_hand,
        booked_by=two.asked_by,
        device_count=1,
        starts_at=stage.now - 30 * HOUR,
        ends_at=stage.now - 24 * HOUR,
        active_at=stage.now - 30 * HOUR,
        state="failed",
    )
    WaitEntry.objects.filter(pk=one.pk).update(missed=1)
    waitlist.prioritise(actor=stage.cast.officer, allocation=four.allocation, priority=1, reason="x")
    ranks = order.places([stage.pool.pk])
    expected = [four, three, five, two, one]
    assert sorted(expected, key=lambda entry: ranks[entry.pk].place) == expected
    assert {place.of for place in ranks.values()} == {5}
    stage.proved = False  # two's old reservation was written past the services
