"""What a sample may say: parsing and bounds. Pure, no rows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

FUTURE_TOLERANCE = timedelta(minutes=10)
PAST_TOLERANCE = timedelta(hours=2)
COLUMNS = (
    "utilisation_percent",
    "sm_active_percent",
    "tensor_active_percent",
    "memory_used_mib",
    "power_watts",
    "energy_mj",
    "temperature_c",
    "process_count",
)
_WHOLE = {"utilisation_percent", "memory_used_mib", "energy_mj", "temperature_c", "process_count"}
_BOUNDS: dict[str, tuple[float, float]] = {
    "utilisation_percent": (0, 100),
    "sm_active_percent": (0, 100),
    "tensor_active_percent": (0, 100),
    "memory_used_mib": (0, 2**31 - 1),
    "power_watts": (0, 5_000),
    "energy_mj": (0, 2**63 - 1),
    "temperature_c": (-40, 150),
    "process_count": (0, 32_767),
}


@dataclass(frozen=True)
class Known:
    """A device as ingest needs it."""

    device_id: int
    memory_mib: int


@dataclass
class Counts:
    """What became of a batch: rows accepted, rows refused (unknown device, bad time, malformed), values made null."""

    accepted: int = 0
    unknown_devices: int = 0
    bad_times: int = 0
    malformed: int = 0
    bad_values: int = 0


Row = tuple[Any, ...]  # device_id, at, then COLUMNS


def parse(samples: list[Any], known: Mapping[str, Known], now: datetime) -> tuple[list[Row], Counts]:
    """Rows ready for the table and the counts of what was refused. One row a device and moment; the first one wins."""
    counts = Counts()
    rows: dict[tuple[int, datetime], Row] = {}
    for sample in samples:
        if not isinstance(sample, dict):
            counts.malformed += 1
            continue
        uuid = sample.get("uuid")
        device = known.get(uuid) if isinstance(uuid, str) else None
        if device is None:
            counts.unknown_devices += 1
            continue
        at = moment(sample.get("at"))
        if at is None or not now - PAST_TOLERANCE <= at <= now + FUTURE_TOLERANCE:
            counts.bad_times += 1
            continue
        rows.setdefault((device.device_id, at), _row(sample, device, at, counts))
    return list(rows.values()), counts


def moment(value: Any) -> datetime | None:
    """A time from epoch seconds; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e11:
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _row(sample: Mapping[str, Any], device: Known, at: datetime, counts: Counts) -> Row:
    values = []
    for column in COLUMNS:
        given = sample.get(column)
        value = _number(column, given, device)
        counts.bad_values += given is not None and value is None
        values.append(value)
    return (device.device_id, at, *values)


def _number(column: str, value: Any, device: Known) -> int | float | None:
    """The value inside its physical bounds; None where NVML said nothing or something impossible."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    low, high = _BOUNDS[column]
    if column == "memory_used_mib":
        high = device.memory_mib
    if not low <= value <= high:
        return None
    return int(value) if column in _WHOLE else float(value)
