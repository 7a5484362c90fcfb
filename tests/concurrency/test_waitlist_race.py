"""Of accepting, declining, leaving, taking back and lapsing at one moment one happens; each with its control."""

import threading
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from allocations.models import Lease, Placement, WaitEntry
from allocations.selectors.offers import Wish
from allocations.selectors.proof import ledger_faults
from allocations.services import booking, ending, offering, serving, waitlist
from common.errors import DomainError
from tests.concurrency.test_booking_race import RACE, WRITERS, _overlaps, _race
from tests.concurrency.test_operators_race import race
from tests.factories import AllocationFactory, PoolFactory, make_cast, make_node
from tests.factories.allocations import rival_award

HOUR = timedelta(hours=1)


def _offered(cast: Any) -> tuple[WaitEntry, Lease]:
    """An entry of the outsider's with an offer of all four GPUs out."""
    pool = PoolFactory()
    make_node(pool, 4)
    now = timezone.now()
    mine = AllocationFactory(project=cast.project, pool=pool)
    window = {"starts_at": now + HOUR / 2, "ends_at": now + 9 * HOUR}
    lease = booking.book(actor=cast.owner, allocation=mine, device_count=4, **window)
    wish = Wish(4, 4, 2 * HOUR, now + HOUR, now + 4 * HOUR)
    entry = waitlist.join(actor=cast.outsider, allocation=rival_award(cast, pool), wish=wish)
    ending.cancel(actor=cast.owner, lease=lease)
    assert serving.serve(timezone.now()) == 1
    entry.refresh_from_db()
    assert entry.lease is not None
    return entry, entry.lease


def _lapse_now(lease: Lease) -> int:
    """The chore, at the very moment at which the offer ends."""
    assert lease.offer_until is not None
    return offering.end_what_is_over(lease.offer_until)


@RACE
def test_of_accepting_twice_declining_leaving_removing_and_lapsing_one_wins() -> None:
    cast = make_cast()
    for _turn in range(6):
        entry, lease = _offered(cast)
        results = race(
            lambda lease=lease: offering.accept(actor=cast.outsider, lease=lease),
            lambda lease=lease: offering.accept(actor=cast.outsider, lease=lease),
            lambda lease=lease: offering.decline(actor=cast.outsider, lease=lease),
            lambda entry=entry: waitlist.leave(actor=cast.outsider, entry=entry),
            lambda entry=entry: waitlist.remove(actor=cast.officer, entry=entry, reason="x"),
            lambda lease=lease: ending.reclaim(actor=cast.officer, lease=lease, reason="needed"),
            lambda lease=lease: _lapse_now(lease),
        )
        broken = [r for r in results if isinstance(r, Exception) and not isinstance(r, DomainError)]
        assert not broken, broken
        lease.refresh_from_db()
        entry.refresh_from_db()
        held = lease.placements.filter(released=False).count()
        if lease.state == "scheduled":
            assert (held, entry.state, lease.end_reason) == (4, "served", "")
            assert sum(isinstance(result, Lease) for result in results[:3]) == 1
        else:
            accepted_before = lease.end_reason == "reclaimed"  # a reservation by then, and the agency took it back
            assert (lease.state, held) == ("cancelled", 0)
            assert entry.state in (("served",) if accepted_before else ("waiting", "left", "dropped"))
            assert sum(isinstance(result, Lease) for result in results[:2]) == accepted_before
        assert not list(ledger_faults())


@RACE
def test_control_answers_that_look_before_they_write_all_win() -> None:
    cast = make_cast()
    _entry, lease = _offered(cast)
    between = threading.Barrier(2)

    def answer(_end: str) -> bool:
        with transaction.atomic():
            stands = Lease.objects.get(pk=lease.pk).state == "offered"
            between.wait(30)
            return stands

    assert race(lambda: answer("accept"), lambda: answer("lapse")) == [True, True], "both believe that it is theirs"


@RACE
def test_eight_ticks_at_once_offer_what_is_free_once() -> None:
    cast, pool = make_cast(), PoolFactory()
    make_node(pool, 4)
    now = timezone.now()
    mine = AllocationFactory(project=cast.project, pool=pool)
    lease = booking.book(
        actor=cast.owner, allocation=mine, device_count=4, starts_at=now + HOUR / 2, ends_at=now + 9 * HOUR
    )
    wish = Wish(4, 4, 2 * HOUR, now + HOUR, now + 4 * HOUR)
    entries = [
        waitlist.join(actor=cast.owner, allocation=AllocationFactory(project=cast.project, pool=pool), wish=wish)
        for _turn in range(3)
    ]
    ending.cancel(actor=cast.owner, lease=lease)
    later = timezone.now()
    results = _race(lambda _writer: serving.serve(later))
    assert all(isinstance(result, int) for result in results) and sum(results) == 1, results
    assert Lease.objects.filter(state="offered").count() == 1
    assert WaitEntry.objects.filter(pk__in=[entry.pk for entry in entries], state="offered").count() == 1
    assert _overlaps("(SELECT * FROM allocations_placement WHERE NOT released)") == 0
    assert not list(ledger_faults())


@RACE
def test_an_allocation_that_joins_eight_times_at_once_waits_once() -> None:
    cast, pool = make_cast(), PoolFactory()
    make_node(pool, 4)
    now = timezone.now()
    mine = AllocationFactory(project=cast.project, pool=pool)
    booking.book(actor=cast.owner, allocation=mine, device_count=4, starts_at=now + HOUR / 2, ends_at=now + 9 * HOUR)
    award = AllocationFactory(project=cast.project, pool=pool)
    wish = Wish(4, 4, 2 * HOUR, now + HOUR, now + 4 * HOUR)
    results = _race(lambda _writer: waitlist.join(actor=cast.owner, allocation=award, wish=wish))
    assert sum(isinstance(result, WaitEntry) for result in results) == 1
    codes = {error.code for error in results if isinstance(error, DomainError)}
    assert codes == {"already_waiting"} and len(results) == WRITERS


@RACE
def test_bookings_by_hand_and_the_list_never_get_the_same_gpus() -> None:
    cast = make_cast()
    for _turn in range(4):
        pool = PoolFactory()
        make_node(pool, 4)
        now = timezone.now()
        mine = AllocationFactory(project=cast.project, pool=pool)
        window = {"starts_at": now + HOUR / 2, "ends_at": now + 9 * HOUR}
        lease = booking.book(actor=cast.owner, allocation=mine, device_count=4, **window)
        waiting = AllocationFactory(project=cast.project, pool=pool)
        wish = Wish(4, 4, 2 * HOUR, now + HOUR, now + 4 * HOUR)
        entry = waitlist.join(actor=cast.owner, allocation=waiting, wish=wish)
        ending.cancel(actor=cast.owner, lease=lease)
        by_hand = {"starts_at": now + 2 * HOUR, "ends_at": now + 3 * HOUR}

        def book(mine: Any = mine, by_hand: Any = by_hand) -> Lease:
            return booking.book(actor=cast.owner, allocation=mine, device_count=4, **by_hand)

        moment = timezone.now()
        results = race(book, lambda moment=moment: serving.serve(moment))
        entry.refresh_from_db()
        booked, offered = isinstance(results[0], Lease), entry.state == "offered"
        assert booked != offered, results
        assert isinstance(results[1], int), results
    assert _overlaps("(SELECT * FROM allocations_placement WHERE NOT released)") == 0
    assert {row.lease.state for row in Placement.objects.filter(released=False).select_related("lease")} <= {
        "scheduled",
        "offered",
    }
    assert not list(ledger_faults())
