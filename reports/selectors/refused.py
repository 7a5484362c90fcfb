"""Calls of nodes that were refused in the last week."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Sum
from django.utils import timezone

from cluster.models import Node, NodeRefusal

SHOWN = timedelta(days=7)


@dataclass(frozen=True)
class Refused:
    """What was refused, how often since `SHOWN`, when last; `node` is None for callers whom no token named."""

    node: Node | None
    code: str
    times: int
    last_at: datetime


def refused(now: datetime, node: Node | None = None) -> list[Refused]:
    """By node and code, the most frequent first; of one node where one is given. At most two queries."""
    rows = NodeRefusal.objects.filter(day__gt=timezone.localdate(now - SHOWN))
    if node is not None:
        rows = rows.filter(node=node)
    sums = list(
        rows.order_by().values("node", "code").annotate(total=Sum("times"), last=Max("last_at")).order_by("-total")[:50]
    )
    names = {each.pk: each for each in Node.objects.filter(pk__in={row["node"] for row in sums if row["node"]})}
    return [Refused(names.get(row["node"]), row["code"], row["total"], row["last"]) for row in sums]
