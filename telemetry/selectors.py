"""What the devices measured. Every answer is one query, whatever the number of devices."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from cluster.models import Device
from telemetry.models import LatestSample

USED_ABOVE_PERCENT = 2.0
"""A device-minute counts as used when its mean utilisation is above this; NVML shows 0-2 % on an idle device.

Source: the idle heuristic in use elsewhere (utilisation <= 2 % a minute); SM activity and power refine it later.
"""

_USE = """
SELECT coalesce(sum(seconds) FILTER (WHERE utilisation_percent > %(above)s), 0),
       coalesce(sum(seconds) FILTER (WHERE utilisation_percent <= %(above)s), 0)
FROM (
    SELECT utilisation_percent, extract(epoch FROM
        least(minute + interval '1 minute', %(end)s::timestamptz) - greatest(minute, %(start)s::timestamptz)) AS seconds
    FROM telemetry_deviceminute
    WHERE device_id = ANY(%(devices)s::bigint[])
      AND minute > %(start)s::timestamptz - interval '1 minute' AND minute < %(end)s::timestamptz
) AS minutes
"""
_USE_OF = """
SELECT whose, coalesce(sum(seconds) FILTER (WHERE utilisation_percent > %(above)s), 0),
       coalesce(sum(seconds) FILTER (WHERE utilisation_percent <= %(above)s), 0)
FROM (
    SELECT span.whose, m.utilisation_percent, extract(epoch FROM
        least(m.minute + interval '1 minute', %(end)s::timestamptz) - greatest(m.minute, span.start)) AS seconds
    FROM unnest(%(whose)s::bigint[], %(devices)s::bigint[], %(starts)s::timestamptz[]) AS span (whose, device_id, start)
    JOIN telemetry_deviceminute m ON m.device_id = span.device_id
     AND m.minute > span.start - interval '1 minute' AND m.minute < %(end)s::timestamptz
) AS minutes
GROUP BY 1
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
class MeasuredUse:
    """Device-seconds of which there is a measurement; the rest of the window is a gap, not idleness."""

    used_seconds: int
    idle_seconds: int


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


def measured_use(device_ids: Iterable[int], start: datetime, end: datetime) -> MeasuredUse:
    """Used and idle device-seconds in [start, end), from minutes; minutes at the edges count in part."""
    window = {"devices": list(device_ids), "start": start, "end": end, "above": USED_ABOVE_PERCENT}
    used, idle = _rows(_USE, window)[0]
    return MeasuredUse(used_seconds=int(used), idle_seconds=int(idle))


def measured_use_of(spans: Iterable[tuple[int, int, datetime]], end: datetime) -> dict[int, MeasuredUse]:
    """Used and idle device-seconds of many spans up to one moment: (whose, device's key, start), by whose. One query.

    Whoever has no measurement at all is missing.
    """
    rows = list(spans)
    columns = [[row[place] for row in rows] for place in range(3)]
    values = dict(zip(("whose", "devices", "starts"), columns, strict=True)) | {"end": end, "above": USED_ABOVE_PERCENT}
    return {key: MeasuredUse(int(used), int(idle)) for key, used, idle in _rows(_USE_OF, values)}


def used_device_seconds(device_ids: Iterable[int], start: datetime, end: datetime) -> int:
    """Device-seconds measured as used in [start, end)."""
    return measured_use(device_ids, start, end).used_seconds


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
