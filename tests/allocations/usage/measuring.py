"""Leases and minutes by hand, for tests about what was made of them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from allocations.models import Lease, Placement
from cluster.models import Device
from telemetry.models import DeviceMinute
from tests.factories import LeaseFactory
from tests.factories.allocations import PlacementFactory

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
BUSY: dict[str, Any] = {"utilisation_percent": 90, "sm_active_percent": 60, "power_watts": 500}
QUIET: dict[str, Any] = {"utilisation_percent": 0, "sm_active_percent": 0, "power_watts": 70}
HANGING: dict[str, Any] = {"utilisation_percent": 100, "sm_active_percent": 0.5, "power_watts": 120}


def held(devices: Iterable[Device], start: datetime = NOON, end: datetime = NOON + 3 * HOUR, **fields: Any) -> Lease:
    """A lease that was handed over at its start, with a placement on each device."""
    devices = list(devices)
    fields = {"active_at": start, "state": "active", "created_at": start - HOUR} | fields
    lease: Lease = LeaseFactory(device_count=len(devices), starts_at=start, ends_at=end, **fields)
    Lease.objects.filter(pk=lease.pk).update(created_at=fields["created_at"])
    for device in devices:
        placed(lease, device)
    return lease


def placed(lease: Lease, device: Device, **fields: Any) -> Placement:
    """One of its devices, from `used_from` to `used_until` where these are given."""
    window = DateTimeTZRange(fields.get("used_from") or lease.starts_at, fields.get("used_until") or lease.ends_at)
    row: Placement = PlacementFactory(lease=lease, device=device, window=window, shared=True, **fields)
    return row


def measured(device: Device, start: datetime, count: int, **figures: Any) -> None:
    """`count` minutes of a device from a moment on."""
    first = start.replace(second=0, microsecond=0)
    DeviceMinute.objects.bulk_create(
        DeviceMinute(device=device, minute=first + n * MINUTE, samples=6, **figures) for n in range(count)
    )
