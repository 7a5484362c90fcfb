"""What a sample may say: parsing and bounds. Pure, no rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

FUTURE_TOLERANCE = timedelta(minutes=10)
PAST_TOLERANCE = timedelta(hours=2)
STEPS_A_SECOND = 2
"""Of a device one sample in half a second at most: twenty times what an agent sends, however much one floods."""
DIGITS = 3
"""Behind the point: what is finer than any sensor, and too small for the database's number, is nothing."""
PROCESSES_KEPT = 32
NAME_LENGTH = 80
COLUMNS = (
    "energy_mj",
    "memory_used_mib",
    "power_watts",
    "utilisation_percent",
    "temperature_c",
    "process_count",
    "sm_active_permille",
    "tensor_active_permille",
)
_SENT_AS = {"sm_active_permille": "sm_active_percent", "tensor_active_permille": "tensor_active_percent"}
_WHOLE, _OF_MEMORY, _PERMILLE, _FINE = "whole", "of memory", "permille", "fine"
_KINDS: dict[str, tuple[float, float, str]] = {
    "utilisation_percent": (0, 100, _WHOLE),
    "sm_active_permille": (0, 100, _PERMILLE),
    "tensor_active_permille": (0, 100, _PERMILLE),
    "memory_used_mib": (0, 0, _OF_MEMORY),
    "power_watts": (0, 5_000, _FINE),
    "energy_mj": (0, 2**63 - 1, _WHOLE),
    "temperature_c": (-40, 150, _WHOLE),
    "process_count": (0, 32_767, _WHOLE),
}
_FIGURES = tuple((_SENT_AS.get(column, column), *_KINDS[column]) for column in COLUMNS)
"""Of each column: what it is called on the wire, the least and the most that it may be (of memory: what there is), and
what is kept of it.
"""
_POWER, _UTILISATION = COLUMNS.index("power_watts"), COLUMNS.index("utilisation_percent")


@dataclass(frozen=True)
class Known:
    """A device as ingest needs it: `newest_at` is the latest moment of which there is a sample."""

    device_id: int
    memory_mib: int
    newest_at: datetime | None = None


@dataclass
class Counts:
    """What became of a batch: rows accepted, rows refused (unknown device, bad time, malformed), values made null."""

    accepted: int = 0
    unknown_devices: int = 0
    bad_times: int = 0
    malformed: int = 0
    bad_values: int = 0


Row = tuple[Any, ...]  # device_id, at, then COLUMNS


@dataclass
class Parsed:
    """Rows ready for the table, the counts of what was refused, and the processes that came with the newest row of
    each device.
    """

    rows: list[Row] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    processes: dict[int, list[dict[str, Any]]] = field(default_factory=dict)


def parse(samples: list[Any], known: Mapping[str, Known], now: datetime) -> Parsed:
    """Judge each sample by itself. Of a device one row in half a second; the first one wins."""
    parsed, counts = Parsed(), Counts()
    rows: dict[tuple[int, int], tuple[Row, Any]] = {}
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
        rows.setdefault((device.device_id, step_of(at)), (_row(sample, device, at, counts), sample.get("processes")))
    newest: dict[int, datetime] = {}
    for row, said in rows.values():
        parsed.rows.append(row)
        if row[0] not in newest or row[1] > newest[row[0]]:
            newest[row[0]] = row[1]
            parsed.processes[row[0]] = processes(said)
    parsed.counts = counts
    return parsed


def step_of(at: datetime) -> int:
    """The number of the half second that a moment lies in."""
    return int(at.timestamp() * STEPS_A_SECOND)


def moment(value: Any) -> datetime | None:
    """A time from epoch seconds; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e11:
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def processes(said: Any) -> list[dict[str, Any]]:
    """The processes of a sample as they are kept: at most 32, those with the most memory first; what is no process is
    left out.
    """
    if not isinstance(said, list):
        return []
    found = [_process(each) for each in said[: 8 * PROCESSES_KEPT] if isinstance(each, dict)]
    kept = [each for each in found if each is not None]
    return sorted(kept, key=lambda each: (-(each["memory_mib"] or 0), each["pid"]))[:PROCESSES_KEPT]


def _process(said: Mapping[str, Any]) -> dict[str, Any] | None:
    pid, memory = _whole(said.get("pid")), _whole(said.get("memory_mib"))
    if not pid:
        return None
    return {"pid": pid, "name": _text(said.get("name")), "memory_mib": memory, "user": _text(said.get("user"))}


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def _text(value: Any) -> str:
    """Printable, short; what the database could not keep (a zero byte, half a surrogate) is gone."""
    if not isinstance(value, str):
        return ""
    short = value[:NAME_LENGTH]
    return short if short.isprintable() else "".join(c for c in short if c.isprintable())


def _row(sample: Mapping[str, Any], device: Known, at: datetime, counts: Counts) -> Row:
    values: list[Any] = []
    for sent_as, low, high, kind in _FIGURES:
        given = sample.get(sent_as)
        value = _number(given, low, device.memory_mib if kind is _OF_MEMORY else high, kind)
        if value is None and given is not None:
            counts.bad_values += 1
        values.append(value)
    if values[_POWER] == 0 and values[_UTILISATION]:  # nothing works without power: the sensor is wrong
        values[_POWER] = None
        counts.bad_values += 1
    return (device.device_id, at, *values)


def _number(value: Any, low: float, high: float, kind: str) -> int | float | None:
    """The value inside its physical bounds; None where NVML said nothing or something impossible."""
    if type(value) is not int and type(value) is not float:  # nor a bool, which is an int
        return None
    if not low <= value <= high:  # what is no number compares with nothing, the infinite is out of any bounds
        return None
    if kind is _PERMILLE:
        return round(value * 10)
    return round(float(value), DIGITS) if kind is _FINE else int(value)
