"""The kernel's log of a simulated node: the driver's XID lines beside the state file, in /dev/kmsg's record format."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from simulator import layout
from simulator.faults import EVENT_XID

WORDS = {
    13: "Graphics Exception",
    31: "MMU Fault",
    43: "Ch 00000010",
    48: "DBE (double bit error)",
    63: "Row Remapper: New row marked for remapping",
    64: "Row Remapper: failed to remap",
    74: "NVLink: fatal error detected",
    79: "GPU has fallen off the bus.",
    94: "Contained ECC error",
    95: "Uncontained ECC error",
    119: "Timeout after 45s of waiting for RPC response from GSP!",
    154: "GPU recovery action changed",
}


def path_of(state: Path) -> Path:
    """Where the log of a state file lies."""
    return state.with_name(f"{state.name}.kmsg")


def begin(state: Path) -> None:
    """An empty log, as after a boot."""
    path_of(state).write_text("")


def write(state: Path, view: Any, since: int) -> None:
    """Append a line for each XID event from number `since` on. The caller holds the writers' lock.

    Records are `priority,sequence,microseconds since boot,flags;text` (kernel.org, ABI/testing/dev-kmsg).
    """
    now_us = int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6)
    lines = []
    for number in range(since, view.header.event_count):
        event = view.events[number % layout.MAX_EVENTS]
        if event.type == EVENT_XID:
            device = view.devices[event.device]
            where = f"{device.pci_domain:04x}:{device.pci_bus:02x}:{device.pci_device:02x}"
            text = (
                f"NVRM: Xid (PCI:{where}): {event.data}, pid='<unknown>', name=<unknown>, {WORDS.get(event.data, '')}"
            )
            lines.append(f"4,{number + 1},{now_us},-;{text}\n")
    if lines:
        with path_of(state).open("a") as file:
            file.writelines(lines)
