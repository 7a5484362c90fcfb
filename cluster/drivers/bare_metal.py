"""Nodes with our agent: each verb is one signed command per node, through the outbox."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from cluster.drivers.base import DeviceReport, LeaseOrder, Step, StepState

VERBS = ("verify", "grant", "extend", "revoke", "reclaim", "reshape")


@dataclass(frozen=True)
class CommandOrder:
    """One command for one node."""

    node: str
    verb: str
    lease_ref: str
    generation: int
    deadline_at: datetime
    payload: dict[str, Any]


@dataclass(frozen=True)
class CommandState:
    """What the outbox knows of one command."""

    node: str
    verb: str
    state: str
    result: dict[str, Any]
    finished_at: datetime | None


class Outbox(Protocol):
    """Where commands go and answers come from."""

    def put(self, orders: Iterable[CommandOrder]) -> None:
        """Write those that are not there yet."""

    def look(self, lease_ref: str, generation: int) -> list[CommandState]:
        """All commands of one lease's generation."""

    def inventory(self) -> dict[str, tuple[str, ...]]:
        """Node names to device UUIDs."""


class BareMetalDriver:
    """EngineDriver over an outbox."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def inventory(self) -> dict[str, tuple[str, ...]]:
        """See EngineDriver."""
        return self._outbox.inventory()

    def verify(self, order: LeaseOrder, *, deadline_at: datetime) -> None:
        """See EngineDriver."""
        self._send("verify", order, deadline_at)

    def grant(self, order: LeaseOrder, *, deadline_at: datetime) -> None:
        """See EngineDriver."""
        self._send("grant", order, deadline_at)

    def extend(self, order: LeaseOrder, *, deadline_at: datetime) -> None:
        """See EngineDriver."""
        self._send("extend", order, deadline_at)

    def revoke(self, order: LeaseOrder, *, deadline_at: datetime) -> None:
        """See EngineDriver."""
        self._send("revoke", order, deadline_at)

    def reclaim(self, order: LeaseOrder, *, deadline_at: datetime) -> None:
        """See EngineDriver."""
        self._send("reclaim", order, deadline_at)

    def reshape(self, order: LeaseOrder, *, deadline_at: datetime) -> None:
        """See EngineDriver."""
        self._send("reshape", order, deadline_at)

    def observe(self, order: LeaseOrder) -> dict[str, Step]:
        """See EngineDriver."""
        commands = self._outbox.look(order.lease_ref, order.generation)
        return {verb: _step(verb, [c for c in commands if c.verb == verb], len(order.devices)) for verb in VERBS}

    def _send(self, verb: str, order: LeaseOrder, deadline_at: datetime) -> None:
        self._outbox.put(
            CommandOrder(
                node=node,
                verb=verb,
                lease_ref=order.lease_ref,
                generation=order.generation,
                deadline_at=deadline_at,
                payload={
                    "device_uuids": list(uuids),
                    "login": order.login,
                    "starts_at": order.starts_at.isoformat(),
                    "hard_end": order.hard_end.isoformat(),
                    **({"leaving": list(order.leaving.get(node, ()))} if verb == "reshape" else {}),
                },
            )
            for node, uuids in sorted(order.devices.items())
        )


def _step(verb: str, commands: list[CommandState], nodes: int) -> Step:
    if not commands:
        return Step(verb, "none")
    failures = tuple(_failure(command) for command in commands if command.state not in ("pending", "done"))
    done = sum(command.state == "done" for command in commands)
    state: StepState = "failed" if failures else "done" if done == nodes else "waiting"
    return Step(
        verb=verb,
        state=state,
        failures=failures,
        reports=tuple(report for command in commands for report in _reports(command.result)),
        finished_at=max((c.finished_at for c in commands if c.finished_at), default=None),
        left_at={
            uuid: datetime.fromtimestamp(at, UTC)
            for command in commands
            for uuid, at in command.result.get("left", {}).items()
        },
    )


def _failure(command: CommandState) -> str:
    if command.state == "expired":
        return f"{command.node}: no answer in time"
    failed = [
        f"{check['uuid']}: {', '.join(str(c['code']) for c in check['checks'] if not c['passed'])}"
        for check in command.result.get("checks", [])
        if not check["passed"]
    ]
    return f"{command.node}: {'; '.join(failed) or command.result.get('error') or command.state}"


def _reports(result: dict[str, Any]) -> list[DeviceReport]:
    return [
        DeviceReport(uuid=check["uuid"], passed=check["passed"], checks=tuple(check["checks"]))
        for check in result.get("checks", [])
    ]
