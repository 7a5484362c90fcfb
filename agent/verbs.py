"""The verbs of a command, and the dead-man's revocation. Each may be done again after a crash in its middle."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from agent import nvml
from agent.commands import Command
from agent.device_checks import is_change
from agent.device_records import Action, DeviceCheck, DeviceReading
from agent.host.base import Host, HostError
from agent.journal import Journal, LocalLease
from agent.preparation import put_in_order

LAYOUT_FACT = "layout_changed"
"""The journal's word for the last change of a layout: who keeps lists of devices makes them anew."""
SETTLE_TURNS, SETTLE_SECONDS = 6, 0.5  # a driver takes a moment to give back the memory of a process that died


@dataclass(frozen=True)
class Answer:
    """What goes back to the portal."""

    outcome: str
    result: dict[str, Any]


def done(**result: Any) -> Answer:
    """It worked."""
    return Answer("done", result)


def failed(code: str, **result: Any) -> Answer:
    """It did not; `code` says why."""
    return Answer("failed", {"error": code, **result})


def plain(checks: Iterable[DeviceCheck], actions: Mapping[str, Sequence[Action]] | None = None) -> list[dict[str, Any]]:
    """Checks as they go over the wire, with the reading that they judged and what was done to the device before."""
    return [
        {
            "uuid": each.uuid,
            "passed": each.passed,
            "checks": [asdict(check) for check in each.checks],
            "reading": None if each.reading is None else _told(each.reading),
            "actions": [asdict(action) for action in (actions or {}).get(each.uuid, ())],
        }
        for each in checks
    ]


def _told(reading: DeviceReading) -> dict[str, Any]:
    return {**asdict(reading), "at": reading.at.timestamp(), "nvlinks_down": list(reading.nvlinks_down)}


