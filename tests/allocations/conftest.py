"""A partner with an award on a pool of two nodes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from allocations.models import Allocation, Lease
from allocations.selectors.proof import ledger_faults
from allocations.services import booking
from cluster.models import Node, Pool
from tests.factories import AllocationFactory, Cast, PoolFactory, make_cast, make_node


@dataclass
class Stage:
    """The cast, two nodes of eight and four devices, and an allocation of 64 GPUs at once and 10,000 hours."""

    cast: Cast
    pool: Pool
    big: Node
    small: Node
    allocation: Allocation
    now: datetime
    proved: bool = True
    """Whether the ledger must add up when the test is over."""

    def book(self, count: int = 2, start: float = 1, hours: float = 2, **fields: Any) -> Lease:
        """Book `count` GPUs from `start` hours from now on."""
        starts_at = self.now + timedelta(hours=start)
        asked = {"actor": self.cast.owner, "allocation": self.allocation, "device_count": count} | fields
        return booking.book(starts_at=starts_at, ends_at=starts_at + timedelta(hours=hours), **asked)


@pytest.fixture
def stage(db: None) -> Iterator[Stage]:
    """See Stage. Whatever a test did through the services, the ledger adds up afterwards."""
    cast = make_cast()
    pool = PoolFactory()
    stage = Stage(
        cast=cast,
        pool=pool,
        big=make_node(pool, 8),
        small=make_node(pool, 4),
        allocation=AllocationFactory(project=cast.project, pool=pool),
        now=timezone.now(),
    )
    yield stage
    if stage.proved:
        faults = list(ledger_faults())
        assert not faults, "\n".join(map(str, faults))
