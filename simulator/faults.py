"""Faults: what can be put into a node, what each does to the device's counters, and how it is taken out again.

The shim itself acts on hangs, errors, missing symbols and the version mismatch, because they befall calls; all others
are conditions of a device, derived anew from the active faults at every step.
"""

from __future__ import annotations

from typing import Any

from simulator import layout

KINDS = layout.FAULT_KINDS[1:]
CALL_FAULTS = ("nvml_hang", "nvml_slow", "nvml_error", "missing_symbol")
EVENT_DOUBLE_BIT_ECC, EVENT_XID = 2, 8
LOST_XID, STORM_XID, ACTION_XID = 79, 92, 154
STORM_PER_SECOND, STORM_XID_FROM, STORM_XID_EVERY = 100, 10, 60  # errors a second; from which rate; seconds between
LINK_ERRORS_PER_SECOND = 20
NARROW = 8  # lanes left, where no other number is given
# What an XID does besides its event (nvidia.com, XID catalogue): the condition that the driver reports with it.
XID_CONDITIONS = {48: "ecc_dbe", 63: "remap_pending", 64: "remap_failed", 74: "nvlink_down", 79: "gpu_lost"}
XID_NEEDS_RESET = (46, 62, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158)
DRAIN_AND_RESET = 4  # of field 230: work may end first
UNCORRECTABLE_XIDS = (94, 95)


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
    action: int = 0,
) -> None:
    """Put a fault into the node; the caller holds the writers' lock.

    gpu: the device, None for all (device conditions) or for every call (call faults).
    code: the XID's number, the NVML return code of `nvml_error`, the code that a lost device's enumeration gives (15,
    or 999 as seen in the field), the recovery action, how many double-bit errors, how many errors a second
    (ecc_sbe_storm, nvlink_errors), or the lanes left (pcie_width).
    action: what XID 154 puts into field 230, 1 where left out.
    call: the C symbol, a prefix with `*`, or empty for every call.
    seconds: how long a hang lasts, or each slow call takes.
    count: how many calls fail, -1 for all.
    memory_mib: held by no process.
    ValueError where these do not fit.
    """
    _check(view, kind, gpu, code, call, seconds, memory_mib)
    targets = range(view.header.device_count) if gpu is None else [gpu]
    if kind == "xid":
        for index in targets:
            _xid(view, index, code, action)
        return
    if kind == "gpu_lost":
        for index in targets:
            _emit(view, index, EVENT_XID, LOST_XID)
    if kind == "ecc_dbe":
        for index in targets:
            _count_uncorrectable(view.devices[index], max(1, code))
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
            if layout.FAULT_KINDS[fault.kind] == "ecc_dbe":
                for index in range(view.header.device_count) if fault.device == layout.ALL_DEVICES else [fault.device]:
                    view.devices[index].ecc_dbe_volatile = 0
    settle(view)
    return cleared


def lift(view: Any, kind: str, index: int, *, only: tuple[int, ...] | None = None) -> None:
    """End a kind of fault on one device; a fault of all devices stays on the others. The caller holds the lock.

    only: the codes that end; all where left out.
    """
    for fault in list(_of(view, kind, index)):
        if only is not None and fault.code not in only:
            continue
        fault.active = 0
        if fault.device == layout.ALL_DEVICES:
            seconds, mib = fault.duration_ms / 1000, fault.memory_bytes >> 20
            for other in range(view.header.device_count):
                if other != index:
                    _record(view, kind, other, fault.code, fault.call.decode(), seconds, fault.remaining, mib)
    settle(view)


def wear(view: Any, device: Any, index: int, step_ns: int) -> None:
    """Let counters of errors rise over a step that ends now; the caller holds the device's seqlock."""
    before, after = view.header.clock_ns - step_ns, view.header.clock_ns

    def counted(rate_mhz: int) -> int:  # thousandths a second: whole numbers keep long and short steps alike
        return rate_mhz * after // 10**12 - rate_mhz * before // 10**12

    for fault in _of(view, "ecc_sbe_storm", index):
        rate = fault.code or STORM_PER_SECOND
        device.ecc_sbe_volatile += counted(1000 * rate)
        device.ecc_sbe_aggregate += counted(1000 * rate)
        every = STORM_XID_EVERY * 10**9
        if rate >= STORM_XID_FROM and before // every != after // every:
            _emit(view, index, EVENT_XID, STORM_XID)
    for fault in _of(view, "nvlink_errors", index) if device.nvlink_count else ():
        rate = fault.code or LINK_ERRORS_PER_SECOND
        device.nvlink_crc_flit += counted(1000 * rate)
        device.nvlink_replay += counted(500 * rate)
        device.nvlink_crc_data += counted(100 * rate)
        device.nvlink_recovery += counted(10 * rate)


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
    device.remap_pending = int(active(view, "remap_pending", index))
    device.remap_failure = int(active(view, "remap_failed", index))
    device.zombie_bytes = sum(fault.memory_bytes for fault in _of(view, "zombie_mem", index))
    device.nvlink_down_mask = 1 if active(view, "nvlink_down", index) and device.nvlink_count else 0
    asked = [fault.code for fault in _of(view, "recovery_action", index)]
    narrow = [fault.code or NARROW for fault in _of(view, "pcie_width", index)]
    device.pcie_width = min([device.pcie_width_max, *narrow])
    needs_reset = active(view, "ecc_dbe", index) or device.remap_pending or device.remap_failure
    device.recovery_action = max([*asked, int(bool(needs_reset))])


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
        raise ValueError("a hang or a slow call needs a number of seconds above 0")
    if kind == "pcie_width" and code not in (0, 1, 2, 4, 8, 16):
        raise ValueError("a link is 1, 2, 4, 8 or 16 lanes wide")
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


def _count_uncorrectable(device: Any, count: int) -> None:
    device.ecc_dbe_volatile += count
    device.ecc_dbe_aggregate += count


def _xid(view: Any, index: int, number: int, action: int) -> None:
    condition = XID_CONDITIONS.get(number)
    if condition == "gpu_lost":
        inject(view, condition, gpu=index)
        return
    _emit(view, index, EVENT_XID, number)
    if number in UNCORRECTABLE_XIDS:
        _count_uncorrectable(view.devices[index], 1)
    if condition:
        inject(view, condition, gpu=index)
    elif number == ACTION_XID:
        inject(view, "recovery_action", gpu=index, code=action or 1)
    elif number == 94:
        inject(view, "recovery_action", gpu=index, code=DRAIN_AND_RESET)
    elif number in XID_NEEDS_RESET:
        inject(view, "recovery_action", gpu=index, code=1)


def _emit(view: Any, index: int, kind: int, data: int) -> None:
    """Append to the event ring; the count moves last, because it is what readers look at."""
    slot = view.events[view.header.event_count % layout.MAX_EVENTS]
    slot.at_ns, slot.type, slot.data, slot.device = view.header.clock_ns, kind, data, index
    slot.pid = next((each.pid for each in view.processes if each.in_use and each.device == index), 0)
    view.header.event_count += 1
