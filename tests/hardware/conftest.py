"""One target and one record for the run. Nothing here changes a setting of a device."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.hardware import target as targets
from tests.hardware.target import Target

HERE = Path(__file__).resolve().parent
Record = Callable[[str, Any], None]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """All of these are marked, and skipped with the reason where there is nothing to test.

    In the ordinary run they never work: it has the simulator's library in its processes, and tests beside each other.
    """
    alone = config.inipath is not None and config.inipath.parent == HERE
    why = targets.why_not() if alone else "on a GPU node, alone: make hardware"
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.hardware)
            if why:
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def target() -> Iterator[Target]:
    """The real driver, or the simulator that stands for it."""
    with targets.opened() as opened:
        yield opened


@pytest.fixture(scope="session")
def uuid(target: Target, record: Record) -> str:
    """The first device. The first call of a process starts the library, and perhaps the driver: that is timed."""
    from agent import nvml

    began = time.perf_counter()
    nvml.node_facts()
    record("init_seconds", round(time.perf_counter() - began, 4))
    return nvml.enumerate_uuids()[0][0]


@pytest.fixture(scope="session")
def record() -> Iterator[Record]:
    """Keeps what was seen, by name; written to HARDWARE_RECORD at the end, and after each entry."""
    kept: dict[str, Any] = {"at": datetime.now().astimezone().isoformat(timespec="seconds")}
    path = os.environ.get("HARDWARE_RECORD")

    def keep(name: str, seen: Any) -> None:
        kept[name] = seen
        if path:
            Path(path).write_text(json.dumps(kept, indent=1, default=_plain) + "\n")

    yield keep


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


@pytest.fixture(scope="session")
def watch(uuid: str) -> Callable[..., dict[str, Any]]:
    """Looks at the device for some seconds, as the sampler would, only more often."""
    from agent import nvml

    def look(seconds: float, every: float = 0.5) -> dict[str, Any]:
        nvml.sample(uuid)  # the interval counters begin here
        began, rows = time.monotonic(), []
        time.sleep(0.25)
        while time.monotonic() - began < seconds:
            rows.append((time.monotonic(), nvml.sample(uuid)))
            time.sleep(every)
        return summary(rows)

    return look


FIGURES = (
    *("utilisation_percent", "memory_utilisation_percent", "sm_active_percent", "tensor_active_percent"),
    *("memory_used_mib", "power_watts", "temperature_c", "memory_temperature_c", "sm_clock_mhz"),
    *("clock_event_reasons", "performance_state", "nvml_cost_us"),
)


def summary(rows: list[tuple[float, Any]]) -> dict[str, Any]:
    """Of each figure the least, the middle and the most; energy by the counter and by the power seen."""
    said: dict[str, Any] = {"looks": len(rows)}
    for name in FIGURES:
        seen = sorted(value for _, each in rows if (value := getattr(each, name)) is not None)
        said[name] = [seen[0], seen[len(seen) // 2], seen[-1]] if seen else None
    (began, first), (ended, last) = rows[0], rows[-1]
    if first.energy_mj is not None and last.energy_mj is not None and ended > began:
        said["counter_watts"] = round((last.energy_mj - first.energy_mj) / 1000 / (ended - began), 1)
        said["seen_watts"] = round(sum(each.power_watts or 0 for _, each in rows) / len(rows), 1)
        energies = [each.energy_mj for _, each in rows]
        said["energy_rises"] = energies == sorted(energies)
    said["processes"] = [asdict(each) for each in last.processes]
    return said
