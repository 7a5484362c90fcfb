"""What the devices measured. Every answer is one query, whatever the number of devices."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from cluster.models import Device
from telemetry.models import LatestSample

USED_ABOVE_PERCENT = 2.0
"""A device-minute looks busy when its mean utilisation is above this; NVML shows 0-2 % on an idle device.

For pictures of now and of devices: what a tenant made of a minute is the word of `allocations.selectors.usage` alone.
"""

_VALUES = ("utilisation_percent", "sm_active_percent", "memory_used_mib", "power_watts", "temperature_c")
_RAW = {"sm_active_percent": "sm_active_permille / 10.0"}
_SERIES = """
SELECT device_id, date_bin(make_interval(secs => %(step)s), {at}, %(start)s::timestamptz) AS bin, {values}
FROM {table}
WHERE device_id = ANY(%(devices)s::bigint[]) AND {at} >= %(start)s::timestamptz AND {at} < %(end)s::timestamptz
GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Point:
    """Means of one device over one step that begins at `at`; None where it said nothing."""

    device_id: int
    at: datetime
    utilisation_percent: float | None
    sm_active_percent: float | None
    memory_used_mib: float | None
    power_watts: float | None
    temperature_c: float | None


def latest(devices: Iterable[Device | int]) -> dict[int, LatestSample]:
    """The newest sample of each device (by id); devices that were never heard of are missing."""
    ids = [device if isinstance(device, int) else device.pk for device in devices]
    return LatestSample.objects.in_bulk(ids)


def series(device_ids: Iterable[int], start: datetime, end: datetime, step_seconds: int) -> list[Point]:
    """Means by device and step in [start, end), oldest first; a step without data has no point.

    Below a minute they come from raw samples (kept a week), else from minutes.
    """
    raw = step_seconds < 60
    sql = _SERIES.format(
        at="at" if raw else "minute",
        table="telemetry_sample" if raw else "telemetry_deviceminute",
        values=", ".join(f"avg({_RAW.get(name, name) if raw else name})::float8" for name in _VALUES),
    )
    window = {"devices": list(device_ids), "start": start, "end": end, "step": max(1, step_seconds)}
    return [Point(*row) for row in _rows(sql, window)]


def deliveries_taken() -> int:
    """How many deliveries of all nodes were taken since what is kept of them."""
    return int(
        _rows("SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM telemetry_samplefeed, unnest(seen) AS r", {})[0][0]
    )


def _rows(sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
