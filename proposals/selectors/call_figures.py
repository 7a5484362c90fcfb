"""What a call achieved: asked, awarded, and by whom."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from common.errors import Text
from partners.models import Organisation
from proposals.lifecycle import PROPOSAL
from proposals.models import AwardLine, Call, CallPool, Proposal, RequestLine
from proposals.selectors.budgets import GIVEN, PoolBudget, budgets_of
from proposals.selectors.eligibility import NOT_COUNTED

WAITING = ("submitted", "in_review", "held", "appealed")


@dataclass(frozen=True)
class Share:
    """One kind of organisation: how many proposals, how many of them awarded, device-seconds asked and awarded."""

    key: str
    label: Text
    proposals: int
    awarded: int
    asked_gpu_seconds: int
    awarded_gpu_seconds: int


@dataclass(frozen=True)
class CallFigures:
    """Of a call. `states`: how many proposals stand in each; drafts are nobody's business and not counted."""

    proposals: int
    organisations: int
    states: dict[str, int]
    asked_gpus: int
    asked_gpu_seconds: int
    awarded: int
    accepted: int
    awarded_gpus: int
    awarded_gpu_seconds: int
    budget_gpu_seconds: int | None
    pools: list[PoolBudget]
    sizes: list[Share]
    regions: list[Share]

    @property
    def demand(self) -> float | None:
        """How many times the budget was asked for; None without a budget."""
        return round(self.asked_gpu_seconds / self.budget_gpu_seconds, 2) if self.budget_gpu_seconds else None


@dataclass(frozen=True)
class _Row:
    state: str
    organisation: int
    size: str
    region: str
    asked_gpus: int
    asked: int
    awarded_gpus: int
    awarded: int


def with_figures(queryset: QuerySet[Call]) -> QuerySet[Call]:
    """Adds `handed_in`, `waiting`, `awarded`, `asked_seconds`, `awarded_seconds` and `budget_seconds` for a list."""
    counted = ~Q(proposals__state__in=NOT_COUNTED)
    asked = RequestLine.objects.filter(proposal__call=OuterRef("pk")).exclude(proposal__state__in=NOT_COUNTED)
    given = AwardLine.objects.filter(
        decision__kind="award", decision__proposal__call=OuterRef("pk"), decision__proposal__state__in=GIVEN
    )
    budget = CallPool.objects.filter(call=OuterRef("pk"))
    return queryset.annotate(
        handed_in=Count("proposals", filter=counted),
        waiting=Count("proposals", filter=Q(proposals__state__in=WAITING)),
        awarded=Count("proposals", filter=Q(proposals__state__in=GIVEN)),
        asked_seconds=_total(asked, "proposal__call", F("gpus") * F("hours") * 3600),
        awarded_seconds=_total(given, "decision__proposal__call", F("gpu_seconds")),
        budget_seconds=Subquery(budget.order_by().values("call").annotate(t=Sum("budget_gpu_seconds")).values("t")),
    )


def figures_of(call: Call) -> CallFigures:
    """All figures of one call: a fixed number of queries, whatever the number of proposals."""
    rows = _rows(call)
    pools = budgets_of(call)
    counted = [row for row in rows if row.state not in NOT_COUNTED]
    given = [row for row in counted if row.state in GIVEN]
    budgets = [pool.budget for pool in pools if pool.budget is not None]
    return CallFigures(
        proposals=len(counted),
        organisations=len({row.organisation for row in counted}),
        states={state: n for state in PROPOSAL.states if state != "draft" and (n := _count(rows, state))},
        asked_gpus=sum(row.asked_gpus for row in counted),
        asked_gpu_seconds=sum(row.asked for row in counted),
        awarded=len(given),
        accepted=_count(rows, "accepted"),
        awarded_gpus=sum(row.awarded_gpus for row in given),
        awarded_gpu_seconds=sum(row.awarded for row in given),
        budget_gpu_seconds=sum(budgets) if budgets and len(budgets) == len(pools) else None,
        pools=pools,
        sizes=_shares(counted, Organisation.Size, lambda row: row.size),
        regions=_shares(counted, Organisation.Region, lambda row: row.region),
    )


def _total(rows: QuerySet[Any], by: str, amount: Any) -> Coalesce:
    return Coalesce(Subquery(rows.order_by().values(by).annotate(total=Sum(amount)).values("total")), Value(0))


def _rows(call: Call) -> list[_Row]:
    """One a proposal, its sums made by the database: three queries."""
    asked = {
        pk: (gpus, seconds)
        for pk, gpus, seconds in RequestLine.objects.filter(proposal__call=call)
        .order_by()
        .values_list("proposal_id")
        .annotate(gpus_sum=Sum("gpus"), seconds=Sum(F("gpus") * F("hours") * 3600))
    }
    awarded = {
        pk: (gpus, seconds)
        for pk, gpus, seconds in AwardLine.objects.filter(decision__proposal__call=call, decision__kind="award")
        .order_by()
        .values_list("decision__proposal_id")
        .annotate(gpus_sum=Sum("gpus"), seconds=Sum("gpu_seconds"))
    }
    found = Proposal.objects.filter(call=call).exclude(state="draft")
    facts = found.values_list("pk", "state", "organisation_id", "organisation__size", "organisation__region")
    none = (0, 0)
    return [
        _Row(state, organisation, size, region, *asked.get(pk, none), *awarded.get(pk, none))
        for pk, state, organisation, size, region in facts
    ]


def _count(rows: Iterable[_Row], state: str) -> int:
    return sum(row.state == state for row in rows)


def _shares(rows: list[_Row], choices: Any, key: Callable[[_Row], str]) -> list[Share]:
    """By each choice that somebody has, unknown ones last."""
    found: dict[str, list[_Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return [
        Share(
            value,
            choices(value).label if value else "",
            len(mine),
            sum(row.state in GIVEN for row in mine),
            sum(row.asked for row in mine),
            sum(row.awarded for row in mine if row.state in GIVEN),
        )
        for value in (*choices.values, "")
        if (mine := found.get(value))
    ]
