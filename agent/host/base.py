"""The port to a host: how a lease's people get in, and how everything of theirs is ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from agent.device_records import Layout, MigInstance, Setting, SettingValue
from agent.journal import LocalLease


@dataclass(frozen=True)
class Door:
    """Where tenants come in by SSH; host_key is an OpenSSH public key line."""

    host: str
    port: int
    host_key: str


@dataclass(frozen=True)
class Ended:
    """What ending access did: how many processes were ended, and which PIDs would not go."""

    killed: int
    remaining: tuple[int, ...]


@dataclass(frozen=True)
class Share:
    """Which part of the machine goes with a lease's devices. The caller asks the driver for all of it.

    `device_minors`: minor numbers of the leased devices (nvmlDeviceGetMinorNumber), the N of /dev/nvidiaN.
    `node_devices`: (minor number, NUMA node) of every device of the machine, leased or not; -1 where the driver or
    /sys/bus/pci/devices/<bus id>/numa_node names none. The leased devices' part of each NUMA node's cores and memory is
    counted from it, so it must be the same for every lease of a machine.
    `parts`: (minor number, GPU instance, compute instance) of each leased MIG device, whose GPU is in `device_minors`.
    """

    device_minors: tuple[int, ...]
    node_devices: tuple[tuple[int, int], ...]
    parts: tuple[tuple[int, int, int], ...] = ()


class HostError(Exception):
    """The host could not do it. `code` goes into the command's answer."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Host(Protocol):
    """All verbs may be repeated."""

    def door(self) -> Door:
        """The SSH door; HostError where there is none yet."""

    def open_access(self, lease: LocalLease, share: Share | None = None) -> None:
        """Make the login ready. It is let in once the journal says `granted`.

        `share` is what the lease may use of the machine. A host that needs one asks the driver where none is given;
        HostError `no_share` where that does not tell either.
        """

    def end_access(self, lease: LocalLease, device_uuids: tuple[str, ...]) -> Ended:
        """Block logins, end every process of the lease, and every process of a lease's on these devices."""

    def reshape_access(self, lease: LocalLease, leaving: tuple[str, ...], share: Share | None = None) -> Ended:
        """From now on the lease may use exactly `lease.device_uuids`; what runs on the `leaving` ones is ended.

        The login, its files, its sessions and what runs on the other devices alone stay. `share` as in `open_access`.
        """

    def clean_up(self, lease: LocalLease) -> None:
        """Remove what the lease's people left behind; HostError where something stays."""

    def refuse_certificates(self, serials: Iterable[int]) -> None:
        """Let nobody in with these certificates any more, nor with those refused before. Serials from 1 to 2^64-1."""

    def set_device(self, uuid: str, setting: Setting, value: SettingValue) -> None:
        """Change a setting of a device that no login has; HostError `device_of_a_login` where one has it.

        Any other refusal has NVML's code (NO_PERMISSION, INVALID_ARGUMENT, STALLED, ...).
        """

    def partition_device(self, uuid: str, layout: Layout) -> tuple[MigInstance, ...]:
        """Make a device have exactly this MIG layout; the instances that there are then, with their places.

        What is there already stays, with its UUID. HostError `device_of_a_login` where a login has the device, or an
        instance that would go; else NVML's code: IN_USE, RESET_REQUIRED, INVALID_ARGUMENT, NOT_SUPPORTED, ...
        """

    def agent_stops(self) -> Ended:
        """The agent is going: end what must not outlive it."""


class DoorKeeper(Protocol):
    """What the keeper runs beside the host, in its event loop."""

    async def start(self) -> Door | None:
        """Open the door, or see that it is open; None where it is not."""

    async def watch(self) -> None:
        """Hold the door to what the journal grants; runs until cancelled."""

    async def stop(self) -> None:
        """The keeper is going."""
