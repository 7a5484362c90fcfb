"""Answers to commands: taken once, turned into grants and evidence."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from audit.services import record
from cluster.lifecycle import COMMAND
from cluster.models import Device, Grant, Handover, Node, NodeCommand
from cluster.services import evidence, layouts
from common.actors import SystemActor
from common.errors import WrongState
from common.nudge import nudge

EVIDENCE = {"verify": Handover.Moment.START, "reclaim": Handover.Moment.END, "reshape": Handover.Moment.END}


def hand_out(node: Node, limit: int = 20) -> list[NodeCommand]:
    """The pending commands of a node, oldest first, each counted as given out once more."""
    rows = list(
        NodeCommand.objects.filter(node=node, state="pending", deadline_at__gt=timezone.now())
        .select_related("node")
        .order_by("id")[:limit]
    )
    NodeCommand.objects.filter(pk__in=[row.pk for row in rows]).update(attempts=F("attempts") + 1)
    return rows


@transaction.atomic
def finish(*, node: Node, command: NodeCommand, generation: int, outcome: str, result: dict[str, Any]) -> NodeCommand:
    """Take a node's answer. A repeat of an answer that was taken changes nothing; WrongState for another generation."""
    command = NodeCommand.objects.select_for_update(no_key=True).get(pk=command.pk, node=node)
    if generation != command.generation:
        raise WrongState("This answer is for another generation of the command.", code="wrong_generation")
    if command.state != COMMAND.initial:
        return command
    if outcome == "done" and not _is_proved(command, result):
        outcome, result = "failed", {**result, "error": "evidence_missing"}
    command.state = COMMAND.next(command.state, "succeed" if outcome == "done" else "fail")
    command.result = result
    command.finished_at = timezone.now()
    command.save(update_fields=["state", "result", "finished_at"])
    kept = _keep_evidence(command)
    if command.verb == layouts.VERB:
        layouts.take_answer(command)
    elif outcome == "done":
        _keep_access(command)
    record(
        actor=SystemActor(f"node {node.name}"),
        verb=f"command.{command.verb}",
        target=command,
        changes={"lease": command.lease_ref, "generation": generation, "outcome": outcome}
        | ({"evidence": evidence.digests(kept)} if kept else {}),
    )
    _tell(command.lease_ref)
    return command


@transaction.atomic
def expire_late(now: datetime) -> int:
    """Give up on pending commands whose deadline has passed; how many."""
    rows = list(
        NodeCommand.objects.select_for_update(skip_locked=True, no_key=True).filter(
            state="pending", deadline_at__lte=now
        )[:500]
    )
    for command in rows:
        command.state = COMMAND.next(command.state, "expire")
        command.finished_at = now
        record(
            actor=SystemActor("outbox"),
            verb="command.expire",
            target=command,
            changes={"lease": command.lease_ref, "attempts": command.attempts},
        )
    NodeCommand.objects.bulk_update(rows, ["state", "finished_at"])
    for command in rows:
        if command.verb == layouts.VERB:
            layouts.take_answer(command)
    for lease_ref in {row.lease_ref for row in rows}:
        _tell(lease_ref)
    return len(rows)


@transaction.atomic
def take_dead_man(*, node: Node, lease_ref: str, generation: int, at: datetime, killed: int) -> None:
    """The node's own clock ended a lease: note when access was gone. A repeat, or an older story, changes nothing."""
    grants = list(
        Grant.objects.select_for_update(no_key=True).filter(
            lease_ref=lease_ref, node=node, revoked_at=None, generation__lte=generation
        )
    )
    for grant in grants:
        grant.revoked_at = at
        grant.save(update_fields=["revoked_at"])
        record(
            actor=SystemActor(f"node {node.name}"),
            verb="access.ended_by_node",
            target=grant,
            changes={"lease": lease_ref, "generation": generation, "at": at, "killed": killed},
        )
    if grants:
        _tell(lease_ref)


def _tell(lease_ref: str) -> None:
    transaction.on_commit(partial(nudge, settings.COMMAND_FINISHED_TASK, lease_ref))


def _is_proved(command: NodeCommand, result: dict[str, Any]) -> bool:
    """Whether a verb that ends in evidence brings it: every device of the command, and each has passed.

    A `reshape` is done when the devices have changed hands: those that left are clean or not, but looked at.
    """
    if command.verb not in EVIDENCE:
        return True
    if command.verb == NodeCommand.Verb.RESHAPE:
        seen = {check["uuid"] for check in result.get("checks", [])}
        return seen & result.get("left", {}).keys() >= set(command.payload["leaving"])
    passed = {check["uuid"] for check in result.get("checks", []) if check["passed"]}
    return passed >= set(command.payload["device_uuids"])


def _keep_evidence(command: NodeCommand) -> list[Handover]:
    moment = EVIDENCE.get(command.verb)
    if moment is None:
        return []
    asked = command.payload["leaving" if command.verb == NodeCommand.Verb.RESHAPE else "device_uuids"]
    devices = {device.uuid: device for device in Device.objects.filter(node=command.node, uuid__in=asked)}
    kept = [
        Handover(
            lease_ref=command.lease_ref,
            device=devices[check["uuid"]],
            moment=moment,
            generation=command.generation,
            passed=check["passed"],
            checks=check["checks"],
            reading=check.get("reading"),
            actions=check.get("actions") or [],
            taken_at=command.finished_at or timezone.now(),
        )
        for check in command.result.get("checks", [])
        if check["uuid"] in devices
    ]
    Handover.objects.bulk_create(kept, ignore_conflicts=True)
    return kept


def _keep_access(command: NodeCommand) -> None:
    result, payload = command.result, command.payload
    grants = Grant.objects.filter(lease_ref=command.lease_ref, node=command.node)
    if command.verb == NodeCommand.Verb.GRANT:
        Grant.objects.update_or_create(
            lease_ref=command.lease_ref,
            node=command.node,
            defaults={
                "generation": command.generation,
                "login": payload["login"],
                "host": result["host"],
                "port": result["port"],
                "host_key": result["host_key"],
                "device_uuids": payload["device_uuids"],
                "ends_at": datetime.fromisoformat(payload["hard_end"]),
                "granted_at": command.finished_at or timezone.now(),
                "revoked_at": None,
            },
        )
    elif command.verb == NodeCommand.Verb.EXTEND:
        grants.update(ends_at=datetime.fromisoformat(payload["hard_end"]), generation=command.generation)
    elif command.verb == NodeCommand.Verb.RESHAPE:
        grants.update(device_uuids=payload["device_uuids"], generation=command.generation)
    elif command.verb == NodeCommand.Verb.REVOKE:
        gone = result.get("access_gone_at")
        at = datetime.fromtimestamp(gone, UTC) if isinstance(gone, int | float) else command.finished_at
        grants.filter(revoked_at=None).update(revoked_at=at)
