"""A partner with a running reservation, and hours of evidence as the judge would have written them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from allocations.models import Lease
from allocations.services.usage import deciding
from allocations.usage_classes import UsageClass
from allocations.usage_models import UsageDay, UsageHour
from tests.allocations.conftest import Stage
from tests.allocations.conftest import stage as stage
from tests.allocations.test_reconcile import started
from usage.models import IdleRule
from usage.services import idle_rules

HOUR = timedelta(hours=1)
DEFAULT: dict[str, Any] = {"first_seconds": 0, "grace_seconds": 3600, "follows": "take"}
CLASSES = ("used", "idle", "parked", "hung", "no_data", "fault", "maintenance")


@pytest.fixture
def lease(stage: Stage) -> Iterator[Lease]:
    """Four GPUs of one node for ten days, handed over in time."""
    yield started(stage, count=4, hours=240)


def hours_of(lease: Lease, start: datetime, count: int, kind: str = "idle", devices: Any = None) -> datetime:
    """So many whole hours of evidence from the first full hour after `start` on; the end of the last one."""
    first = start.replace(minute=0, second=0, microsecond=0) + HOUR
    ids = devices or [row.device_id for row in lease.placements.filter(released=False).order_by("device_id")]
    figures = {f"{name}_seconds": 0 for name in CLASSES} | {f"{kind}_seconds": 3600}
    rows = [
        UsageHour(
            lease=lease,
            device_id=pk,
            hour=first + number * HOUR,
            codes=UsageClass(kind).letter * 60,
            held_seconds=3600,
            rule_version=1,
            samples=360,
            **figures,
        )
        for pk in ids
        for number in range(count)
    ]
    UsageHour.objects.bulk_create(rows)
    whole = {name: value * count * len(ids) for name, value in figures.items()}
    day = UsageDay.objects.filter(lease=lease).first() or UsageDay(lease=lease, day=first.date(), held_seconds=0)
    for name, value in whole.items():
        setattr(day, name, getattr(day, name) + value)
    day.held_seconds += 3600 * count * len(ids)
    day.save()
    deciding.make_totals([lease.pk])
    return first + count * HOUR


def rule_on(stage: Stage, scope: str = "pool", **values: Any) -> IdleRule:
    """A rule of the stage's pool, agreement or of the house, tried out and switched on."""
    subject = {"pool": stage.pool if scope == "pool" else None}
    subject["agreement"] = stage.cast.agreement if scope == "agreement" else None
    made = idle_rules.draft(actor=stage.cast.officer, **subject, values=DEFAULT | values, reason="as agreed")
    idle_rules.try_out(actor=stage.cast.officer, rule=made)
    return idle_rules.switch_on(actor=stage.cast.officer, rule=made, reason="as agreed")
