"""A running reservation is shrunk, released, extended and expires in one moment; two want the same healthy GPU.

Whatever comes first, one consistent story comes out: each GPU is somebody's, the ledger adds up, nothing is left open.
The controls do it as one would write it first.
"""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from allocations.models import Lease, Placement, Reshape
from allocations.selectors.proof import ledger_faults
from allocations.selectors.windows import standing
from allocations.services import booking, ending, extending, reconcile, reshaping, standins
from cluster.models import Device
from common.errors import DomainError
from tests.allocations.nodes import answer
from tests.concurrency.test_booking_race import RACE, WRITERS, _overlaps, _race
from tests.concurrency.test_operators_race import race
from tests.factories import AllocationFactory, PoolFactory, make_cast, make_node

HOUR = timedelta(hours=1)
VERBS = ("verify", "grant", "extend", "reshape", "revoke", "reclaim")


def running(cast: Any, pool: Any, count: int) -> Lease:
    """A lease that was handed over a moment ago."""
    now = timezone.now()
    allocation = AllocationFactory(project=cast.project, pool=pool)
    lease = booking.book(
        actor=cast.owner, allocation=allocation, device_count=count, starts_at=now, ends_at=now + 2 * HOUR
    )
    settle(lease, 3)
    lease.refresh_from_db()
    assert lease.state == "active"
    return lease


def settle(lease: Lease, turns: int = 8, now: Any = None) -> None:
    """The nodes answer everything that they are asked."""
    for _turn in range(turns):
        reconcile.reconcile_lease(lease.public_id, now=now)
        for verb in VERBS:
            answer(lease, verb)
    reconcile.reconcile_lease(lease.public_id, now=now)


def consistent() -> bool:
    faults = list(ledger_faults())
    assert not faults, "\n".join(map(str, faults))
    assert _overlaps("(SELECT * FROM allocations_placement WHERE NOT released)") == 0
    return True


@RACE
@pytest.mark.parametrize("turn", range(6))
def test_shrink_release_extend_and_expire_at_once_end_in_one_story(turn: int) -> None:
    cast, pool = make_cast(), PoolFactory()
    make_node(pool, 8)
    lease = running(cast, pool, 4)
    verbs: list[Any] = [
        lambda: reshaping.shrink(actor=cast.owner, lease=lease, device_count=2),
        lambda: extending.extend(actor=cast.owner, lease=lease, ends_at=lease.ends_at + HOUR),
        lambda: reshaping.shrink(actor=cast.owner, lease=lease, device_count=1),
        *([lambda: ending.release(actor=cast.owner, lease=lease)] if turn % 3 else []),
        *([lambda: reconcile.reconcile_lease(lease.public_id, now=lease.ends_at)] if turn % 3 == 2 else []),
    ]
    results = race(*verbs[turn % 2 :], *verbs[: turn % 2])
    refusals = [result for result in results if isinstance(result, Exception)]
    assert all(isinstance(refusal, DomainError) for refusal in refusals), results
    begun = [result for result in results if isinstance(result, Reshape)]
    lease.refresh_from_db()
    assert len(begun) <= 1, "one change at a time"
    assert not (lease.reshapes.under_way().exists() and lease.pending_ends_at), "and none beside an extension"
    assert consistent()
    settle(lease)
    lease.refresh_from_db()
    assert not lease.reshapes.under_way().exists() and consistent()
    if lease.state == "active":
        assert len(standing(lease)) == lease.device_count
        ending.release(actor=cast.owner, lease=lease)
        settle(lease)
        lease.refresh_from_db()
    assert lease.state == "ended" and not lease.placements.filter(released=False).exists() and consistent()
    assert set(Device.objects.values_list("state", flat=True)) == {"available"}


@RACE
def test_of_eight_shrinks_at_once_one_is_begun() -> None:
    cast, pool = make_cast(), PoolFactory()
    make_node(pool, 8)
    lease = running(cast, pool, 8)
    results = _race(lambda writer: reshaping.shrink(actor=cast.owner, lease=lease, device_count=1 + writer % 3))
    assert sum(isinstance(result, Reshape) for result in results) == 1, results
    assert {error.code for error in results if not isinstance(error, Reshape)} == {"reshape_under_way"}
    settle(lease)
    lease.refresh_from_db()
    assert lease.device_count == 8 - Reshape.objects.get().leaving.count() == len(standing(lease)) and consistent()


@RACE
def test_control_a_count_that_is_read_and_written_loses_all_of_eight_but_one() -> None:
    cast, pool = make_cast(), PoolFactory()
    make_node(pool, 16)
    lease, between = running(cast, pool, 16), threading.Barrier(WRITERS)

    def attempt(_writer: int) -> None:
        mine = Lease.objects.get(pk=lease.pk)
        row = standing(mine)[0]
        between.wait(30)
        Placement.objects.filter(pk=row.pk).update(released=True)
        mine.device_count -= 1
        mine.save(update_fields=["device_count"])

    assert _race(attempt) == [None] * WRITERS
    lease.refresh_from_db()
    assert lease.device_count == 15 == lease.placements.filter(released=False).count(), "all gave the same one back"


def two_with_an_ill_one() -> tuple[Any, list[tuple[Lease, Device]]]:
    """Two leases of two GPUs, one of each ill, and one spare for both."""
    cast, pool = make_cast(), PoolFactory(shared_nodes=True)
    make_node(pool, 5)
    leases = [running(cast, pool, 2), running(cast, pool, 2)]
    pairs = [(lease, standing(lease)[0].device) for lease in leases]
    Device.objects.filter(pk__in=[device.pk for _lease, device in pairs]).update(health="fail")
    return cast, pairs


@RACE
@pytest.mark.parametrize("turn", range(4))
def test_of_two_swaps_that_want_the_same_healthy_gpu_one_gets_it(turn: int) -> None:
    cast, pairs = two_with_an_ill_one()
    verbs: list[Any] = [
        lambda lease=lease, ill=ill: reshaping.swap_device(actor=cast.owner, lease=lease, device=ill)
        for lease, ill in pairs
    ]
    results = race(*verbs[:: -1 if turn % 2 else 1])
    won = [result for result in results if isinstance(result, Reshape)]
    lost = [result for result in results if not isinstance(result, Reshape)]
    assert len(won) == 1 and [error.code for error in lost] == ["no_stand_in"] and consistent()
    for lease, _ill in pairs:
        settle(lease)
        lease.refresh_from_db()
        assert lease.state == "active" and len(standing(lease)) == 2
    assert won[0].lease.reshapes.get().state == "done" and consistent()


@RACE
def test_control_both_find_the_same_one_when_they_only_look() -> None:
    _cast, pairs = two_with_an_ill_one()

    def look(lease: Lease, ill: Device) -> Device | None:
        row = next(row for row in standing(lease) if row.device_id == ill.pk)
        lease = Lease.objects.select_related("allocation__pool", "allocation__project").get(pk=lease.pk)
        return standins.find(lease, row, timezone.now())

    found = race(*(lambda lease=lease, ill=ill: look(lease, ill) for lease, ill in pairs))
    assert found[0] is not None and found[0] == found[1]
