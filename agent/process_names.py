"""What a process on a device is called, and whose it is: a short name, never the command line (it may hold secrets)."""

from __future__ import annotations

import pwd
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agent.device_records import DeviceProcess

PROCESSES_A_DEVICE = 32
NAME_CHARACTERS = 32


def named(processes: Iterable[DeviceProcess]) -> list[dict[str, Any]]:
    """The largest processes of one device, as they go over the wire; name and user None where one has gone."""
    largest = sorted(processes, key=lambda each: (-(each.memory_mib or 0), each.pid))[:PROCESSES_A_DEVICE]
    return [
        {"pid": each.pid, "name": _name(each.pid), "memory_mib": each.memory_mib, "user": _user(each.pid)}
        for each in largest
    ]


def _name(pid: int) -> str | None:
    try:
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return None
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:NAME_CHARACTERS]


def _user(pid: int) -> str | None:
    try:
        number = Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None
    try:
        return pwd.getpwuid(number).pw_name[:NAME_CHARACTERS]
    except KeyError:
        return str(number)