class Verbs:
    """The verbs over one journal and one host. The caller holds the lease's lock."""

    def __init__(self, journal: Journal, host: Host) -> None:
        self._journal = journal
        self._host = host

    def perform(self, command: Command) -> Answer:
        """Do what the command says."""
        try:
            answer: Answer = getattr(self, f"_{command.verb}")(command)
        except HostError as error:
            return failed(error.code)
        return answer

    def _verify(self, command: Command) -> Answer:
        held = self._held_by_others(command.lease)
        actions = put_in_order(self._host, (uuid for uuid in command.device_uuids if uuid not in held))
        reports = nvml.check_ready(command.device_uuids)
        checks = plain(reports, actions)
        for check in checks:
            if check["uuid"] in held:
                check["passed"] = False
                seen = {"observed": held[check["uuid"]], "expected": "none"}
                check["checks"].append({"code": "other_lease", "passed": False, **seen})
        readings = {r.uuid: asdict(r.reading) for r in reports if r.reading is not None}
        readings = {**self._journal.baseline(command.lease), **readings}  # of its other devices, where it has some
        self._journal.change_lease(command.lease, baseline=json.dumps(readings, default=str))
        return Answer("done" if all(check["passed"] for check in checks) else "failed", {"checks": checks})

    def _grant(self, command: Command) -> Answer:
        known = self._journal.lease(command.lease)
        if known and known.phase == "closing":
            return failed("access_is_ending")
        if command.hard_end <= time.time():
            return failed("hard_end_passed")
        held = self._held_by_others(command.lease)
        if any(uuid in held for uuid in command.device_uuids):
            return failed("device_held_by_another_lease")
        door = self._host.door()
        granted_at = known.granted_at if known and known.phase == "granted" else None
        # The hard end stands on disk before anybody can get in.
        self._journal.change_lease(
            command.lease,
            phase="granted" if granted_at else "opening",
            login=command.login,
            device_uuids=command.device_uuids,
            leaving={},
            hard_end=command.hard_end,
            ended_at=None,
            killed=0,
            told=1,
        )
        lease = self._journal.lease(command.lease)
        assert lease is not None
        self._host.open_access(lease)
        granted_at = granted_at or time.time()
        self._journal.change_lease(command.lease, phase="granted", granted_at=granted_at)
        return done(login=lease.login, granted_at=granted_at, **asdict(door))

    def _extend(self, command: Command) -> Answer:
        known = self._journal.lease(command.lease)
        if known is None or known.phase != "granted":
            return failed("not_granted")
        if command.hard_end <= time.time():
            return failed("hard_end_passed")
        self._journal.change_lease(command.lease, hard_end=command.hard_end)
        return done(hard_end=datetime.fromtimestamp(command.hard_end, UTC).isoformat())

    def _revoke(self, command: Command) -> Answer:
        known = self._journal.lease(command.lease)
        assert known is not None  # begun, so it has a row
        if known.phase == "revoked":
            return done(access_gone_at=known.ended_at, killed=known.killed, remaining=[])
        lease = self.end_access(known, fallback=command.device_uuids)
        if isinstance(lease, Answer):
            return lease
        return done(access_gone_at=lease.ended_at, killed=lease.killed, remaining=[])

    def end_access(
        self, lease: LocalLease, *, fallback: tuple[str, ...] = (), told: bool = True
    ) -> LocalLease | Answer:
        """Block logins, end everything of the lease, note when it was over; a failed Answer where something stays.

        `told=False`: the portal did not ask for it and has to hear of it.
        """
        self._journal.change_lease(lease.lease, phase="closing")
        held = self._held_by_others(lease.lease)
        uuids = tuple(uuid for uuid in lease.held or fallback if uuid not in held)
        ended = self._host.end_access(lease, uuids)
        killed = lease.killed + ended.killed
        if ended.remaining:
            self._journal.change_lease(lease.lease, killed=killed)
            return failed("processes_remain", killed=killed, remaining=list(ended.remaining))
        self._journal.change_lease(lease.lease, phase="revoked", ended_at=time.time(), killed=killed, told=int(told))
        now = self._journal.lease(lease.lease)
        assert now is not None
        return now

    def _reclaim(self, command: Command) -> Answer:
        known = self._journal.lease(command.lease)
        if known and known.phase in ("opening", "granted", "closing"):
            return failed("still_granted", clean=False)
        uuids = command.device_uuids
        held = self._held_by_others(command.lease)
        if known is not None:
            self._host.end_access(known, tuple(uuid for uuid in uuids if uuid not in held))
            if known.login:
                self._host.clean_up(known)
        clean, checks = self._cleaned(command.lease, uuids, held)
        return Answer("done" if clean else "failed", {"clean": clean, "checks": checks})

    def _cleaned(
        self, lease: str, uuids: tuple[str, ...], held: Mapping[str, str]
    ) -> tuple[bool, list[dict[str, Any]]]:
        """Whether devices that the lease gives back are clean, put in order before; and the checks that say so."""
        actions = put_in_order(self._host, (uuid for uuid in uuids if uuid not in held))
        baseline = self._baseline(lease)
        for _turn in range(SETTLE_TURNS):
            reports = nvml.check_empty(uuids, baseline=baseline)
            if all(report.passed for report in reports):
                break
            time.sleep(SETTLE_SECONDS)
        return all(report.passed for report in reports), plain(reports, actions)

    def _reshape(self, command: Command) -> Answer:
        """The lease has exactly these devices here from now on; what leaves is ended, cleaned and checked.

        Done is done: whether what left is clean, its checks say.
        """
        known = self._journal.lease(command.lease)
        held = self._held_by_others(command.lease)
        if known is None or known.phase != "granted":
            return failed("not_granted")
        if known.hard_end is None or known.hard_end <= time.time():
            return failed("hard_end_passed")
        coming = set(command.device_uuids) - set(known.device_uuids)
        if coming & held.keys():
            return failed("device_held_by_another_lease")
        if not coming <= self._journal.baseline(command.lease).keys():
            return failed("not_verified")
        before = [*known.leaving, *known.device_uuids, *command.leaving]
        leaving = {uuid: known.leaving.get(uuid) for uuid in before if uuid not in command.device_uuids}
        # On disk before anything is done: the new list is what a new session sees, and what leaves is still taken.
        self._journal.change_lease(command.lease, device_uuids=command.device_uuids, leaving=leaving)
        going = tuple(uuid for uuid, gone_at in leaving.items() if gone_at is None and uuid not in held)
        lease = self._journal.lease(command.lease)
        assert lease is not None
        ended = self._host.reshape_access(lease, going)
        if ended.remaining:
            return failed("processes_remain", killed=ended.killed, remaining=list(ended.remaining))
        now = time.time()
        leaving = {uuid: gone_at or now for uuid, gone_at in leaving.items()}
        self._journal.change_lease(command.lease, leaving=leaving)
        clean, checks = self._cleaned(command.lease, command.leaving, held) if command.leaving else (True, [])
        left = {uuid: leaving[uuid] for uuid in command.leaving}
        return done(left=left, killed=ended.killed, remaining=[], clean=clean, checks=checks)

    def _partition(self, command: Command) -> Answer:
        """The device has exactly this MIG layout afterwards. Who holds which part of it, the host knows."""
        (uuid,) = command.device_uuids
        try:
            made = self._host.partition_device(uuid, command.layout)
        finally:
            self._journal.remember(LAYOUT_FACT, f"{command.id} {time.time()}")
        return done(instances=[asdict(each) for each in made])

    def _baseline(self, lease: str) -> dict[str, DeviceReading]:
        """What the devices were like at the handover, but for those whose damage the portal has been told of.

        Lasting damage does not go away: measured against the handover again, a device that an operator brings back
        could never be given back, and its lease never end.
        """
        told = {
            report["uuid"]
            for answer in self._journal.told_answers(lease, "reclaim")
            for report in answer.get("checks", ())
            if any(is_change(check["code"]) and not check["passed"] for check in report["checks"])
        }
        kept = self._journal.baseline(lease)
        return {uuid: _reading(raw) for uuid, raw in kept.items() if uuid not in told}

    def _held_by_others(self, lease: str) -> dict[str, str]:
        """Device UUIDs to the other lease that holds them here."""
        others = [other for other in self._journal.open_leases() if other.lease != lease]
        return {uuid: other.lease for other in others for uuid in other.held}


def _reading(raw: dict[str, Any]) -> DeviceReading:
    return DeviceReading(
        **{**raw, "at": datetime.fromisoformat(raw["at"]), "processes": (), "nvlinks_down": tuple(raw["nvlinks_down"])}
    )
