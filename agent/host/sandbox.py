"""A host without root: tenants are real processes of the current user, their homes are folders."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

from agent import nvml
from agent.device_records import Layout, MigInstance, NvmlError, Setting, SettingValue
from agent.host import processes
from agent.host.base import Door, Ended, HostError, Share
from agent.host.processes import Seen
from agent.journal import Journal, LocalLease

log = logging.getLogger(__name__)
DRIVER_PATIENCE_SECONDS = 5.0  # the first call of a process may have to start the driver


def refused_fact(serial: int) -> str:
    """The journal's word for a certificate that is refused."""
    if not 0 < serial < 2**64:
        raise HostError("no_serial")
    return f"refused_certificate_{serial}"


class SandboxHost:
    """See Host. Everything lives under one folder."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._folder = folder
        self._homes = folder / "homes"
        self._journal = journal

    def mark(self) -> str:
        """What the processes of this node's tenants carry."""
        return processes.mark_of(self._journal.fact("node") or "", self._folder)

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

    def open_access(self, lease: LocalLease, share: Share | None = None) -> None:
        """See Host. A folder has no devices: the share is not looked at."""
        try:
            self.home(lease.login)
        except OSError as error:
            raise HostError("no_home") from error

    def end_access(self, lease: LocalLease, device_uuids: tuple[str, ...]) -> Ended:
        """See Host. The door closes the sessions itself as soon as the journal no longer says `granted`.

        What carries the lease's marker goes first, without asking the driver: a driver that hangs saves nobody.
        """
        node = self.mark()
        marked = processes.end(lambda: processes.of_lease(lease.lease, node))
        driver = _Driver(device_uuids)
        rest = processes.end(lambda: processes.of_lease(lease.lease, node) | driver.processes())
        return Ended(marked.killed + rest.killed, rest.remaining)

    def reshape_access(self, lease: LocalLease, leaving: tuple[str, ...], share: Share | None = None) -> Ended:
        """See Host. Who is on them, the driver says: one that is lost or hangs knows nobody, and fails its check.

        New sessions see the journal's list; what nobody confines here is found by the next tenant's check.
        """
        return processes.end(_Driver(leaving).processes)

    def clean_up(self, lease: LocalLease) -> None:
        """See Host. Out of the way first, so that a crash in the middle leaves no half home behind for a login."""
        home, going = self._homes / lease.login, self._homes / f".going-{lease.login}"
        try:
            for folder in (going, home):
                if folder.is_dir():
                    shutil.rmtree(folder if folder == going else folder.rename(going))
        except OSError as error:
            raise HostError("home_remains") from error

    def refuse_certificates(self, serials: Iterable[int]) -> None:
        """See Host. The door looks into the journal, for new sessions and for open ones."""
        for serial in serials:
            self._journal.pin(refused_fact(serial), "refused")

    def set_device(self, uuid: str, setting: Setting, value: SettingValue) -> None:
        """See Host. By the driver itself: the current user has the rights that a sandbox needs, or has them not."""
        if uuid in self._lent():
            raise HostError("device_of_a_login")
        try:
            nvml.set_device(uuid, setting, value)
        except NvmlError as error:
            raise HostError(error.code) from error

    def partition_device(self, uuid: str, layout: Layout) -> tuple[MigInstance, ...]:
        """See Host. By the driver itself, as settings are."""
        lent = self._lent()
        try:
            plan = nvml.plan_layout(uuid, layout)
            if uuid in lent or any(each.uuid in lent for each in nvml.instances_going(uuid, plan)):
                raise HostError("device_of_a_login")
            return nvml.partition(uuid, plan)
        except NvmlError as error:
            raise HostError(error.code) from error

    def _lent(self) -> set[str]:
        return {uuid for lease in self._journal.open_leases() for uuid in lease.held}

    def agent_stops(self) -> Ended:
        """See Host. The door goes with the agent, and so does everybody who came through it."""
        return self.end_everything()

    def end_everything(self) -> Ended:
        """End the processes of every lease of this node: the agent is going."""
        node = self.mark()
        return processes.end(lambda: processes.of_lease(None, node))


class _Driver:
    """Asks NVML who is on the devices; once it has not answered in time it is not asked again."""

    def __init__(self, device_uuids: tuple[str, ...]) -> None:
        self._uuids = device_uuids
        self._hangs = not device_uuids

    def processes(self) -> set[Seen]:
        """The processes on the devices, as far as the driver tells. The check in `reclaim` has the last word."""
        if self._hangs:
            return set()
        found: list[set[Seen]] = []
        asking = threading.Thread(target=lambda: found.append(_on_devices(self._uuids)), daemon=True)
        asking.start()
        asking.join(DRIVER_PATIENCE_SECONDS)
        if not found:
            log.error("the driver does not say who is on the devices of the lease")
            self._hangs = True
            return set()
        return found[0]


def _on_devices(device_uuids: tuple[str, ...]) -> set[Seen]:
    found: set[Seen] = set()
    for uuid in device_uuids:
        try:
            entries = nvml.processes_on([uuid])[uuid]
        except NvmlError:  # the check after the revocation will say so; processes of the lease are found anyway
            continue
        found |= {seen for entry in entries if (seen := processes.look(entry.pid)) is not None}
    return found
