"""Two organisations want the two halves of one node at once: one gets it; with a look instead of the lock, both do."""

import threading
from datetime import timedelta
from typing import Any

from django.db import connection, connections, transaction
from django.utils import timezone

from allocations.models import Allocation, Lease, Placement
from allocations.selectors import availability
from allocations.services import booking, placing
from common.errors import RuleBroken
from tests.concurrency.test_booking_race import RACE
from tests.factories import AllocationFactory, PoolFactory, make_cast, make_node
from tests.factories.allocations import LeaseFactory, rival_award

ROUNDS = 10
SHARED_NODES = """
SELECT count(*) FROM allocations_placement a JOIN allocations_placement b
ON a.node_id = b.node_id AND a.organisation_id < b.organisation_id AND a."window" && b."window"
"""


def both(attempts: list[Any]) -> list[Any]:
    """Run the attempts at once, each on its own connection; what each returned or raised."""
    results: list[Any] = [None] * len(attempts)
    barrier = threading.Barrier(len(attempts))

    def run(place: int) -> None:
        try:
            barrier.wait(30)
            results[place] = attempts[place]()
        except Exception as error:
            results[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(attempts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def on_one_node() -> int:
    """Pairs of organisations that are on one node at one time."""
    with connection.cursor() as cursor:
        cursor.execute(SHARED_NODES)
        return int(cursor.fetchone()[0])


def stage() -> tuple[Any, list[Allocation]]:
    """The cast, and the awards of two organisations on a pool of one node of eight."""
    cast, pool = make_cast(), PoolFactory()
    make_node(pool, devices=8)
    theirs = rival_award(cast, pool)
    return cast, [AllocationFactory(project=cast.project, pool=pool), theirs]


@RACE
def test_one_of_two_organisations_gets_the_node() -> None:
    cast, awards = stage()
    for number in range(ROUNDS):
        start = timezone.now() + timedelta(hours=1 + 2 * number)

        def book(actor: Any, award: Allocation, start: Any = start) -> Lease:
            return booking.book(
                actor=actor, allocation=award, device_count=4, starts_at=start, ends_at=start + timedelta(hours=1)
            )

        results = both([lambda: book(cast.owner, awards[0]), lambda: book(cast.outsider, awards[1])])
        assert sorted(type(result).__name__ for result in results) == ["Lease", "RuleBroken"], results
        refused = next(result for result in results if isinstance(result, RuleBroken))
        assert refused.code == "no_free_devices"
    assert on_one_node() == 0 and Lease.objects.count() == ROUNDS


@RACE
def test_control_without_lock_and_constraint_both_get_it() -> None:
    _cast, awards = stage()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE allocations_placement DROP CONSTRAINT one_organisation_on_a_node")
    try:
        start = timezone.now() + timedelta(hours=1)
        looked = threading.Barrier(2)

        def book(award: Allocation) -> None:
            with transaction.atomic():
                tenants = [award.project.organisation_id]
                free = list(availability.free_devices(award.pool, start, start + timedelta(hours=1), tenants=tenants))
                half = free[:4] if award is awards[0] else free[4:]
                looked.wait(30)
                lease = LeaseFactory(allocation=award, starts_at=start, ends_at=start + timedelta(hours=1))
                placing.place(lease, half, start, start + timedelta(hours=1))

        assert both([lambda: book(awards[0]), lambda: book(awards[1])]) == [None, None]
        assert on_one_node() > 0
        Placement.objects.all().delete()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(
                "ALTER TABLE allocations_placement ADD CONSTRAINT one_organisation_on_a_node EXCLUDE USING gist "
                '(node_id WITH =, organisation_id WITH <>, "window" WITH &&) WHERE (NOT released AND NOT shared)'
            )
