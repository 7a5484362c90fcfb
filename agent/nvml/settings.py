"""What root may change on a device."""

from __future__ import annotations

from typing import Any

import pynvml  # type: ignore[import-untyped, unused-ignore]

from agent.device_records import ComputeMode, NvmlError, Setting, SettingValue
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
    lowest, highest = call(pynvml.nvmlDeviceGetPowerManagementLimitConstraints, handle)
    if not lowest <= limit_mw <= highest:  # the driver says so as well; what root is asked for is not left to it
        raise NvmlError("INVALID_ARGUMENT", "nvmlDeviceSetPowerManagementLimit")
    call(pynvml.nvmlDeviceSetPowerManagementLimit, handle, limit_mw)


def unlock_clocks(uuid: str) -> None:
    """Take back a range of clocks that somebody locked. Root only."""
    call(pynvml.nvmlDeviceResetGpuLockedClocks, handle_of(uuid))


def set_device(uuid: str, setting: Setting, value: SettingValue) -> None:
    """One setting by its name; INVALID_ARGUMENT where the value is none of it."""
    wanted: Any = value
    if setting == "persistence_mode" and isinstance(value, bool):
        set_persistence_mode(uuid, value)
    elif setting == "compute_mode" and value in numbers.COMPUTE_MODES.values():
        set_compute_mode(uuid, wanted)
    elif setting == "power_limit" and (value is None or type(value) in (int, float)):
        set_power_limit(uuid, wanted)
    elif setting == "locked_clocks" and value is None:
        unlock_clocks(uuid)
    else:
        raise NvmlError("INVALID_ARGUMENT", setting)
