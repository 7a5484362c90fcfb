"""What root may change on a device."""

from __future__ import annotations

import pynvml  # type: ignore[import-untyped, unused-ignore]

from agent.device_records import ComputeMode
from agent.nvml import numbers
from agent.nvml.library import call, handle_of


def set_persistence_mode(uuid: str, on: bool) -> None:
    """Keep the driver loaded for the device. Root only (NvmlError NO_PERMISSION)."""
    call(pynvml.nvmlDeviceSetPersistenceMode, handle_of(uuid), int(on))


def set_compute_mode(uuid: str, mode: ComputeMode) -> None:
    """Who may open a context. Root only."""
    number = {name: value for value, name in numbers.COMPUTE_MODES.items()}[mode]
    call(pynvml.nvmlDeviceSetComputeMode, handle_of(uuid), number)


def set_power_limit(uuid: str, watts: float | None) -> None:
    """The board's power limit, None for its default. Root only; INVALID_ARGUMENT outside the board's range."""
    handle = handle_of(uuid)
    default = pynvml.nvmlDeviceGetPowerManagementDefaultLimit
    limit_mw = call(default, handle) if watts is None else round(watts * 1000)
    call(pynvml.nvmlDeviceSetPowerManagementLimit, handle, limit_mw)
