"""What a call offers, what was asked of it, and what it has given."""

from dataclasses import dataclass
from typing import Any

from django.db.models import F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from cluster.models import Pool
from proposals.models import AwardLine, Call, Proposal, RequestLine
from proposals.selectors.eligibility import NOT_COUNTED

GIVEN = ("awarded", "accepted")
"""States in which an award counts against a budget: it waits for an answer, or was accepted."""


@dataclass(frozen=True)
class PoolBudget:
    """A pool of a call, in device-seconds. `asked` is of its GPU class; `budget` None: without a bound of its own."""

    pool: Pool
    budget: int | None
    asked: int
    awarded: int
    accepted: int

    @property
    def left(self) -> int | None:
        """Never below zero; None where there is no bound."""
        return None if self.budget is None else max(0, self.budget - self.awarded)

    @property
    def is_passed(self) -> bool:
        """Whether more was awarded than was announced."""
        return self.budget is not None and self.awarded > self.budget


def budgets_of(call: Call) -> list[PoolBudget]:
    """Each pool that a call offers: three queries."""
    asked = dict(
        RequestLine.objects.filter(proposal__call=call)
        .exclude(proposal__state__in=NOT_COUNTED)
        .order_by()
        .values_list("gpu_class_id")
        .annotate(total=Sum(F("gpus") * F("hours") * 3600))
    )
    awarded: dict[int, dict[str, int]] = {}
    rows = _given(call).order_by().values_list("pool_id", "decision__proposal__state")
    for pool_id, state, total in rows.annotate(total=Sum("gpu_seconds")):
        awarded.setdefault(pool_id, {})[state] = total
    return [
        PoolBudget(
            offer.pool,
            offer.budget_gpu_seconds,
            asked.get(offer.pool.gpu_class_id, 0),
            sum(awarded.get(offer.pool_id, {}).values()),
            awarded.get(offer.pool_id, {}).get("accepted", 0),
        )
        for offer in call.offers.select_related("pool__gpu_class")
    ]


@dataclass(frozen=True)
class BudgetLeft:
    """What an award may still take of a pool's budget, in device-seconds."""

    pool: Pool
    budget: int
    left: int


def left_of(call: Call) -> list[BudgetLeft]:
    """Each pool of a call that has a bound of its own: one query."""
    given = _given(call).filter(pool=OuterRef("pool")).order_by().values("pool").annotate(total=Sum("gpu_seconds"))
    offers = call.offers.exclude(budget_gpu_seconds=None).select_related("pool")
    rows: Any = offers.annotate(awarded=Coalesce(Subquery(given.values("total")), 0))
    return [BudgetLeft(row.pool, row.budget_gpu_seconds, max(0, row.budget_gpu_seconds - row.awarded)) for row in rows]


def awarded_of(call: Call, pool: Pool, *, but: Proposal | None = None) -> int:
    """Device-seconds that the call has awarded on a pool, answered or not: one query."""
    rows = _given(call).filter(pool=pool)
    if but is not None:
        rows = rows.exclude(decision__proposal=but)
    return int(rows.aggregate(total=Sum("gpu_seconds", default=0))["total"])


def _given(call: Call) -> QuerySet[AwardLine]:
    return AwardLine.objects.filter(
        decision__proposal__call=call, decision__kind="award", decision__proposal__state__in=GIVEN
    )
