"""The port to a host: how a lease's people get in, and how everything of theirs is ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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


class HostError(Exception):
    """The host could not do it. `code` goes into the command's answer."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Host(Protocol):
    """All verbs may be repeated."""

    def door(self) -> Door:
        """The SSH door; HostError where there is none yet."""

    def open_access(self, lease: LocalLease) -> None:
        """Make the login ready. It is let in once the journal says `granted`."""

    def end_access(self, lease: LocalLease, device_uuids: tuple[str, ...]) -> Ended:
        """End every process of the lease, and every process on these devices. Logins are blocked already."""

    def clean_up(self, lease: LocalLease) -> None:
        """Remove what the lease's people left behind; HostError where something stays."""
