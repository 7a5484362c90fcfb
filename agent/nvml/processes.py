"""Who is on a device."""

from __future__ import annotations

from functools import partial
from typing import Any

import pynvml  # type: ignore[import-untyped, unused-ignore]

from agent.device_records import DeviceProcess
from agent.nvml.library import call, optional

MIB = 1 << 20


def processes(handle: Any) -> tuple[DeviceProcess, ...]:
    """Compute, graphics and MPS processes, each PID once. NvmlError only where the compute list itself fails."""
    found: dict[int, int | None] = {}
    for kind in ("Compute", "Graphics", "MPSCompute"):
        names = [f"nvmlDeviceGet{kind}RunningProcesses_v{version}" for version in (3, 2)]
        lists = [partial(call, getattr(pynvml, name), handle) for name in names if hasattr(pynvml, name)]
        for entry in optional(*lists) or ():
            used = entry.usedGpuMemory
            found[int(entry.pid)] = None if used is None else int(used) // MIB
    return tuple(DeviceProcess(pid, held) for pid, held in sorted(found.items()))
