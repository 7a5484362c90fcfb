"""Which uid belongs to which login. A number leaves the ledger once and never comes back."""

from __future__ import annotations

import fcntl
import grp
import json
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from agent.privileged.files import safe_folder, write_whole
from agent.privileged.places import Places, Refused


@dataclass(frozen=True)
class Tenant:
    """A login of ours. `open`: let in until `hard_end` (epoch seconds); `minors`: its device nodes.

    `parts`: (minor, GPU instance, compute instance) where it has not the whole device but MIG instances of it;
    `capability_minors`: the numbers of their nodes below nvidia-caps.
    """

    login: str
    lease: str
    uid: int
    open: bool = False
    hard_end: float = 0.0
    minors: tuple[int, ...] = ()
    parts: tuple[tuple[int, int, int], ...] = ()
    capability_minors: tuple[int, ...] = ()

    def has(self, minor: int, gpu_instance: int) -> bool:
        """Whether a GPU instance is this login's, by itself or with its whole device."""
        mine = [part for part in self.parts if part[0] == minor]
        return minor in self.minors and (not mine or any(part[1] == gpu_instance for part in mine))


class Ledger:
    """The file ledger.json, in a folder of root's alone. Changed only under `locked`."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._folder = safe_folder(places.state, 0o700)
        self._path = self._folder / "ledger.json"

    @contextmanager
    def locked(self, name: str = "ledger") -> Iterator[None]:
        """Nobody else of the root part is in here meanwhile. The kernel frees the lock of a process that was killed."""
        descriptor = os.open(self._folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def tenants(self) -> dict[str, Tenant]:
        """Every login that has not been cleaned up, by name."""
        return self._read()[1]

    def tenant(self, login: str) -> Tenant:
        """One login; Refused where it is none of ours, so that no verb ever touches another user of the machine."""
        found = self.tenants().get(login)
        if found is None:
            raise Refused("unknown_login", login)
        return found

    def put(self, tenant: Tenant) -> Tenant:
        """Keep a changed tenant."""
        upcoming, tenants = self._read()
        self._write(upcoming, {**tenants, tenant.login: tenant})
        return tenant

    def drop(self, login: str) -> None:
        """Forget a login that is gone. Its uid stays used."""
        upcoming, tenants = self._read()
        self._write(upcoming, {name: each for name, each in tenants.items() if name != login})

    def take(self, login: str, lease: str) -> Tenant:
        """A new login with a uid that nobody had. It is on the disk as used before anybody can use it."""
        upcoming, tenants = self._read()
        uid = next((each for each in range(upcoming, self._end()) if not _in_use(each)), None)
        if uid is None:
            raise Refused("no_uid_left")
        tenant = Tenant(login, lease, uid)
        self._write(uid + 1, {**tenants, login: tenant})
        return tenant

    def change(self, tenant: Tenant, **values: Any) -> Tenant:
        """Keep a tenant with some fields changed."""
        return self.put(replace(tenant, **values))

    def _end(self) -> int:
        return self._places.first_uid + self._places.uid_count

    def _read(self) -> tuple[int, dict[str, Tenant]]:
        try:
            said = json.loads(self._path.read_text())
        except FileNotFoundError:
            return self._first(), {}
        except ValueError as error:
            raise Refused("ledger_broken", str(error)) from error
        return said["next_uid"], {each["login"]: _tenant(each) for each in said["tenants"]}

    def _first(self) -> int:
        """The range's begin, on a node that never had a tenant. A ledger that was lost must not start over."""
        homes = self._places.homes
        left = [entry.pw_name for entry in pwd.getpwall() if self._places.owns(entry.pw_uid)]
        left += [path.name for path in homes.iterdir()] if homes.is_dir() else []
        if left:
            raise Refused("ledger_lost", f"there are tenants, but no {self._path}: {left[:5]}")
        return self._places.first_uid

    def _write(self, upcoming: int, tenants: dict[str, Tenant]) -> None:
        said = {"next_uid": upcoming, "tenants": [asdict(each) for each in tenants.values()]}
        write_whole(self._path, json.dumps(said, indent=1), 0o600)


def _tenant(said: dict[str, Any]) -> Tenant:
    lists = {name: tuple(said[name]) for name in ("minors", "capability_minors")}
    return Tenant(**{**said, **lists, "parts": tuple(tuple(part) for part in said["parts"])})


def _in_use(uid: int) -> bool:
    """Whether somebody else's user or group, or somebody's range of subordinate ones, has the number."""
    for ask in (pwd.getpwuid, grp.getgrgid):
        try:
            ask(uid)
            return True
        except KeyError:
            continue
    return any(first <= uid < first + count for first, count in _subordinates())


def _subordinates() -> list[tuple[int, int]]:
    found = []
    for name in ("/etc/subuid", "/etc/subgid"):
        try:
            lines = Path(name).read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            words = line.split(":")
            if len(words) == 3 and words[1].isdigit() and words[2].isdigit():
                found.append((int(words[1]), int(words[2])))
    return found
