"""The part of an award that is granted once a progress report is accepted."""

from typing import Any

from django.db import transaction
from django.db.models import Sum

from allocations.lifecycle import OVER
from allocations.models import Allocation, LedgerEntry
from allocations.services import ledger, warning
from audit import services as audit
from projects.models import Project

REASON = "progress report accepted"


def part_of(gpu_seconds: int, percent: int) -> int:
    """Device-seconds of an award that are held back at so many per cent, rounded down."""
    return gpu_seconds * percent // 100


def held_of(project: Project) -> int:
    """Device-seconds that the project's open awards still hold back: one query."""
    rows = Allocation.objects.filter(project=project).exclude(state__in=OVER)
    return int(rows.aggregate(total=Sum("held_back_gpu_seconds", default=0))["total"])


@transaction.atomic
def grant_rest(*, actor: Any, project: Project, report_ref: str) -> int:
    """Grant what the project's open allocations still hold back, by an award entry each; the device-seconds granted.

    Called by the verb that accepts a progress report, which answers for the permission. A repeat finds nothing.
    """
    granted = 0
    rows = Allocation.objects.filter(project=project, held_back_gpu_seconds__gt=0).exclude(state__in=OVER)
    for allocation in rows.select_for_update(no_key=True).order_by("pk"):
        rest, allocation.held_back_gpu_seconds = allocation.held_back_gpu_seconds, 0
        allocation.save(update_fields=["held_back_gpu_seconds"])
        ledger.enter(allocation, LedgerEntry.Kind.AWARD, rest, actor=actor, reason=REASON)
        warning.after_a_return(allocation)
        changes = {"held_back_gpu_seconds": [rest, 0], "report": report_ref}
        audit.record(actor=actor, verb="allocation.grant_rest", target=allocation, changes=changes)
        granted += rest
    return granted
