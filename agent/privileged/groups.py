"""The control group of a lease's user: what they may use, who is in it, and the end of all of them at once."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from agent.privileged.files import safe_folder, write_whole
from agent.privileged.places import Places, Refused
from agent.privileged.shares import Limits
from agent.privileged.users import tool

SYSTEMD_RUNS = Path("/run/systemd/system")
CONTROL = Path("/sys/fs/cgroup")
SESSION_RULES = (Path("/etc/pam.d/sshd"), Path("/etc/pam.d/common-session"))
EMPTY_SECONDS = 5.0


class Groups(Protocol):
    """Both kinds: systemd's slices, and control groups by hand where no systemd runs."""

    def open(self, uid: int, limits: Limits, devices: tuple[Path, ...]) -> None:
        """Set the limits and allow exactly these devices. May be repeated."""

    def refit(self, uid: int, limits: Limits, devices: tuple[Path, ...], gone: tuple[Path, ...]) -> None:
        """Other limits, and other devices, for a group in which people work: `gone` are denied, the rest stays open.

        Memory is limited to no less than what is in use: nobody's work on the devices that stay is killed for it.
        """

    def folders(self, uid: int) -> list[Path]:
        """The group in each hierarchy, where it is there."""

    def close(self, uid: int) -> None:
        """Remove the group and its settings; Refused where somebody is still in it."""


def members(folders: list[Path]) -> set[int]:
    """PIDs in the groups and in those below them."""
    found: set[int] = set()
    for folder in folders:
        for above, _, _ in os.walk(folder):
            with suppress(OSError):
                found.update(int(word) for word in (Path(above) / "cgroup.procs").read_text().split())
    return found


def kill(folders: list[Path]) -> None:
    """SIGKILL to everybody in the groups at once, also to who is being forked (cgroup v2 only)."""
    for folder in folders:
        with suppress(OSError):
            (folder / "cgroup.kill").write_text("1")


def memory_in_use(folders: list[Path]) -> int:
    """Bytes that a group holds now, page cache included; 0 where no hierarchy counts them."""
    for folder in folders:
        for name in ("memory.current", "memory.usage_in_bytes"):
            with suppress(OSError, ValueError):
                return int((folder / name).read_text())
    return 0


def _at_least_in_use(limits: Limits, folders: list[Path]) -> Limits:
    return replace(limits, memory_bytes=max(limits.memory_bytes, memory_in_use(folders)))


def _text(path: Path) -> str:
    """The rules of a file that are in force."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return ""
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def choose(places: Places, parent: str) -> Groups:
    """Slices where systemd is the machine's first process, else groups by hand under `parent`."""
    return Slices(places) if SYSTEMD_RUNS.is_dir() else RawGroups(parent)


class Slices:
    """systemd's slice of a user, with a drop-in: pam_systemd puts every session into it."""

    def __init__(self, places: Places) -> None:
        self._units = places.units

    def open(self, uid: int, limits: Limits, devices: tuple[Path, ...]) -> None:
        """See Groups. Refused where no session would ever land in a slice: then every device would be open to it."""
        if not any("pam_systemd.so" in _text(path) for path in SESSION_RULES):
            raise Refused("no_pam_systemd")
        folder = safe_folder(self._drop_in(uid).parent, 0o755)
        write_whole(folder / self._drop_in(uid).name, drop_in(limits, devices), 0o644)
        tool("no_slice", "systemctl", "daemon-reload")

    def refit(self, uid: int, limits: Limits, devices: tuple[Path, ...], gone: tuple[Path, ...]) -> None:
        """See Groups. systemd puts the new list in the place of the old one; what is not in it is denied."""
        self.open(uid, _at_least_in_use(limits, self.folders(uid)), devices)

    def folders(self, uid: int) -> list[Path]:
        """See Groups."""
        roots = (CONTROL, CONTROL / "unified", CONTROL / "systemd")
        found = (root / "user.slice" / f"user-{uid}.slice" for root in roots)
        return [folder for folder in found if folder.is_dir()]

    def close(self, uid: int) -> None:
        """See Groups."""
        with suppress(Refused):  # neither need be running
            tool("no_slice", "systemctl", "stop", f"user@{uid}.service", f"user-runtime-dir@{uid}.service")
        if members(self.folders(uid)):
            raise Refused("processes_remain")
        folder = self._drop_in(uid).parent
        if folder.is_dir():
            shutil.rmtree(folder)
            tool("no_slice", "systemctl", "daemon-reload")

    def _drop_in(self, uid: int) -> Path:
        return self._units / f"user-{uid}.slice.d" / "50-lease.conf"


