"""The outbox: rows are the truth about what nodes are told; a Celery message with the id only saves time."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from cluster.drivers.bare_metal import CommandOrder, CommandState
from cluster.models import Device, Node, NodeCommand
from common.nudge import nudge

RUN_COMMAND = "agent.run_command"


def node_queue(name: str) -> str:
    """The one place that knows the name of a node's Celery queue."""
    return f"node.{name}"


class DatabaseOutbox:
    """The outbox as rows of NodeCommand. Its writes belong to the caller's transaction."""

    def put(self, orders: Iterable[CommandOrder]) -> None:
        """Write the commands that are not there yet; nudge their nodes once committed."""
        wanted = list(orders)
        nodes = {node.name: node for node in Node.objects.filter(name__in={order.node for order in wanted})}
        rows = [
            NodeCommand(
                node=nodes[order.node],
                verb=order.verb,
                lease_ref=order.lease_ref,
                generation=order.generation,
                payload=order.payload,
                deadline_at=order.deadline_at,
            )
            for order in wanted
        ]
        NodeCommand.objects.bulk_create(rows, ignore_conflicts=True)
        transaction.on_commit(
            partial(_nudge_pending, wanted[0].lease_ref, wanted[0].generation) if wanted else _nothing
        )

    def look(self, lease_ref: str, generation: int) -> list[CommandState]:
        """Every command of this generation of this lease."""
        rows = NodeCommand.objects.filter(lease_ref=lease_ref, generation=generation).select_related("node")
        return [CommandState(row.node.name, row.verb, row.state, row.result, row.finished_at) for row in rows]

    def inventory(self) -> dict[str, tuple[str, ...]]:
        """Node names to the UUIDs of the devices that are registered on them."""
        found: dict[str, list[str]] = {}
        for name, uuid in Device.objects.values_list("node__name", "uuid"):
            found.setdefault(name, []).append(uuid)
        return {name: tuple(uuids) for name, uuids in found.items()}


def _nudge_pending(lease_ref: str, generation: int) -> None:
    rows: Any = NodeCommand.objects.filter(lease_ref=lease_ref, generation=generation, state="pending")
    for public_id, name in rows.values_list("public_id", "node__name"):
        nudge(RUN_COMMAND, public_id, queue=node_queue(name))


def _nothing() -> None:
    """No command, no nudge."""


def is_late(command: NodeCommand, now: datetime) -> bool:
    """Whether a command's deadline has passed."""
    return command.deadline_at <= now
