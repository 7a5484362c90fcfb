"""The kernel's log of XIDs: `<state>.kmsg`, in the record format of /dev/kmsg, worded as the driver words it.

A reader that registers for events only later finds there what happened before. A reboot starts the file afresh.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulator import layout

EVENT_XID = 8
PRIORITY = 3  # kern.err
TEXTS = {
    13: "Graphics Exception: ESR 0x404600=0x80000002",
    31: "Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS faulted @ 0x7f3c_00000000. Fault is of type FAULT_PDE",
    43: "Ch 00000008, Channel stopped by the GPU",
    48: "DBE (double bit error) ECC Error has been detected on the GPU in the framebuffer at partition 5",
    63: "Row Remapper: New row marked for remapping, reset gpu to activate.",
    64: "Row Remapper: Failed to remap the row.",
    74: "NVLink: fatal error detected on link 0(0x10000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)",
    79: "GPU has fallen off the bus.",
    92: "High single-bit ECC error rate",
    94: "Contained: CE User Channel (0x9). RST: No, D-RST: No",
    95: "Uncontained: FBHUB. RST: Yes, D-RST: No",
    119: "Timeout after 6s of waiting for RPC response from GPU0 GSP! Expected function 76 (GSP_RM_CONTROL)",
}
ACTIONS = {
    0: "None",
    1: "GPU Reset Required",
    2: "Node Reboot Required",
    3: "Drain P2P",
    4: "Drain and Reset",
}


def path_of(state: Path) -> Path:
    """Where the log of a node lies."""
    return state.with_name(state.name + ".kmsg")


def append(state: Path, view: Any, since: int) -> None:
    """Write a record for every XID in the event ring from number `since` on. The caller holds the writers' lock."""
    lines = []
    for number in range(max(since, view.header.event_count - layout.MAX_EVENTS), view.header.event_count):
        event = view.events[number % layout.MAX_EVENTS]
        if event.type != EVENT_XID:
            continue
        microseconds = max(0, event.at_ns - view.header.boot_ns) // 1000
        lines.append(f"{PRIORITY},{view.header.log_serial},{microseconds},-;{_text(view, event)}\n")
        view.header.log_serial += 1
    if lines:
        with path_of(state).open("a") as file:
            file.write("".join(lines))


def forget(state: Path, view: Any) -> None:
    """The ring of a kernel that has just started is empty. The caller holds the writers' lock."""
    path_of(state).unlink(missing_ok=True)
    view.header.log_serial = 0


def _text(view: Any, event: Any) -> str:
    device = view.devices[event.device]
    number = int(event.data)
    where = f"PCI:{device.bus_id_legacy.decode().lower().rsplit('.', 1)[0]}"
    who = f"pid={event.pid}, name={_name(event.pid)}" if event.pid else "pid='<unknown>', name=<unknown>"
    if number == 154:
        action = device.recovery_action
        what = f"GPU recovery action changed from 0x0 (None) to {action:#x} ({ACTIONS.get(action, 'Unknown')})"
        return f"NVRM: Xid ({where}): 154, {what}"
    return f"NVRM: Xid ({where}): {number}, {who}, {TEXTS.get(number, 'see the XID catalogue')}"


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "<unknown>"
