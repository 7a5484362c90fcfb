"""A real node: tenants are Linux users, sshd is their door, and root does for the agent what only root may."""

from __future__ import annotations

import asyncio
import logging
import socket
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from agent import nvml
from agent.device_records import Layout, MigInstance, NvmlError, Setting, SettingValue, is_mig
from agent.host.base import Door, Ended, Host, HostError, Share
from agent.host.root_part import RootPart
from agent.host.share import share_of
from agent.journal import Journal, LocalLease

log = logging.getLogger(__name__)
SSH_PORT = 22
SERIALS_AT_ONCE = 4_000
WATCH_SECONDS, AGAIN_SECONDS = 0.2, 3.0  # between looks; after root did not answer


class LinuxHost:
    """See Host. Holds nothing itself: what is open stands in the root part's ledger and in the journal."""

    def __init__(self, journal: Journal, root: RootPart, ssh_address: str, ssh_host_key: Path) -> None:
        self._journal = journal
        self._root = root
        self._address = ssh_address
        self._host_key = ssh_host_key

    def door(self) -> Door:
        """See Host. The key is sshd's own."""
        try:
            words = self._host_key.read_text().split()
        except OSError as error:
            raise HostError("door_closed") from error
        if len(words) < 2:
            raise HostError("door_closed")
        host, _, port = self._address.rpartition(":") if ":" in self._address else (self._address, "", "")
        return Door(host or socket.getfqdn(), int(port or SSH_PORT), " ".join(words[:2]))

    def open_access(self, lease: LocalLease, share: Share | None = None) -> None:
        """See Host. A lease is opened with its devices or not at all; the driver says which, where nobody does."""
        authority = self._journal.fact("ssh_ca")
        if authority is None:
            raise HostError("no_authority")
        if lease.hard_end is None:
            raise HostError("no_share")
        share = share or _ask_driver(lease.device_uuids)
        self._root.ask("trust", key=" ".join(authority.split()[:2]))
        self._root.ask(
            "open",
            lease=lease.lease,
            login=lease.login,
            hard_end=lease.hard_end,
            **_wire(share),
        )

    def end_access(self, lease: LocalLease, device_uuids: tuple[str, ...]) -> Ended:
        """See Host. Root knows the devices of the login; the UUIDs are for hosts that ask the driver."""
        if not lease.login:  # revoked without ever having been granted here
            return Ended(0, ())
        done = self._root.ask("close", login=lease.login)
        return Ended(int(done["killed"]), tuple(done["remaining"]))

    def reshape_access(self, lease: LocalLease, leaving: tuple[str, ...], share: Share | None = None) -> Ended:
        """See Host. Root knows which of the login's devices are not among these; a lost one cannot be asked for."""
        share = share or _ask_driver(lease.device_uuids)
        done = self._root.ask("reshape", lease=lease.lease, login=lease.login, **_wire(share))
        return Ended(int(done["killed"]), tuple(done["remaining"]))

    def clean_up(self, lease: LocalLease) -> None:
        """See Host."""
        self._root.ask("clean", login=lease.login)

    def refuse_certificates(self, serials: Iterable[int]) -> None:
        """See Host. Sessions that are open with one of them go on: sshd asks its list when somebody comes in."""
        everything = sorted(set(serials))
        for first in range(0, len(everything), SERIALS_AT_ONCE):
            self._root.ask("refuse", serials=everything[first : first + SERIALS_AT_ONCE])

    def set_device(self, uuid: str, setting: Setting, value: SettingValue) -> None:
        """See Host. Root knows who has the device."""
        self._root.ask("device", uuid=uuid, change=[setting, value])

    def partition_device(self, uuid: str, layout: Layout) -> tuple[MigInstance, ...]:
        """See Host. Root knows who has which part of the device."""
        done = self._root.ask("partition", uuid=uuid, layout=[list(each) for each in layout])
        return tuple(MigInstance(**each) for each in done["instances"])

    def agent_stops(self) -> Ended:
        """See Host. Nothing: an agent is updated while tenants work, and their ends stand with sshd and root too."""
        return Ended(0, ())


def _wire(share: Share) -> dict[str, list[Any]]:
    return {
        "minors": list(share.device_minors),
        "node_devices": [list(pair) for pair in share.node_devices],
        "parts": [list(part) for part in share.parts],
    }


def _ask_driver(device_uuids: tuple[str, ...]) -> Share:
    try:
        bus_ids = {device.uuid: device.pci_bus_id for device in nvml.inventory().devices}
        places = {uuid: nvml.mig_place(uuid) for uuid in device_uuids if is_mig(uuid)}
    except NvmlError as error:
        raise HostError("no_share") from error
    return share_of(device_uuids, bus_ids, places)


class SshdKeeper:
    """Keeps sshd's dates in step with the journal: an extended lease is let in until its new end."""

    def __init__(self, journal: Journal, host: Host, root: RootPart) -> None:
        self._journal = journal
        self._host = host
        self._root = root
        self._told: dict[str, float] = {}

    async def start(self) -> Door | None:
        """sshd runs by itself; a keeper that finds no key of it still has ends to watch."""
        try:
            return self._host.door()
        except HostError:
            log.error("sshd's host key cannot be read: no lease can be granted here")
            return None

    async def watch(self) -> None:
        """Tell root of every hard end that it may not know, until cancelled."""
        with closing(self._journal.connect()) as connection:
            seen = None
            while True:
                try:
                    # Changes whenever another connection commits (sqlite.org, PRAGMA data_version): cheap to ask.
                    version = connection.execute("PRAGMA data_version").fetchone()[0]
                    if version != seen:
                        seen = version if await asyncio.to_thread(self.tell) else None
                except sqlite3.OperationalError as error:
                    log.warning("the journal does not answer: %s", error)
                await asyncio.sleep(WATCH_SECONDS if seen is not None else AGAIN_SECONDS)

    async def stop(self) -> None:
        """sshd goes on: an agent is updated while tenants work."""

    def tell(self) -> bool:
        """Bring root's dates up to the journal's; False where one was not taken and should be told again."""
        granted = {each.login: each.hard_end for each in self._journal.open_leases() if each.phase == "granted"}
        self._told = {login: end for login, end in self._told.items() if login in granted}
        taken = True
        for login, hard_end in granted.items():
            if hard_end is None or self._told.get(login) == hard_end:
                continue
            try:
                self._root.ask("extend", login=login, hard_end=hard_end)
            except HostError as error:
                log.warning("the new end of %s was not taken: %s", login, error)
                taken = taken and error.code != "root_part_away"
            else:
                self._told[login] = hard_end
        return taken
