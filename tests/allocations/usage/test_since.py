"""What was made of a GPU since a moment: decided hours, their corrections and what is not decided yet, as one sum."""

import pytest

from allocations.selectors.usage import use_since
from allocations.services.usage import deciding
from allocations.services.usage.correcting import correct
from tests.allocations.usage.measuring import BUSY, HOUR, MINUTE, NOON, QUIET, held, measured
from tests.factories import AllocationFactory, PoolFactory, make_cast, make_node

pytestmark = pytest.mark.django_db


def test_decided_corrected_and_live_minutes_add_up_from_a_moment_on() -> None:
    cast = make_cast()
    allocation = AllocationFactory(project=cast.project, pool=PoolFactory())
    first, second = make_node(allocation.pool, 2).devices.order_by("index")
    lease = held([first, second], NOON, NOON + 6 * HOUR, allocation=allocation, booked_by=cast.owner)
    measured(first, NOON, 90, **BUSY)
    measured(first, NOON + 90 * MINUTE, 60, **QUIET)
    measured(second, NOON, 150, **QUIET)
    ask = {"starts_at": NOON + 70 * MINUTE, "ends_at": NOON + 80 * MINUTE, "to_class": "fault"}
    deciding.decide(NOON + 3 * HOUR)
    correct(actor=cast.officer, lease=lease, device=first, reason="the switch was down", **ask)
    spans = [
        ("one", lease.pk, first.pk, NOON + 20 * MINUTE),
        ("two", lease.pk, first.pk, NOON + 100 * MINUTE),
        ("both", lease.pk, first.pk, NOON + 140 * MINUTE),
        ("both", lease.pk, second.pk, NOON + 140 * MINUTE),
        ("none", lease.pk, second.pk + 1, NOON),
    ]
    found = use_since(spans, NOON + 150 * MINUTE)
    assert set(found) == {"one", "two", "both"}
    one = found["one"]
    assert (one.used_seconds, one.fault_seconds, one.idle_seconds) == (60 * 60, 600, 3600)
    assert one.held_seconds == 130 * 60, "every minute once, decided or not"
    assert (found["two"].used_seconds, found["two"].idle_seconds) == (0, 50 * 60)
    assert found["both"].idle_seconds == found["both"].held_seconds == 2 * 600
    assert use_since([], NOON) == {}
