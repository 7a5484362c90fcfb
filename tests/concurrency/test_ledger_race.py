"""Two people decide at once: one adjustment is entered once, one moment gets one weight. Each with its control."""

import threading
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from allocations.models import Adjustment, Lease, LedgerEntry, PoolWeight
from allocations.selectors.balances import balance
from allocations.selectors.proof import ledger_faults
from allocations.services import adjusting, booking, weighing
from common.errors import DomainError
from tests.concurrency.test_booking_race import RACE, WRITERS, _race
from tests.factories import AllocationFactory, PoolFactory, UserFactory, grant_role, make_cast, make_node

HOUR = timedelta(hours=1)


def _officers() -> list[Any]:
    return [grant_role(UserFactory(), "officer") for _writer in range(WRITERS)]


@RACE
def test_eight_officers_who_confirm_at_once_enter_it_once() -> None:
    cast, officers = make_cast(), _officers()
    allocation = AllocationFactory(project=cast.project)
    for _turn in range(5):
        made = adjusting.propose(actor=cast.officer, allocation=allocation, device_seconds=60, reason="x")

        def attempt(writer: int, made: Adjustment = made) -> Adjustment:
            return adjusting.confirm(actor=officers[writer], adjustment=made)

        results = _race(attempt)
        assert sum(isinstance(result, Adjustment) for result in results) == 1, results
        others = [result for result in results if not isinstance(result, Adjustment)]
        assert {error.code for error in others} == {"invalid_transition"}
    assert LedgerEntry.objects.filter(kind="adjustment").count() == 5
    assert balance(allocation).adjusted == 300 and not list(ledger_faults())


@RACE
def test_eight_adjustments_of_one_balance_never_take_more_than_there_is() -> None:
    cast, officers = make_cast(), _officers()
    allocation = AllocationFactory(project=cast.project, awarded_gpu_seconds=3 * 3600)
    asked = [
        adjusting.propose(actor=cast.officer, allocation=allocation, device_seconds=-3600, reason="x")
        for _writer in range(WRITERS)
    ]
    results = _race(lambda writer: adjusting.confirm(actor=officers[writer], adjustment=asked[writer]))
    assert sum(isinstance(result, Adjustment) for result in results) == 3, results
    assert {error.code for error in results if not isinstance(error, Adjustment)} == {"balance"}
    assert balance(allocation).left == 0 and not list(ledger_faults())


@RACE
def test_control_looking_first_and_entering_then_enters_it_eight_times() -> None:
    cast = make_cast()
    allocation = AllocationFactory(project=cast.project)
    made = adjusting.propose(actor=cast.officer, allocation=allocation, device_seconds=60, reason="x")
    between = threading.Barrier(WRITERS)

    def attempt(_writer: int) -> bool:
        still_open = Adjustment.objects.get(pk=made.pk).state == "proposed"
        between.wait(30)
        with transaction.atomic():
            LedgerEntry.objects.create(
                allocation=allocation, kind="adjustment", device_seconds=made.device_seconds, actor_label="x"
            )
        return still_open

    assert all(result is True for result in _race(attempt))
    assert balance(allocation).adjusted == WRITERS * 60
    assert len(list(ledger_faults())) == WRITERS + 1, "and the proof names it"


@RACE
def test_eight_officers_announce_for_one_moment_and_one_of_them_does() -> None:
    make_cast()
    officers, pool = _officers(), PoolFactory()
    start = timezone.now() + 24 * HOUR
    results = _race(
        lambda writer: weighing.announce(
            actor=officers[writer], pool=pool, weight=1100 + writer, valid_from=start, reason="x"
        )
    )
    assert sum(isinstance(result, PoolWeight) for result in results) == 1, results
    assert {error.code for error in results if not isinstance(error, PoolWeight)} == {"weight_taken"}


@RACE
def test_bookings_while_weights_are_announced_and_withdrawn_add_up() -> None:
    """Whatever a booking saw of the weights is what it is held to; the sum of its lines is the price of its window."""
    cast, officers, pool = make_cast(), _officers(), PoolFactory()
    make_node(pool, 8)
    allocations = [AllocationFactory(project=cast.project, pool=pool) for _writer in range(WRITERS)]
    start = timezone.now() + HOUR

    def attempt(writer: int) -> int:
        done = 0
        for turn in range(6):
            try:
                if writer % 2:
                    made = weighing.announce(
                        actor=officers[writer],
                        pool=pool,
                        weight=500 + 100 * writer + turn,
                        valid_from=start + turn * HOUR + timedelta(minutes=7 * writer),
                        reason="x",
                    )
                    if turn % 2:
                        weighing.withdraw(actor=officers[writer], weight=made, reason="x")
                else:
                    booking.book(
                        actor=cast.owner,
                        allocation=allocations[writer],
                        device_count=1,
                        starts_at=start + turn * HOUR,
                        ends_at=start + (turn + 2) * HOUR,
                    )
                done += 1
            except DomainError:
                continue
        return done

    results = _race(attempt)
    assert all(isinstance(result, int) for result in results), results
    assert sum(results[::2]) == Lease.objects.count() > 0
    assert Lease.objects.exclude(weights=[]).exists(), "some of them met a weight"
    assert not list(ledger_faults()) and connection.vendor == "postgresql"
