"""Nodes: enrolled by an operator, known by what their agents report."""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.rules import may_run_nodes
from audit.services import record
from cluster.lifecycle import NODE
from cluster.models import Device, DeviceEvent, Node, Pool
from cluster.services import devices as device_verbs
from common.actors import SystemActor
from common.permissions import require

SUSPECT_AFTER = timedelta(seconds=30)
UNREACHABLE_AFTER = timedelta(seconds=120)
SKEW_SECONDS = 2.0
"""A hard end is kept by the node's clock: beyond this the difference is worth an operator's look."""
WATCHER = SystemActor("node watch")


@dataclass(frozen=True)
class Hello:
    """What an agent says when it starts. Times are epoch seconds of the node's clock."""

    boot_id: str
    agent_version: str
    driver_version: str
    sent_at: float
    ssh_host: str
    ssh_port: int
    ssh_host_key: str
    devices: list[dict[str, Any]]
    checks: list[dict[str, Any]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    topology: dict[str, Any] = field(default_factory=dict)


def hash_token(token: str) -> str:
    """What is kept of a node's token: it has 256 random bits, so one round is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def register_node(*, actor: Any, name: str, pool: Pool, trust_inventory: bool = True) -> tuple[Node, str]:
    """(node, token): the token is shown once. Operators only.

    With `trust_inventory` the caller vouches for the GPUs that the node names first, and the node is ready at once;
    without it the node is joining until an operator has confirmed them.
    """
    require(actor, may_run_nodes)
    token = secrets.token_urlsafe(32)
    node = Node(name=name, pool=pool, token_hash=hash_token(token), trusts_first_inventory=trust_inventory)
    if trust_inventory:
        node.state = NODE.next(node.state, "confirm")
    node.save()
    changes = {"name": name, "pool": pool.public_id, "trust_inventory": trust_inventory}
    record(actor=actor, verb="node.register", target=node, changes=changes)
    return node, token


@transaction.atomic
def hear(
    *, node: Node, boot_id: str, sent_at: float, agent: dict[str, Any] | None = None, now: datetime | None = None
) -> Node:
    """A sign of life: when, with which clock, after which boot. Moves suspect back to ready, unreachable to fenced.

    `agent` is what the agent says of itself; its own measure of the clocks' difference, which knows the way there and
    back, goes before ours.
    """
    now = now or timezone.now()
    booted = device_verbs.lock(node.devices.exclude(node__boot_id__in=["", boot_id]))
    node = Node.objects.select_for_update(of=("self",), no_key=True).select_related("pool").get(pk=node.pk)
    node.last_seen_at = now
    skew = (agent or {}).get("clock_skew_seconds")
    _take_skew(node, round(sent_at - now.timestamp(), 3) if skew is None else skew, now)
    if agent:
        _take_agent(node, agent, now)
    if node.boot_id != boot_id:
        if node.boot_id:
            DeviceEvent.objects.create(node=node, kind="new_boot", detail={"from": node.boot_id, "to": boot_id}, at=now)
            device_verbs.forgive_xids(booted)
        node.boot_id = boot_id
    if NODE.allows(node.state, "hear"):
        before = node.state
        node.state = NODE.next(node.state, "hear_drained" if before == "suspect" and node.drained else "hear")
        record(actor=WATCHER, verb="node.hear", target=node, changes={"state": [before, node.state]})
    node.save(update_fields=["last_seen_at", "clock_skew_seconds", "agent_health", "boot_id", "state"])
    return node


def _take_skew(node: Node, seconds: float, now: datetime) -> None:
    """Keep the skew; an event where the clocks go apart and where they come together again."""
    was, is_now = (abs(value or 0) > SKEW_SECONDS for value in (node.clock_skew_seconds, seconds))
    node.clock_skew_seconds = seconds
    if was != is_now:
        kind = "clock_skew" if is_now else "clock_right_again"
        DeviceEvent.objects.create(node=node, kind=kind, detail={"seconds": seconds}, at=now)


def _take_agent(node: Node, agent: dict[str, Any], now: datetime) -> None:
    """Keep the agent's health; an event for each of its parts that had to be started again."""
    before = node.agent_health.get("parts") or {}
    for part, said in (agent.get("parts") or {}).items():
        times = said["restarts"] - (before.get(part) or {}).get("restarts", 0)
        if before and times > 0:
            detail = {"part": part, "times": times, "why": said["why"]}
            DeviceEvent.objects.create(node=node, kind="part_restarted", detail=detail, at=now)
    node.agent_health = agent


@transaction.atomic
def watch_nodes(now: datetime) -> int:
    """Silence for 30 s makes a node suspect, for 120 s unreachable; how many moved."""
    moved = 0
    for event, states, silence in (
        ("miss", ("ready", "draining"), SUSPECT_AFTER),
        ("give_up", ("suspect", "fenced"), UNREACHABLE_AFTER),
    ):
        late = Node.objects.select_for_update(skip_locked=True, no_key=True).filter(
            state__in=states, last_seen_at__lt=now - silence
        )
        for node in late.order_by("pk"):
            before = node.state
            node.state = NODE.next(node.state, event)
            node.save(update_fields=["state"])
            record(actor=WATCHER, verb=f"node.{event}", target=node, changes={"state": [before, node.state]})
            moved += 1
    return moved


def drain(*, actor: Any, node: Node, reason: str) -> Node:
    """Take no new leases on this node; the running ones stay. Operators only."""
    return _move(actor, node, "drain", reason, drained=True)


def resume(*, actor: Any, node: Node, reason: str) -> Node:
    """Take leases again; after maintenance only once the free devices are proved. Operators only."""
    return _move(actor, node, "resume", reason, drained=False)


def maintain(*, actor: Any, node: Node, reason: str) -> Node:
    """draining -> maintenance: people work on it now. Operators only; allocations asks first who holds what there."""
    return _move(actor, node, "maintain", reason, drained=True)


@transaction.atomic
def retire(*, actor: Any, node: Node, reason: str) -> Node:
    """Out of the house for good, with every device on it; its token dies. Operators only; allocations asks first."""
    device_verbs.lock(node.devices.all())
    node = _move(actor, node, "retire", reason, drained=True)
    left = node.devices.exclude(state="retired").values_list("pk", flat=True)
    device_verbs.retire(actor=actor, devices=list(left), reason=reason)
    node.join_tokens.filter(used_at=None).delete()
    node.token_hash = None
    node.save(update_fields=["token_hash"])
    return node


@transaction.atomic
def _move(actor: Any, node: Node, event: str, reason: str, *, drained: bool) -> Node:
    require(actor, may_run_nodes)
    node = Node.objects.select_for_update(no_key=True).get(pk=node.pk)
    before = node.state
    node.state = NODE.next(node.state, event)
    node.drained = drained
    node.save(update_fields=["state", "drained"])
    record(actor=actor, verb=f"node.{event}", target=node, changes={"state": [before, node.state], "reason": reason})
    return node


def devices_of(node: Node) -> dict[str, Device]:
    """A node's devices by UUID."""
    return {device.uuid: device for device in node.devices.select_related("gpu_class")}
