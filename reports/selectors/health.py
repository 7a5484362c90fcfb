"""What is ill now, which XID rules are in force, and what each pool holds; each in a fixed number of queries."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Q, QuerySet

from cluster.models import Device, Node, Pool, XidPolicy
from cluster.services import policies
from cluster.services.nodes import SKEW_SECONDS
from cluster.xids import XidRule
from reports.selectors.fleet import GONE_STATES, ILL_BY_ITSELF, ILL_HEALTH, ILL_STATES, ROWS_SHOWN
from reports.selectors.refused import Refused, refused

QUIET_STATES = ("suspect", "unreachable", "fenced")


@dataclass(frozen=True)
class AgentTrouble:
    """An agent that is heard and not well: what is wrong, as codes of TROUBLES in machine_words."""

    node: Node
    codes: list[str]


@dataclass(frozen=True)
class HealthSheet:
    """The state of things at `at`."""

    at: datetime
    devices: list[Device]
    nodes: list[Node]
    agents: list[AgentTrouble]
    refused: list[Refused]


@dataclass(frozen=True)
class RuleRow:
    """A rule in force; `own` where it is the site's."""

    rule: XidRule
    own: XidPolicy | None


def health(now: datetime) -> HealthSheet:
    """Devices that are ill or out of service, nodes that are silent, agents in trouble, calls refused. Four queries."""
    devices = Device.objects.filter(ILL_BY_ITSELF).exclude(state__in=GONE_STATES).select_related("node")
    nodes = list(Node.objects.exclude(state="retired").order_by("name"))
    troubles = [AgentTrouble(node, trouble_of(node)) for node in nodes if node.state not in QUIET_STATES]
    return HealthSheet(
        at=now,
        devices=list(devices[:ROWS_SHOWN]),
        nodes=[node for node in nodes if node.state in QUIET_STATES],
        agents=[trouble for trouble in troubles if trouble.codes],
        refused=refused(now),
    )


def trouble_of(node: Node) -> list[str]:
    """Codes of what an agent's own words say is wrong with it."""
    said: dict[str, Any] = node.agent_health or {}
    sampler: dict[str, Any] = said.get("sampler") or {}
    parts: dict[str, Any] = said.get("parts") or {}
    present = {
        "clock_skew": abs(node.clock_skew_seconds or 0) > SKEW_SECONDS,
        "silent_devices": bool(sampler.get("silent")),
        "samples_dropped": bool(said.get("samples_dropped")),
        "parts_restarted": any(part.get("restarts") for part in parts.values()),
        "kernel_log": sampler.get("kernel_log") is False,
    }
    return [code for code, wrong in present.items() if wrong]


def xid_rules() -> list[RuleRow]:
    """Every rule in force, by number. Two queries."""
    own = {row.xid: row for row in XidPolicy.objects.all()}
    return [RuleRow(rule, own.get(rule.xid)) for rule in policies.rules()]


def pools() -> QuerySet[Pool]:
    """Pools with their GPUs counted by what they do; one that is unconfirmed, or cut up, is not free. One query."""
    there = ~Q(nodes__devices__state__in=GONE_STATES) & Q(nodes__devices__parent=None)
    whole = Q(nodes__devices__set_aside=False)
    confirmed = Q(nodes__devices__awaiting_confirmation=False)

    def count(what: Q) -> Count:
        return Count("nodes__devices", filter=there & what, distinct=True)

    return Pool.objects.select_related("gpu_class").annotate(
        node_total=Count("nodes", filter=~Q(nodes__state="retired"), distinct=True),
        device_total=count(Q(nodes__devices__isnull=False)),
        device_free=count(Q(nodes__devices__state="available", nodes__state="ready") & confirmed & whole),
        device_held=count(Q(nodes__devices__state__in=("preparing", "in_use", "cleaning")) & whole),
        device_ill=count(Q(nodes__devices__health__in=ILL_HEALTH) | Q(nodes__devices__state__in=ILL_STATES)),
        device_unconfirmed=count(Q(nodes__devices__awaiting_confirmation=True)),
        class_name=F("gpu_class__name"),
    )
