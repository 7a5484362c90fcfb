"""What a project holds and what was made of it, for the project's own page. Reads only."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from allocations.models import Allocation, Lease
from allocations.selectors import usage
from allocations.selectors.balances import outlooks
from allocations.selectors.usage import UsageSums
from projects.models import Project
from usage.selectors.figures import Outlook


@dataclass(frozen=True)
class ProjectUse:
    """Decided use from the project's beginning on (`decided_until`: later hours are not in it), and its allocations."""

    project: Project
    decided_until: datetime | None
    total: UsageSums
    outlooks: tuple[Outlook, ...]


def use_of(user: Any, project: Project, now: datetime) -> ProjectUse:
    """Of what this user may see of a project: four queries, however much it holds. Allocations that are over, too."""
    scope = Lease.objects.visible_to(user).filter(allocation__project=project)
    rows = list(
        Allocation.objects.visible_to(user).filter(project=project).select_related("pool").order_by("valid_from", "pk")
    )
    return ProjectUse(project, usage.decided_until(), usage.sums(scope), tuple(_outlooks(rows, now)))


def _outlooks(rows: list[Allocation], now: datetime) -> Iterable[Outlook]:
    found = outlooks(rows, now)
    return (Outlook(row, *found[row.pk]) for row in rows)
