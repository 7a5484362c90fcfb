"""A host without root: tenants are real processes of the current user, their homes are folders."""

from __future__ import annotations

import json
from pathlib import Path

from agent import nvml
from agent.device_records import NvmlError
from agent.host import processes
from agent.host.base import Door, Ended, HostError
from agent.host.processes import Seen
from agent.journal import Journal, LocalLease


class SandboxHost:
    """See Host. Everything lives under one folder."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._homes = folder / "homes"
        self._journal = journal

    def door(self) -> Door:
        """See Host. The keeper, whose door it is, leaves the address in the journal."""
        said = self._journal.fact("door")
        if said is None:
            raise HostError("door_closed")
        return Door(**json.loads(said))

    def home(self, login: str) -> Path:
        """The login's folder, made where it is missing."""
        self._homes.mkdir(parents=True, exist_ok=True)
        home = self._homes / login
        home.mkdir(mode=0o700, exist_ok=True)
        home.chmod(0o700)
        return home

    def open_access(self, lease: LocalLease) -> None:
        """See Host."""
        try:
            self.home(lease.login)
        except OSError as error:
            raise HostError("no_home") from error

    def end_access(self, lease: LocalLease, device_uuids: tuple[str, ...]) -> Ended:
        """See Host. The door closes the sessions itself as soon as the journal no longer says `granted`."""
        node = self._journal.fact("node") or ""
        return processes.end(lambda: processes.of_lease(lease.lease, node) | _on_devices(device_uuids))

    def end_everything(self) -> Ended:
        """End the processes of every lease of this node: the agent is going."""
        node = self._journal.fact("node") or ""
        return processes.end(lambda: processes.of_lease(None, node))


def _on_devices(device_uuids: tuple[str, ...]) -> set[Seen]:
    found: set[Seen] = set()
    for uuid in device_uuids:
        try:
            entries = nvml.processes_on([uuid])[uuid]
        except NvmlError:  # the check after the revocation will say so; processes of the lease are found anyway
            continue
        found |= {seen for entry in entries if (seen := processes.look(entry.pid)) is not None}
    return found
