"""What root does for the agent. Each verb may be repeated, and done again after a crash in its middle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.privileged import devices, ending, sshd, users
from agent.privileged import parts as instances
from agent.privileged.groups import Groups
from agent.privileged.ledger import Ledger, Tenant
from agent.privileged.leftovers import remove_leftovers
from agent.privileged.places import Places, Refused
from agent.privileged.shares import limits

OVERDUE_SECONDS = 30.0
DEVICES_OF_TENANT = ("minors", "parts", "capability_minors")
NEEDED_DEVICES = ("nvidiactl", "nvidia-uvm")  # without them no CUDA program starts
WELCOME_DEVICES = ("nvidia-uvm-tools",)


class RootVerbs:
    """The verbs over one machine. Arguments have been checked by `requests.read`."""

    def __init__(self, places: Places, groups: Groups) -> None:
        self._places = places
        self._groups = groups
        self._ledger = Ledger(places)

    def perform(self, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Do it; Refused where it cannot be done."""
        answer: dict[str, Any] = getattr(self, f"_{verb}")(**arguments)
        return answer

    def overdue(self, now: float) -> list[str]:
        """Logins past their hard end (the agent had its time), and those whose closing was cut short."""
        tenants = self._ledger.tenants().values()
        late = (each for each in tenants if each.hard_end + OVERDUE_SECONDS < now or not each.open)
        return [each.login for each in late if each.open or each.minors]

    def _open(
        self,
        *,
        lease: str,
        login: str,
        hard_end: float,
        minors: tuple[int, ...],
        node_devices: tuple[tuple[int, int], ...],
        parts: tuple[instances.Part, ...],
    ) -> dict[str, Any]:
        """A user with their home and group; let in last of all, when everything that confines them is in place."""
        _check_share(minors, node_devices, parts)
        with self._working_on(login):
            with self._nobody_changes(minors), self._ledger.locked():
                self._refuse_devices_of_others(login, minors, parts)
                capability_minors = instances.capability_minors(self._places, parts)
                mine = limits(self._places.system, minors, node_devices, instances.extents(self._places, parts))
                known = self._ledger.tenants().get(login) or self._ledger.take(login, lease)
                if known.lease != lease:
                    raise Refused("login_of_another_lease", f"{login} is {known.lease}'s")
                tenant = self._ledger.change(
                    known,
                    open=True,
                    hard_end=hard_end,
                    minors=minors,
                    parts=parts,
                    capability_minors=capability_minors,
                )
            paths = self._nodes(minors, capability_minors)
            users.create(tenant, self._places)
            self._groups.open(tenant.uid, mine, paths)
            users.unlock(tenant)
            sshd.let_in(self._places, tenant)
        return {"uid": tenant.uid, "home": str(self._places.homes / login)}

    def _reshape(
        self,
        *,
        lease: str,
        login: str,
        minors: tuple[int, ...],
        node_devices: tuple[tuple[int, int], ...],
        parts: tuple[instances.Part, ...],
    ) -> dict[str, Any]:
        """Exactly these devices from now on; who has one of the others open is ended, everybody else works on.

        What goes stays theirs in the ledger until nobody is on it.
        """
        _check_share(minors, node_devices, parts)
        with self._working_on(login):
            with self._nobody_changes(minors), self._ledger.locked():
                before = self._ledger.tenant(login)
                if not before.open or before.lease != lease:
                    raise Refused("not_open", f"{login} of {lease}")
                self._refuse_devices_of_others(login, minors, parts)
                mine = limits(self._places.system, minors, node_devices, instances.extents(self._places, parts))
                capabilities = instances.capability_minors(self._places, parts)
                after = replace(before, minors=minors, parts=parts, capability_minors=capabilities)
                both = {name: _union(getattr(before, name), getattr(after, name)) for name in DEVICES_OF_TENANT}
                tenant = self._ledger.change(before, **both)
            stays = self._nodes(minors, capabilities)
            gone = tuple(path for path in self._exclusive(tenant) if path not in stays)
            there = tuple(path for path in gone if path.is_char_device())  # a lost one may have no node any more
            self._groups.refit(tenant.uid, mine, stays, there)
            folders = self._groups.folders(tenant.uid)
            ended = ending.end_on(tenant.uid, folders, gone, lambda: self._strangers(gone))
            if not ended.remaining:
                with self._ledger.locked():
                    self._ledger.put(after)
        return {"killed": ended.killed, "remaining": list(ended.remaining)}

    def _extend(self, *, login: str, hard_end: float) -> dict[str, Any]:
        """Let in until another moment; only who is let in now."""
        with self._working_on(login):
            with self._ledger.locked():
                tenant = self._ledger.tenant(login)
                if not tenant.open:
                    raise Refused("not_open")
                tenant = self._ledger.change(tenant, hard_end=hard_end)
            sshd.let_in(self._places, tenant)
        return {}

    def _close(self, *, login: str) -> dict[str, Any]:
        """Nobody comes in any more, and everything of theirs is ended; what would not go is named.

        The device nodes stay theirs in the ledger until nothing remains.
        """
        with self._working_on(login):
            try:
                tenant = self._ledger.tenants().get(login)
                # A tenant who filled the disk must not stay in by it: what fails here is told after the killing.
                not_noted = _failure(lambda: self._note_closing(tenant)) if tenant else None
            finally:
                sshd.shut_out(self._places, login)  # whatever became of the ledger
            if tenant is None:  # never opened, or cleaned up
                return {"killed": 0, "remaining": []}
            not_locked = _failure(lambda: users.lock(tenant))
            theirs = self._exclusive(tenant)
            ended = ending.end(tenant.uid, self._groups.folders(tenant.uid), lambda: self._strangers(theirs))
            for failure in (not_noted, not_locked):
                if failure is not None:
                    raise failure
            if not ended.remaining:
                with self._ledger.locked():
                    self._ledger.change(tenant, open=False, minors=(), parts=(), capability_minors=())
        return {"killed": ended.killed, "remaining": list(ended.remaining)}

    def _note_closing(self, tenant: Tenant) -> None:
        """The ledger says that it is being closed: where this is cut short, the timer goes on with it."""
        with self._ledger.locked():
            self._ledger.change(tenant, open=False)

    def _clean(self, *, login: str) -> dict[str, Any]:
        """The user, the home and all that they left are gone; the uid is never used again."""
        with self._working_on(login):
            tenant = self._ledger.tenants().get(login)
            if tenant is None:
                return {}
            if tenant.open:
                raise Refused("still_open")
            if tenant.minors or ending.of_user(tenant.uid, self._groups.folders(tenant.uid)):
                raise Refused("processes_remain")
            self._groups.close(tenant.uid)
            remove_leftovers(login, tenant.uid, self._places.shared)
            users.remove(tenant, self._places)
            with self._ledger.locked():
                self._ledger.drop(login)
        return {}

    def _trust(self, *, key: str) -> dict[str, Any]:
        """See sshd.trust."""
        with self._ledger.locked("sshd"):
            sshd.trust(self._places, key)
        return {}

    def _refuse(self, *, serials: tuple[int, ...]) -> dict[str, Any]:
        """See sshd.refuse."""
        with self._ledger.locked("sshd"):
            sshd.refuse(self._places, serials)
        return {}

    def _device(self, *, uuid: str, change: tuple[str, Any]) -> dict[str, Any]:
        """A setting of a device that no login has.

        There is no exception for the lease that it is prepared for: that happens before its login is opened and after
        it is closed, and what the agent may claim, a stolen one may claim.
        """
        minor = devices.minor_of(uuid)
        with self._nobody_on(minor):
            return {"minor": minor, **devices.set_device(uuid, *change)}

    def _partition(self, *, uuid: str, layout: tuple[tuple[str, int], ...]) -> dict[str, Any]:
        """The MIG layout of a device. What a login has, the whole device or an instance of it, does not go."""
        minor = devices.minor_of(uuid)
        with self._ledger.locked(f"device-{minor}"):
            plan = devices.plan_layout(uuid, layout)
            for tenant in self._ledger.tenants().values():
                whole = minor in tenant.minors and not any(part[0] == minor for part in tenant.parts)
                if whole or any(tenant.has(minor, each.id) for each in plan.going):
                    raise Refused("device_of_a_login", f"device {minor} is {tenant.login}'s, or a part of it that goes")
            made = devices.partition(uuid, plan)
            instances.keep(self._places, devices.minor_of(uuid), made)
        return {"minor": minor, "instances": made}

    @contextmanager
    def _nobody_on(self, minor: int) -> Iterator[None]:
        """No login has the device, and none is given it meanwhile."""
        with self._ledger.locked(f"device-{minor}"):
            for tenant in self._ledger.tenants().values():
                if minor in tenant.minors:
                    raise Refused("device_of_a_login", f"device {minor} is {tenant.login}'s")
            yield

    @contextmanager
    def _working_on(self, login: str) -> Iterator[None]:
        with self._ledger.locked(f"login-{login}"):
            yield

    @contextmanager
    def _nobody_changes(self, minors: tuple[int, ...]) -> Iterator[None]:
        """No setting of these devices is being changed. In the order of their numbers, as everybody takes them."""
        with ExitStack() as locks:
            for minor in sorted(minors):
                locks.enter_context(self._ledger.locked(f"device-{minor}"))
            yield

    def _refuse_devices_of_others(self, login: str, minors: tuple[int, ...], mine: tuple[instances.Part, ...]) -> None:
        """A device is one login's, unless each has MIG instances of its own on it."""
        for other in self._ledger.tenants().values():
            if other.login == login:
                continue
            for minor in set(minors) & set(other.minors):
                ours, theirs = ({part[1] for part in parts if part[0] == minor} for parts in (mine, other.parts))
                if not ours or not theirs or ours & theirs:
                    raise Refused("device_of_another_login", f"{minor} is {other.login}'s")

    def _nodes(self, minors: tuple[int, ...], capabilities: tuple[int, ...]) -> tuple[Path, ...]:
        """The device nodes of a lease, all of which must be there."""
        folder = self._places.devices
        needed = [*(f"nvidia{minor}" for minor in minors), *(f"nvidia-caps/nvidia-cap{each}" for each in capabilities)]
        welcome = [name for name in WELCOME_DEVICES if (folder / name).exists()]
        paths = tuple(folder / name for name in [*needed, *NEEDED_DEVICES, *welcome])
        for path in paths:
            if path.is_symlink() or not path.is_char_device():
                raise Refused("no_device", str(path))
        return paths

    def _exclusive(self, tenant: Tenant) -> tuple[Path, ...]:
        """The device nodes that nobody else has a part of; a MIG instance's own nodes are nobody else's anyway."""
        others = {
            minor for each in self._ledger.tenants().values() if each.login != tenant.login for minor in each.minors
        }
        whole = [f"nvidia{minor}" for minor in tenant.minors if minor not in others]
        names = [*whole, *(f"nvidia-caps/nvidia-cap{each}" for each in tenant.capability_minors)]
        return tuple(self._places.devices / name for name in names)

    def _strangers(self, nodes: tuple[Path, ...]) -> set[ending.Process]:
        """Other leases' processes on these devices: somebody handed them an open one. The machine's own are let be."""
        return {process for process in ending.holders(nodes) if any(self._places.owns(uid) for uid in process.uids)}


def _check_share(
    minors: tuple[int, ...], node_devices: tuple[tuple[int, int], ...], parts: tuple[instances.Part, ...]
) -> None:
    if not minors or not set(minors) <= {minor for minor, _ in node_devices}:
        raise Refused("bad_request", "a device that the machine does not have, or none at all")
    if not {part[0] for part in parts} <= set(minors):
        raise Refused("bad_request", "an instance of a device that is not the lease's")


def _union(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys((*one, *other)))


def _failure(act: Callable[[], None]) -> Exception | None:
    try:
        act()
    except (Refused, OSError) as error:
        return error
    return None
