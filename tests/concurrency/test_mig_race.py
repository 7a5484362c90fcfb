"""Many writers want the MIG instances of one GPU: each instance is booked once, and never beside the whole GPU."""

import threading
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from allocations.models import Lease, Placement
from allocations.selectors.proof import ledger_faults
from allocations.services import booking, operating
from cluster.models import Device, NodeCommand
from common.errors import DomainError
from tests.concurrency.test_booking_race import RACE, WRITERS, _race
from tests.factories import AllocationFactory, PoolFactory, cut, make_cast, make_node

SMALL = "1g.10gb"
HOUR = timedelta(hours=1)
SHARED_SLICES = """
SELECT count(*) FROM {table} a JOIN {table} b
ON a.id < b.id AND a.board_id = b.board_id AND a.slices && b.slices AND a."window" && b."window"
"""


def _overlaps(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(SHARED_SLICES.format(table=table))
        return int(cursor.fetchone()[0])


def _site() -> tuple[Any, Device, list[Any]]:
    cast, pool = make_cast(), PoolFactory()
    gpu = make_node(pool, 1).devices.get()
    return cast, gpu, [AllocationFactory(project=cast.project, pool=pool) for _writer in range(WRITERS)]


@RACE
def test_seven_of_eight_writers_get_the_seven_instances_of_a_gpu() -> None:
    cast, gpu, allocations = _site()
    cut(gpu, *[SMALL] * 7)
    first = timezone.now() + HOUR
    for turn in range(10):
        start = first + turn * HOUR

        def attempt(writer: int, start: Any = start) -> Lease:
            return booking.book(
                actor=cast.owner,
                allocation=allocations[writer],
                device_count=1,
                starts_at=start,
                ends_at=start + HOUR,
                profile=SMALL,
            )

        results = _race(attempt)
        assert sum(isinstance(result, Lease) for result in results) == 7, results
        (loser,) = [result for result in results if not isinstance(result, Lease)]
        assert loser.code == "no_free_devices" and loser.facts["next_start"], loser
    assert Placement.objects.count() == 70 and _overlaps("allocations_placement") == 0
    assert not list(ledger_faults())


@RACE
def test_control_look_first_and_insert_then_lends_one_instance_to_all() -> None:
    """The same writers, each of whom looks and then writes, without the constraint and without the lock."""
    between = threading.Barrier(WRITERS)
    with connection.cursor() as cursor:
        cursor.execute('CREATE TABLE naive_part (id serial, board_id int, slices int4range, "window" tstzrange)')

    def attempt(_writer: int) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT min(s) FROM generate_series(0, 6) s WHERE NOT EXISTS (SELECT 1 FROM naive_part p "
                "WHERE p.board_id = 1 AND p.slices @> s AND p.\"window\" && tstzrange('2027-01-01', '2027-01-02'))"
            )
            free = cursor.fetchone()[0]
            between.wait(30)
            cursor.execute(
                "INSERT INTO naive_part VALUES (DEFAULT, 1, int4range(%s, %s), tstzrange('2027-01-01', '2027-01-02'))",
                [free, free + 1],
            )
        return True

    try:
        assert all(result is True for result in _race(attempt))
        assert _overlaps("naive_part") == WRITERS * (WRITERS - 1) / 2
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE naive_part")


@RACE
def test_a_gpu_is_booked_whole_or_cut_and_never_both() -> None:
    """Half of the writers book the whole GPU while the others order a layout."""
    cast, gpu, allocations = _site()
    start = timezone.now() + HOUR

    def attempt(writer: int) -> Any:
        if writer % 2:
            return operating.partition_device(
                actor=cast.operator, device=Device.objects.get(pk=gpu.pk), instances=[SMALL] * 7, reason="small jobs"
            )
        return booking.book(
            actor=cast.owner, allocation=allocations[writer], device_count=1, starts_at=start, ends_at=start + HOUR
        )

    results = _race(attempt)
    won = [result for result in results if not isinstance(result, Exception)]
    assert len(won) == 1 and all(isinstance(each, DomainError) for each in results if each not in won), results
    gpu.refresh_from_db()
    assert gpu.set_aside is (Placement.objects.count() == 0) is NodeCommand.objects.exists()
