"""What a device reset and a reboot of the node mend, and what they cannot: a broken board stays broken."""

from __future__ import annotations

from typing import Any

from simulator import faults, layout
from simulator.state import writing

DRIVER_FAULTS = ("nvml_hang", "nvml_slow", "nvml_error", "lib_rm_mismatch")
RESET_MENDS = ("ecc_dbe", "remap_pending", "nvlink_down", "zombie_mem", "recovery_action")
REBOOT_MENDS = (*RESET_MENDS, *DRIVER_FAULTS, "gpu_lost", "stuck_process")
AMPERE = 7  # keeps its MIG mode in the InfoROM; later boards forget it with the driver
RESET_ACTIONS = (1, 4)  # reset, drain and reset: any other asks for more than a reset of the device


class ResetRefused(RuntimeError):
    """The device cannot be reset: a process holds it, or it is off the bus."""


def reset(view: Any, gpu: int) -> None:
    """Reset a device as `nvidia-smi --gpu-reset` does. The caller holds the writers' lock and has purged dead jobs.

    ValueError for a device that is not there, ResetRefused while a process holds it or where it is lost.
    """
    if not 0 <= gpu < view.header.device_count:
        raise ValueError(f"no device {gpu}: the node has 0 to {view.header.device_count - 1}")
    if view.devices[gpu].lost:
        raise ResetRefused(f"device {gpu} is lost: only a reboot or a power cycle may bring it back")
    holders = sorted({slot.pid for slot in view.processes if slot.in_use and slot.device == gpu})
    if holders:
        raise ResetRefused(f"device {gpu} is in use by {', '.join(map(str, holders))}")
    for kind in RESET_MENDS:
        faults.lift(view, kind, gpu, only=RESET_ACTIONS if kind == "recovery_action" else None)
    with writing(view.devices[gpu]) as device:
        _restart(device)
    _unite(view, gpu)


def reboot(view: Any) -> list[int]:
    """Start the node afresh. Returns the PIDs that were on its devices. The caller holds the writers' lock.

    Settings that live in the driver fall back to their defaults; the aggregate counters and failed remaps stay.
    """
    pids = sorted({slot.pid for slot in view.processes if slot.in_use})
    for slot in view.processes:
        slot.in_use = slot.stuck = 0
    for gpu in range(view.header.device_count):
        for kind in REBOOT_MENDS:
            faults.lift(view, kind, gpu)
        with writing(view.devices[gpu]) as device:
            _restart(device)
            device.persistence_mode = device.compute_mode = device.accounting_mode = 0
            device.energy = device.energy_mj = 0
            device.mig_mode = device.mig_mode if device.architecture == AMPERE else 0
        _unite(view, gpu)
    for fault in view.faults:
        if fault.active and layout.FAULT_KINDS[fault.kind] in DRIVER_FAULTS:
            fault.active = 0
    if not view.header.serve_pid:  # a served node keeps the machine's own clock
        view.header.boot_ns = view.header.clock_ns
    view.header.boots += 1
    return pids


def _unite(view: Any, gpu: int) -> None:
    """MIG instances live in the driver alone: a reset takes them away and leaves the mode."""
    for instance in view.partitions[gpu].instances:
        instance.in_use = 0


def _restart(device: Any) -> None:
    device.ecc_sbe_volatile = device.ecc_dbe_volatile = 0
    device.nvlink_replay = device.nvlink_recovery = device.nvlink_crc_flit = device.nvlink_crc_data = 0
    device.pcie_replay = device.locked_clock = 0
    device.ecc_mode = device.ecc_pending
    device.power_limit_mw = device.power_default_mw
