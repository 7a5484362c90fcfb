"""The nodes' side of a lease, for tests: answers to real outbox rows, as a node would give them."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from allocations.models import Lease
from cluster.lifecycle import COMMAND
from cluster.models import Device, Grant, NodeCommand


def no_spares(lease: Lease) -> None:
    """Take every device that nobody has booked out of the pool: nothing can stand in for the lease's own."""
    Device.objects.filter(node__pool=lease.allocation.pool, placements=None).update(state="quarantined")


def pending(lease: Lease, verb: str) -> list[NodeCommand]:
    """Commands of this verb that wait."""
    return list(NodeCommand.objects.filter(lease_ref=lease.public_id, verb=verb, state="pending").order_by("id"))


def answer(
    lease: Lease, verb: str, event: str = "succeed", *, bad: tuple[str, ...] = (), at: datetime | None = None
) -> int:
    """Every waiting command of this verb ends with this event; devices in `bad` did not pass. The number answered."""
    commands = pending(lease, verb)
    for command in commands:
        uuids: list[str] = command.payload["leaving" if verb == "reshape" else "device_uuids"]
        checks: list[dict[str, Any]] = []
        if verb in ("verify", "reclaim", "reshape") and event != "expire":
            checks = [
                {"uuid": uuid, "passed": uuid not in bad, "checks": [{"code": "empty", "passed": uuid not in bad}]}
                for uuid in uuids
            ]
        left = {"left": {uuid: (at or timezone.now()).timestamp() for uuid in uuids}} if verb == "reshape" else {}
        NodeCommand.objects.filter(pk=command.pk).update(
            state=COMMAND.next(command.state, event),
            result={"checks": checks} | (left if event == "succeed" else {}),
            finished_at=at or timezone.now(),
        )
        grant_follows(command, event)
    return len(commands)


def grant_follows(command: NodeCommand, event: str) -> None:
    """The access row, as the node reports it."""
    if event != "succeed":
        return
    if command.verb == "grant":
        Grant.objects.update_or_create(
            lease_ref=command.lease_ref,
            node=command.node,
            defaults={
                "generation": command.generation,
                "login": command.payload["login"],
                "host": "127.0.0.1",
                "port": 22,
                "device_uuids": command.payload["device_uuids"],
                "ends_at": command.payload["hard_end"],
                "granted_at": timezone.now(),
                "revoked_at": None,
            },
        )
    if command.verb == "revoke":
        Grant.objects.filter(lease_ref=command.lease_ref, node=command.node).update(revoked_at=timezone.now())
