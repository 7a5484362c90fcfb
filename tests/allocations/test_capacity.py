"""Many pools and windows in one go say what each alone says."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from allocations.selectors.availability import free_devices
from allocations.selectors.capacities import capacities, capacity
from tests.factories import AllocationFactory, LeaseFactory, PoolFactory, make_cast, make_node
from tests.factories.allocations import PlacementFactory

pytestmark = pytest.mark.django_db


def test_capacities_of_many_are_those_of_each_at_the_price_of_one() -> None:
    cast, now = make_cast(), timezone.now()
    pools = [PoolFactory(name="first"), PoolFactory(name="second"), PoolFactory(name="empty")]
    spans = [(now, now + timedelta(hours=h)) for h in (1, 30)] + [(now + timedelta(hours=5), now + timedelta(hours=9))]
    for number, pool in enumerate(pools[:2]):
        devices: list[Any] = list(make_node(pool, devices=4).devices.all())
        allocation = AllocationFactory(project=cast.project, pool=pool, concurrent_gpus=3 + number)
        for turn, device in enumerate(devices[: 2 + number]):
            start = now + timedelta(hours=4 * turn)
            lease = LeaseFactory(allocation=allocation, booked_by=cast.owner, starts_at=start, state="scheduled")
            window = DateTimeTZRange(start, start + timedelta(hours=2))
            PlacementFactory(lease=lease, device=device, window=window)
        devices[3].state = "cleaning"
        devices[3].save()
    with CaptureQueriesContext(connection) as captured:
        found = capacities(pools, spans)
    assert len(captured) == 3
    for pool in pools:
        for span in spans:
            assert found[pool.pk, span] == capacity(pool, *span)
            assert found[pool.pk, span].free == free_devices(pool, *span).count()
    assert found[pools[1].pk, spans[0]].free == 2, "one is booked, one is being cleaned"
    assert found[pools[1].pk, spans[1]].booked_peak == 1
    assert found[pools[1].pk, spans[1]].promised == 4
    assert found[pools[2].pk, spans[0]].devices == 0
