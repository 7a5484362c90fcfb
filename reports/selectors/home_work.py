"""What of the programme waits for somebody of the agency: how many of each, and the list that shows them."""

from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Min, Q, Value
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import AgencyRole
from allocations.models import Adjustment
from projects.models import ProgressReport
from proposals.filters import OPEN_CHANGES
from proposals.models import CallStep, ChangeRequest, PreparedDecision, Proposal, ProposalStep
from proposals.selectors import OPEN_PREPARED, listed_prepared
from proposals.selectors.readiness import to_decide
from usage.models import IdleCase

READERS = frozenset({AgencyRole.OFFICER, AgencyRole.ADMINISTRATOR, AgencyRole.AUDITOR})
"""Who has the whole programme before them; operators take the technical checks alone."""

TO_DECIDE = Q(state="due", rule__follows="propose")
"""Cases about idle GPUs that wait for an officer's word."""
_TECHNICAL = str(CallStep.Kind.TECHNICAL)


@dataclass(frozen=True)
class Waiting:
    """One kind of work: how many wait, and the list of just these. `late`: past their deadline."""

    label: Any
    count: int
    url: str
    late: bool = False


def programme_work(user: Any, proposals: dict[str, int]) -> list[Waiting]:
    """What waits, by role: four queries, one for operators.

    `proposals`: how many proposals stand in which state, as `standing_of_proposals` counted them.
    """
    steps = _steps(_TECHNICAL if not user.agency_roles & READERS else "")
    if not user.agency_roles & READERS:
        return steps
    prepared = listed_prepared(PreparedDecision.objects.visible_to(user).filter(state__in=OPEN_PREPARED)).aggregate(
        open=Count("pk"), second=Count("pk", filter=Q(state="prepared", needs_second=True))
    )
    changes = ChangeRequest.objects.visible_to(user).aggregate(
        open=Count("pk", filter=Q(state__in=OPEN_CHANGES)), approved=Count("pk", filter=Q(state="approved"))
    )
    reports = ProgressReport.objects.visible_to(user).filter(state="submitted").order_by().values_list(Value("report"))
    proposed = Adjustment.objects.visible_to(user).filter(state="proposed").order_by().values_list(Value("adjustment"))
    idle = IdleCase.objects.visible_to(user).filter(Q(state="appealed") | TO_DECIDE).order_by().values_list("state")
    others = Counter(kind for (kind,) in reports.union(proposed, idle, all=True))
    return [
        _line(_("Proposals not taken into review yet"), proposals["submitted"], "proposals:queue", state="submitted"),
        *steps,
        _line(_("Proposals to be decided on"), proposals["decide"], "proposals:queue", state="decide"),
        _line(_("Prepared decisions to be released"), prepared["open"], "proposals:prepared-list"),
        _line(
            _("Prepared decisions that wait for a second officer"),
            prepared["second"],
            "proposals:prepared-list",
            second="true",
        ),
        _line(_("Appeals to be answered"), proposals["appealed"], "proposals:queue", state="appealed"),
        _line(_("Decisions on hold"), proposals["held"], "proposals:queue", state="held"),
        _line(_("Awards that partners have not answered"), proposals["awarded"], "proposals:queue", state="awarded"),
        _line(_("Changes to awards to be decided"), changes["open"], "proposals:change-requests", state="open"),
        _line(
            _("Changes that wait for a second officer"),
            changes["approved"],
            "proposals:change-requests",
            state="approved",
        ),
        _line(_("Appeals about idle GPUs to be answered"), others["appealed"], "usage:idle-cases", state="appealed"),
        _line(_("Idle GPUs to be decided about"), others["due"], "usage:idle-cases", state="due"),
        _line(_("Adjustments to be confirmed"), others["adjustment"], "allocations:adjustments", state="proposed"),
        _line(_("Progress reports to be read"), others["report"], "projects:progress-list", state="submitted"),
    ]


def standing_of_proposals() -> dict[str, Any]:
    """How many proposals stand where something waits, and since when the oldest waits: one query."""
    waiting = Q(state__in=("submitted", "in_review"))
    states = ("submitted", "awarded", "appealed", "held")
    counts: Any = {state: Count("pk", filter=Q(state=state)) for state in states}
    counts["decide"] = Count("pk", filter=to_decide())
    return Proposal.objects.aggregate(
        waiting=Count("pk", filter=waiting), oldest=Min("submitted_at", filter=waiting), **counts
    )


def _steps(kind: str) -> list[Waiting]:
    rows = ProposalStep.objects.at_work()
    if kind:
        rows = rows.filter(kind=kind)
    found = rows.aggregate(open=Count("pk"), late=Count("pk", filter=Q(due_at__lt=timezone.now())))
    narrowed = {"kind": kind} if kind else {}
    label = _("Technical checks to be taken") if kind else _("Steps of review to be taken")
    late = _("Technical checks past their deadline") if kind else _("Steps of review past their deadline")
    return [
        _line(label, found["open"], "proposals:steps", state="now", **narrowed),
        _line(late, found["late"], "proposals:steps", overdue="true", **narrowed),
    ]


def _line(label: Any, count: int, name: str, **query: str) -> Waiting:
    url = reverse(name) + (f"?{urlencode(query)}" if query else "")
    return Waiting(label, count, url, late=count > 0 and "overdue" in query)
