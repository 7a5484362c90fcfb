"""Eight reservations are all changed to the same hour of the same GPUs: one gets it, the others stand as they were.

Meanwhile others book, cancel and extend. The control does the same with a change in two transactions, as one would
write it first: cancel, then book anew.
"""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from allocations.models import Lease, Placement
from allocations.selectors.proof import ledger_faults
from allocations.services import booking, changing, ending, extending
from allocations.shapes import ANY
from common.errors import DomainError
from tests.concurrency.test_booking_race import RACE, WRITERS, _overlaps, _race
from tests.factories import AllocationFactory, PoolFactory, make_cast, make_node

HOUR = timedelta(hours=1)


def _eight(cast: Any) -> tuple[list[Lease], Any]:
    """Eight reservations of all eight GPUs, an hour each, one after the other."""
    pool = PoolFactory()
    make_node(pool, 8)
    start = timezone.now() + 2 * HOUR
    return [
        booking.book(
            actor=cast.owner,
            allocation=AllocationFactory(project=cast.project, pool=pool),
            device_count=8,
            starts_at=start + at * HOUR,
            ends_at=start + (at + 1) * HOUR,
        )
        for at in range(WRITERS)
    ], start + 20 * HOUR


def _open_hours(leases: list[Lease]) -> int:
    return Placement.objects.filter(lease__in=leases, released=False).count()


@RACE
def test_one_of_eight_changes_to_the_same_hour_wins_and_nobody_loses_what_he_had() -> None:
    cast = make_cast()
    leases, target = _eight(cast)

    def attempt(writer: int) -> Lease:
        window = {"starts_at": target, "ends_at": target + HOUR}
        return changing.change(actor=cast.owner, lease=leases[writer], device_count=8, shape=ANY, **window)

    results = _race(attempt)
    assert sum(isinstance(result, Lease) for result in results) == 1, results
    assert {error.code for error in results if not isinstance(error, Lease)} == {"no_free_devices"}
    assert _overlaps("(SELECT * FROM allocations_placement WHERE NOT released)") == 0
    assert _open_hours(leases) == 8 * WRITERS, "all of them still have eight GPUs"
    moved = [lease for lease in Lease.objects.all() if lease.starts_at == target]
    assert len(moved) == 1 and not list(ledger_faults())


@RACE
def test_control_cancel_and_book_anew_loses_what_one_had() -> None:
    cast = make_cast()
    leases, target = _eight(cast)

    def attempt(writer: int) -> Lease:
        ending.cancel(actor=cast.owner, lease=leases[writer])
        window = {"starts_at": target, "ends_at": target + HOUR}
        return booking.book(actor=cast.owner, allocation=leases[writer].allocation, device_count=8, **window)

    results = _race(attempt)
    assert sum(isinstance(result, Lease) for result in results) == 1
    assert Placement.objects.filter(released=False).count() == 8, "seven stand there with nothing"


@RACE
def test_changes_bookings_extensions_and_cancellations_at_once_add_up() -> None:
    cast = make_cast()
    leases, target = _eight(cast)
    pool = leases[0].allocation.pool
    make_node(pool, 8)

    def attempt(writer: int) -> int:
        mine, done = leases[writer], 0
        for turn in range(6):
            start = target + ((writer + turn) % 4) * HOUR
            verbs: list[Any] = [
                lambda start=start: changing.change(
                    actor=cast.owner,
                    lease=mine,
                    device_count=1 + writer,
                    starts_at=start,
                    ends_at=start + HOUR,
                    shape=ANY,
                ),
                lambda start=start: booking.book(
                    actor=cast.owner,
                    allocation=mine.allocation,
                    device_count=3,
                    starts_at=start,
                    ends_at=start + 2 * HOUR,
                ),
                lambda: extending.extend(
                    actor=cast.owner, lease=mine, ends_at=Lease.objects.get(pk=mine.pk).ends_at + HOUR / 2
                ),
                lambda: ending.cancel(actor=cast.owner, lease=Lease.objects.filter(state="scheduled").order_by("?")[0]),
            ]
            for verb in verbs[(writer + turn) % 2 :]:
                try:
                    verb()
                    done += 1
                except DomainError:
                    continue
        return done

    results = _race(attempt)
    assert all(isinstance(result, int) for result in results), results
    assert sum(results) > WRITERS
    assert _overlaps("(SELECT * FROM allocations_placement WHERE NOT released)") == 0
    open_rows = Placement.objects.filter(released=False)
    assert {row.lease.state for row in open_rows.select_related("lease")} <= {"scheduled"}
    for lease in Lease.objects.filter(state="scheduled"):
        assert lease.placements.filter(released=False).count() == lease.device_count
    assert not list(ledger_faults())
