"""Eight writers want the same eight devices: one wins, with the constraint; without it, all of them do."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone

from allocations.models import Lease, Placement
from allocations.selectors.proof import ledger_faults
from allocations.services import booking
from cluster.models import Device
from common.errors import RuleBroken
from tests.factories import AllocationFactory, PoolFactory, make_cast, make_node
from tests.factories.allocations import rival_award

# Naming every app makes the clean-up TRUNCATE … CASCADE: a table of another package points at our users.
RACE = pytest.mark.django_db(transaction=True, available_apps=[app.name for app in apps.get_app_configs()])
WRITERS = 8
ROUNDS = 25
OVERLAPS = """
SELECT count(*) FROM {table} a JOIN {table} b
ON a.id < b.id AND a.device_id = b.device_id AND a."window" && b."window"
"""


def _race(attempt: Callable[[int], Any]) -> list[Any]:
    """Run attempt(0..7) at once, each on its own connection; what each returned or raised."""
    results: list[Any] = [None] * WRITERS
    barrier = threading.Barrier(WRITERS)

    def run(writer: int) -> None:
        try:
            barrier.wait(30)
            results[writer] = attempt(writer)
        except Exception as error:
            results[writer] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def _overlaps(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(OVERLAPS.format(table=table))
        return int(cursor.fetchone()[0])


@RACE
@pytest.mark.parametrize("named", [True, False])
def test_exactly_one_of_eight_writers_gets_the_devices(named: bool) -> None:
    cast, pool = make_cast(), PoolFactory()
    devices = list(Device.objects.filter(node=make_node(pool, 8)).order_by("-pk"))
    allocations = [AllocationFactory(project=cast.project, pool=pool) for _writer in range(WRITERS)]
    first = timezone.now() + timedelta(hours=1)
    for turn in range(ROUNDS if named else 5):
        start = first + timedelta(hours=turn)

        def attempt(writer: int, start: Any = start) -> Lease:
            return booking.book(
                actor=cast.owner,
                allocation=allocations[writer],
                device_count=8,
                starts_at=start,
                ends_at=start + timedelta(hours=1),
                devices=devices[writer:] + devices[:writer] if named else None,
            )

        results = _race(attempt)
        assert sum(isinstance(result, Lease) for result in results) == 1, results
        losers = [result for result in results if not isinstance(result, Lease)]
        assert all(isinstance(error, RuleBroken) and error.code == "no_free_devices" for error in losers), losers
        assert all(error.facts["next_start"] for error in losers)
    assert _overlaps("allocations_placement") == 0
    assert Placement.objects.count() == Lease.objects.count() * 8
    assert not list(ledger_faults())


@RACE
def test_eight_writers_who_want_one_device_each_all_get_one() -> None:
    cast, pool = make_cast(), PoolFactory()
    make_node(pool, 8)
    allocation = AllocationFactory(project=cast.project, pool=pool)
    others = [AllocationFactory(project=cast.project, pool=pool) for _writer in range(WRITERS - 1)]
    start = timezone.now() + timedelta(hours=1)
    results = _race(
        lambda writer: booking.book(
            actor=cast.owner,
            allocation=[allocation, *others][writer],
            device_count=1,
            starts_at=start,
            ends_at=start + timedelta(hours=1),
        )
    )
    assert all(isinstance(result, Lease) for result in results), results
    assert _overlaps("allocations_placement") == 0


@RACE
@pytest.mark.parametrize("shared", [True, False])
def test_whoever_books_the_same_time_of_a_shared_pool_waits_for_nobody(shared: bool) -> None:
    cast, pool = make_cast(), PoolFactory(shared_nodes=shared)
    make_node(pool, 8)
    ours, theirs = AllocationFactory(project=cast.project, pool=pool), rival_award(cast, pool)
    start = timezone.now() + timedelta(hours=1)
    window = {"device_count": 2, "starts_at": start, "ends_at": start + timedelta(hours=1)}
    results: list[Any] = []

    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        try:
            results.append(booking.book(actor=cast.outsider, allocation=theirs, **window))
        except OperationalError as error:
            results.append(error)
        finally:
            connections.close_all()

    with transaction.atomic():
        lease = booking.book(actor=cast.owner, allocation=ours, **window)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(30)
    if shared:
        assert not {*lease.placements.values_list("device")} & {*results[0].placements.values_list("device")}
    else:  # the control: who is on a node keeps others off it, so that they must know
        assert "lock timeout" in str(results[0])


@RACE
def test_the_last_hours_of_an_allocation_are_spent_once() -> None:
    cast, pool = make_cast(), PoolFactory()
    make_node(pool, 8)
    allocation = AllocationFactory(project=cast.project, pool=pool, awarded_gpu_seconds=3600)
    start = timezone.now() + timedelta(hours=1)
    results = _race(
        lambda _writer: booking.book(
            actor=cast.owner,
            allocation=allocation,
            device_count=1,
            starts_at=start,
            ends_at=start + timedelta(hours=1),
        )
    )
    assert sum(isinstance(result, Lease) for result in results) == 1
    assert {error.code for error in results if not isinstance(error, Lease)} == {"balance"}


@RACE
def test_control_look_first_and_insert_then_books_twice() -> None:
    between = threading.Barrier(WRITERS)
    with connection.cursor() as cursor:
        cursor.execute('CREATE TABLE naive_placement (id serial, device_id int, "window" tstzrange)')

    def attempt(_writer: int) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM naive_placement WHERE device_id = 1 "
                "AND \"window\" && tstzrange('2027-01-01', '2027-01-02')"
            )
            free = cursor.fetchone()[0] == 0
            between.wait(30)
            if free:
                cursor.execute("INSERT INTO naive_placement VALUES (DEFAULT, 1, tstzrange('2027-01-01', '2027-01-02'))")
        return free

    try:
        assert all(result is True for result in _race(attempt))
        assert _overlaps("naive_placement") == WRITERS * (WRITERS - 1) / 2
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE naive_placement")
