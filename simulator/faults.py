"""Faults: what can be put into a node, what each does to the device's counters, and how it is taken out again.

The shim itself acts on hangs, errors, missing symbols and the version mismatch, because they befall calls; all others
are conditions of a device, derived anew from the active faults at every step.
"""

from __future__ import annotations

from typing import Any

from simulator import layout

KINDS = layout.FAULT_KINDS[1:]
EVENT_DOUBLE_BIT_ECC, EVENT_XID = 2, 8
LOST_XID, MANY_SBE_XID, RECOVERY_XID = 79, 92, 154
OUTLIVE_A_REBOOT = ("remap_failed", "missing_symbol", "pcie_width", "thermal", "power_brake", "nvlink_down")
STORM_A_SECOND = 200  # corrected errors of a storm, where no rate is named
LINK_ERRORS_A_SECOND = 25
# What an XID does besides its event (nvidia.com, XID catalogue): the condition that the driver reports with it.
XID_CONDITIONS = {
    48: "ecc_dbe",
    63: "remap_pending",
    64: "remap_failed",
    74: "nvlink_down",
    79: "gpu_lost",
    94: "remap_pending",
}
XID_NEEDS_RESET = (46, 62, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158)


def inject(
    view: Any,
    kind: str,
    *,
    gpu: int | None = None,
    code: int = 0,
    call: str = "",
    seconds: float = 0.0,
    count: int = -1,
    memory_mib: int = 0,
    action: int = 1,
) -> None:
    """Put a fault into the node; the caller holds the writers' lock.

    gpu: the device, None for all (device conditions) or for every call (call faults). code: the XID's number, the
    NVML return code of `nvml_error`, the code that a lost device's enumeration gives (15, or 999 as seen in the
    field), the recovery action, the PCIe width, corrected errors a second, or how many double-bit errors. call: the C
    symbol, a prefix with `*`, or empty for every call. seconds: how long a call hangs or is slowed by. count: how many
    calls fail, -1 for all. memory_mib: held by no process. action: what an xid 154 asks for (field 230).
    ValueError where these do not fit.
    """
    _check(view, kind, gpu, code, call, seconds, memory_mib)
    targets = range(view.header.device_count) if gpu is None else [gpu]
    if kind == "xid":
        for index in targets:
            _xid(view, index, code, action)
        return
    if kind == "ecc_sbe_storm":
        for index in targets:
            _emit(view, index, EVENT_XID, MANY_SBE_XID)
    if kind == "gpu_lost":
        for index in targets:
            _emit(view, index, EVENT_XID, LOST_XID)
    if kind == "ecc_dbe":
        for index in targets:
            view.devices[index].ecc_dbe_aggregate += max(1, code)
            _emit(view, index, EVENT_DOUBLE_BIT_ECC, 0)
    if kind in ("remap_pending", "remap_failed"):
        for index in targets:
            view.devices[index].remap_uncorrectable += 1
    _record(view, kind, gpu, code, call, seconds, count, memory_mib)


def clear(view: Any, kind: str | None = None, gpu: int | None = None) -> int:
    """End faults: all, or those of a kind, or those of a device. Returns how many. The caller holds the lock."""
    number = None if kind is None else layout.FAULT_KINDS.index(kind)
    cleared = 0
    for fault in view.faults:
        if fault.active and (number is None or fault.kind == number) and (gpu is None or fault.device == gpu):
            fault.active = 0
            cleared += 1
    settle(view)
    return cleared


def settle(view: Any) -> None:
    """Forget used-up errors and count what is active, so that the shim's usual path stays one comparison."""
    spent = layout.FAULT_KINDS.index("nvml_error")
    for fault in view.faults:
        if fault.active and fault.kind == spent and fault.remaining == 0:
            fault.active = 0
    view.header.fault_count = sum(1 for fault in view.faults if fault.active)


def active(view: Any, kind: str, index: int) -> bool:
    """Whether a fault of that kind touches the device."""
    return any(True for _ in _of(view, kind, index))


def show(view: Any, device: Any, index: int) -> None:
    """Write a device's conditions from the active faults; the caller holds the device's seqlock."""
    lost = list(_of(view, "gpu_lost", index))
    device.lost, device.lost_code = int(bool(lost)), lost[0].code if lost else 0
    device.ecc_dbe_volatile = sum(max(1, fault.code) for fault in _of(view, "ecc_dbe", index))
    device.remap_pending = int(active(view, "remap_pending", index))
    device.remap_failure = int(active(view, "remap_failed", index))
    device.zombie_bytes = sum(fault.memory_bytes for fault in _of(view, "zombie_mem", index))
    device.pcie_width = min([*(f.code or 8 for f in _of(view, "pcie_width", index)), device.pcie_width_max])
    device.nvlink_down_mask = 1 if active(view, "nvlink_down", index) and device.nvlink_count else 0
    asked = [fault.code for fault in _of(view, "recovery_action", index)]
    needs_reset = device.ecc_dbe_volatile or device.remap_pending or device.remap_failure
    device.recovery_action = max([*asked, int(bool(needs_reset))])