def drop_in(limits: Limits, devices: tuple[Path, ...]) -> str:
    """The settings of a lease's slice."""
    numbers = {"AllowedCPUs": limits.cpus, "AllowedMemoryNodes": limits.memory_nodes}
    lines = ["# Written by bitgoeul's root part; removed with the lease.", "[Slice]", "DevicePolicy=closed"]
    lines += [f"DeviceAllow={device} rw" for device in devices]
    lines += [f"{name}={' '.join(map(str, value))}" for name, value in numbers.items() if value]
    lines += [f"MemoryMax={limits.memory_bytes}", "MemorySwapMax=0", f"TasksMax={limits.tasks}"]
    return "\n".join(lines) + "\n"


STANDARD_DEVICES = ("c 1:3", "c 1:5", "c 1:7", "c 1:8", "c 1:9", "c 5:0", "c 5:2", "c 136:*")
"""null, zero, full, random, urandom, tty, ptmx, pts/*: what systemd's `closed` leaves as well."""


class RawGroups:
    """Control groups by hand. Devices are denied by the v1 `devices` controller; cgroup v2 is for ending all at once.

    For containers and tests: nothing puts a session into them but `enter`.
    """

    def __init__(self, parent: str, control: Path = CONTROL) -> None:
        self._parent = parent
        self._control = control

    def open(self, uid: int, limits: Limits, devices: tuple[Path, ...]) -> None:
        """See Groups. Refused where the machine cannot deny devices: a lease must not see its neighbour's."""
        if not (self._control / "devices/devices.deny").exists():
            raise Refused("no_device_control", "no systemd, and no cgroup v1 devices controller")
        try:
            for root in self._roots():
                (root / self._parent / str(uid)).mkdir(parents=True, exist_ok=True)
            self._deny_devices(uid, devices)
            self._set_limits(uid, limits)
        except OSError as error:
            raise Refused("no_group", str(error)) from error

    def refit(self, uid: int, limits: Limits, devices: tuple[Path, ...], gone: tuple[Path, ...]) -> None:
        """See Groups. Rule by rule: no moment in which a device that stays is denied."""
        folder = self._control / "devices" / self._parent / str(uid)
        try:
            for device in devices:
                (folder / "devices.allow").write_text(_rule(device))
            for device in gone:
                (folder / "devices.deny").write_text(_rule(device))
            self._set_limits(uid, _at_least_in_use(limits, self.folders(uid)))
        except OSError as error:
            raise Refused("no_group", str(error)) from error

    def enter(self, uid: int, pid: int) -> None:
        """Put a process, and so all that it starts, into the groups."""
        for folder in self.folders(uid):
            (folder / "cgroup.procs").write_text(str(pid))

    def folders(self, uid: int) -> list[Path]:
        """See Groups."""
        found = (root / self._parent / str(uid) for root in self._roots())
        return [folder for folder in found if folder.is_dir()]

    def close(self, uid: int) -> None:
        """See Groups."""
        until = time.monotonic() + EMPTY_SECONDS
        for folder in self.folders(uid):
            while True:
                try:
                    folder.rmdir()
                    break
                except OSError as error:  # the kernel lets go of the last process a moment after its end
                    if members([folder]) or time.monotonic() > until:
                        raise Refused("processes_remain", f"{folder}: {error}") from error
                    time.sleep(0.02)

    def _roots(self) -> list[Path]:
        names = ("devices", "memory", "cpuset", "pids", "unified")
        return [root for name in names if (root := self._control / name).joinpath("cgroup.procs").exists()]

    def _deny_devices(self, uid: int, devices: tuple[Path, ...]) -> None:
        folder = self._control / "devices" / self._parent / str(uid)
        (folder / "devices.deny").write_text("a")
        for rule in STANDARD_DEVICES:
            (folder / "devices.allow").write_text(f"{rule} rwm")
        for device in devices:
            (folder / "devices.allow").write_text(_rule(device))

    def _set_limits(self, uid: int, limits: Limits) -> None:
        cpuset = self._control / "cpuset"
        if cpuset.is_dir():  # a v1 cpuset begins empty, and nobody may enter an empty one
            for name, wanted in (("cpuset.cpus", limits.cpus), ("cpuset.mems", limits.memory_nodes)):
                everything = (cpuset / name).read_text()
                (cpuset / self._parent / name).write_text(everything)
                said = ",".join(map(str, wanted)) or everything
                (cpuset / self._parent / str(uid) / name).write_text(said)
        for path, value in (("memory/memory.limit_in_bytes", limits.memory_bytes), ("pids/pids.max", limits.tasks)):
            root, _, name = path.partition("/")
            if (folder := self._control / root / self._parent / str(uid)).is_dir():
                (folder / name).write_text(str(value))


def _rule(device: Path) -> str:
    number = device.stat().st_rdev
    return f"c {os.major(number)}:{os.minor(number)} rw"
