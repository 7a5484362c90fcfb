"""What the agreement says is kept by bookings, changes and extensions: its pools and its ceiling of a year."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from allocations.models import LedgerEntry
from allocations.selectors.yearly import asked_by_year, held_by_year
from allocations.services import changing, extending
from allocations.services.booking import Ask
from common.errors import RuleBroken
from common.moments import agency_day
from tests.allocations.conftest import Stage
from tests.factories import LeaseFactory

HOUR = 3600


@pytest.fixture
def start(stage: Stage) -> float:
    """Hours from now on to a time that is hours away from the turn of a year."""
    return 1 if agency_day(stage.now).year == agency_day(stage.now + timedelta(hours=20)).year else 30


def limit(stage: Stage, **fields: Any) -> None:
    agreement = stage.cast.agreement
    for name, value in fields.items():
        setattr(agreement, name, value)
    agreement.save()


def refused(code: str, call: Any, *args: Any, **kwargs: Any) -> RuleBroken:
    with pytest.raises(RuleBroken) as caught:
        call(*args, **kwargs)
    assert caught.value.code == code, str(caught.value)
    return caught.value


def test_a_year_is_booked_to_its_ceiling_and_not_past_it(stage: Stage, start: float) -> None:
    limit(stage, ceiling_gpu_seconds_a_year=6 * HOUR)
    with CaptureQueriesContext(connection) as queries:
        lease = stage.book(2, start, 2)
    statements = [q["sql"] for q in queries if "SAVEPOINT" not in q["sql"]]
    assert len(statements) <= 16, "\n".join(statements)
    error = refused("ceiling_gpu_hours_a_year", stage.book, 2, start + 3, 2)
    assert (error.facts["used"], error.facts["left"]) == ("4.00", "2.00")
    later = lease.ends_at + timedelta(hours=1, seconds=1)
    refused("ceiling_gpu_hours_a_year", extending.extend, actor=stage.cast.owner, lease=lease, ends_at=later)
    wider = Ask(4, lease.starts_at, lease.ends_at)
    refused("ceiling_gpu_hours_a_year", changing.change, actor=stage.cast.owner, lease=lease, **_of(wider))
    extending.extend(actor=stage.cast.owner, lease=lease, ends_at=lease.ends_at + timedelta(hours=1))
    # One that takes no more than before may still be changed when the ceiling has come down since.
    limit(stage, ceiling_gpu_seconds_a_year=1 * HOUR)
    changing.change(actor=stage.cast.owner, lease=lease, **_of(Ask(1, lease.starts_at, lease.ends_at)))


def _of(ask: Ask) -> dict[str, Any]:
    return {"device_count": ask.count, "starts_at": ask.starts_at, "ends_at": ask.ends_at, "shape": ask.shape}


def test_a_pool_that_the_agreement_does_not_name_is_not_booked(stage: Stage) -> None:
    limit(stage, pools=["pool-22222222"])
    refused("pool_not_covered", stage.book)
    limit(stage, pools=[stage.pool.public_id])
    stage.book()


def test_hours_count_in_the_year_in_which_they_lie(stage: Stage) -> None:
    stage.proved = False  # made by hand, without holds of their own
    turn = datetime(2031, 12, 31, 15, tzinfo=UTC)  # midnight in Seoul
    lease = LeaseFactory(
        allocation=stage.allocation,
        device_count=2,
        starts_at=turn - timedelta(hours=1),
        ends_at=turn + timedelta(hours=3),
    )
    LedgerEntry.objects.create(
        allocation=stage.allocation, lease=lease, kind="hold", device_seconds=-8 * HOUR, actor_label="x"
    )
    key = stage.cast.agreement.pk
    assert held_by_year(key, [2031, 2032, 2033]) == {2031: 2 * HOUR, 2032: 6 * HOUR, 2033: 0}
    assert held_by_year(key, [2031], but=lease) == {2031: 0}
    assert asked_by_year(2, lease.starts_at, lease.ends_at) == {2031: 2 * HOUR, 2032: 6 * HOUR}
    # Given back early: nothing of it lies in the new year any more, whatever its window was.
    lease.drained_at = turn
    lease.save()
    assert held_by_year(key, [2031, 2032]) == {2031: 8 * HOUR, 2032: 0}
    assert held_by_year(key, [timezone.now().year]) == {timezone.now().year: 0}