def wear(view: Any, device: Any, index: int, seconds: float) -> None:
    """Let the counters of lasting faults grow over a time; the caller holds the device's seqlock."""
    for fault in _of(view, "ecc_sbe_storm", index):
        errors = round((fault.code or STORM_A_SECOND) * seconds)
        device.ecc_sbe_volatile += errors
        device.ecc_sbe_aggregate += errors
    if device.nvlink_count and active(view, "nvlink_errors", index):
        device.nvlink_replay += round(LINK_ERRORS_A_SECOND * seconds)
        device.nvlink_recovery += round(LINK_ERRORS_A_SECOND * seconds / 10)


def hold_stuck(view: Any) -> None:
    """Processes of a device with stuck processes stay on it, killed or not, until the fault is cleared."""
    for slot in view.processes:
        if slot.in_use or slot.stuck:
            slot.stuck = int(bool(slot.in_use) and active(view, "stuck_process", slot.device))


def reset(view: Any, index: int) -> None:
    """What a reset of the device mends: volatile counters, what waits for a reset, a recovery action that asks for one.

    Not a lost device, nor rows that could not be remapped: those stay. The caller has made sure that nobody is on it.
    """
    mended = ("ecc_dbe", "remap_pending", "recovery_action", "ecc_sbe_storm", "zombie_mem", "nvlink_errors")
    for kind in mended:
        clear(view, kind, index)
    device = view.devices[index]
    device.ecc_sbe_volatile = 0
    device.retired_pending = 0


def listing(view: Any) -> list[dict[str, Any]]:
    """The active faults as plain data."""
    return [
        {
            "kind": layout.FAULT_KINDS[fault.kind],
            "gpu": None if fault.device == layout.ALL_DEVICES else fault.device,
            "code": fault.code,
            "call": fault.call.decode(),
            "seconds": fault.duration_ms / 1000,
            "remaining": fault.remaining,
            "memory_mib": fault.memory_bytes >> 20,
        }
        for fault in view.faults
        if fault.active
    ]


def _of(view: Any, kind: str, index: int) -> Any:
    if not view.header.fault_count:  # the usual case, asked several times a tick for every device
        return ()
    number = layout.FAULT_KINDS.index(kind)
    return (
        fault
        for fault in view.faults
        if fault.active and fault.kind == number and fault.device in (index, layout.ALL_DEVICES)
    )


def _check(view: Any, kind: str, gpu: int | None, code: int, call: str, seconds: float, memory_mib: int) -> None:
    if kind not in KINDS:
        raise ValueError(f"no fault {kind!r}; there are: {', '.join(KINDS)}")
    if gpu is not None and not 0 <= gpu < view.header.device_count:
        raise ValueError(f"no device {gpu}: the node has 0 to {view.header.device_count - 1}")
    if kind == "xid" and code <= 0:
        raise ValueError("an xid fault needs its number")
    if kind in ("nvml_hang", "nvml_slow") and seconds <= 0:
        raise ValueError("a call that hangs or is slow needs a number of seconds above 0")
    if kind == "nvml_error" and code <= 0:
        raise ValueError("an nvml_error fault needs an NVML return code above 0")
    if kind == "missing_symbol" and not call:
        raise ValueError("a missing symbol needs its name")
    if kind == "zombie_mem" and memory_mib <= 0:
        raise ValueError("zombie memory needs a number of MiB above 0")
    if len(call) > 63 or code < 0:
        raise ValueError("a call's name has at most 63 letters, and a code is not negative")


def _record(
    view: Any, kind: str, gpu: int | None, code: int, call: str, seconds: float, count: int, memory_mib: int
) -> None:
    slot = next((fault for fault in view.faults if not fault.active), None)
    if slot is None:
        raise ValueError(f"the node holds {layout.MAX_FAULTS} faults at most; clear some")
    view.header.fault_serial += 1
    slot.id, slot.kind = view.header.fault_serial, layout.FAULT_KINDS.index(kind)
    slot.device = layout.ALL_DEVICES if gpu is None else gpu
    slot.code, slot.call, slot.duration_ms = code, call.encode(), int(seconds * 1000)
    slot.remaining, slot.memory_bytes = count, memory_mib << 20
    slot.active = 1
    settle(view)


def _xid(view: Any, index: int, number: int, action: int) -> None:
    condition = XID_CONDITIONS.get(number)
    if condition == "gpu_lost":
        inject(view, condition, gpu=index)
        return
    _emit(view, index, EVENT_XID, number)
    if condition:
        inject(view, condition, gpu=index)
    elif number == RECOVERY_XID:
        inject(view, "recovery_action", gpu=index, code=action)
    elif number in XID_NEEDS_RESET:
        inject(view, "recovery_action", gpu=index, code=1)


def _emit(view: Any, index: int, kind: int, data: int) -> None:
    """Append to the event ring; the count moves last, because it is what readers look at."""
    slot = view.events[view.header.event_count % layout.MAX_EVENTS]
    slot.at_ns, slot.type, slot.data, slot.device = view.header.clock_ns, kind, data, index
    view.header.event_count += 1
