"""What a call's prepared decisions add up to, beside what its pools and its budget have."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, Sum

from allocations.lifecycle import OPEN as OPEN_ALLOCATIONS
from allocations.models import Allocation
from allocations.selectors.envelopes import ceiling_of
from allocations.timeline import Busy, peak
from cluster.models import Pool
from proposals.models import AwardLine, Call, Decision, PreparedLine
from proposals.selectors.prepared import OPEN_PREPARED

_STANDING = ("awarded", "accepted")


@dataclass(frozen=True)
class PoolSum:
    """One pool: device-seconds of the call's budget (None: open), awarded under it and prepared; and the most GPUs at
    once that all awards promise together with what is prepared, beside what the pool has and may promise.
    """

    pool: Pool
    budget: int | None
    awarded: int
    prepared: int
    devices: int
    ceiling: int
    promised: int
    promised_then: int

    @property
    def left(self) -> int | None:
        """Of the budget, once all that is prepared is released; negative where it is not enough."""
        return None if self.budget is None else self.budget - self.awarded - self.prepared

    @property
    def over_budget(self) -> bool:
        """Whether it is not enough."""
        return self.left is not None and self.left < 0

    @property
    def over_bound(self) -> bool:
        """Whether more would be promised at once than the pool's bound allows."""
        return self.promised_then > self.ceiling


def pool_sums(call: Call | None) -> list[PoolSum]:
    """Of one call, or of all of them together (no budget then): six queries."""
    lines = PreparedLine.objects.filter(prepared__state__in=OPEN_PREPARED, prepared__kind="award")
    awards = AwardLine.objects.filter(decision__kind="award", decision__proposal__state__in=_STANDING)
    budgets = {row.pool_id: row.budget_gpu_seconds for row in call.offers.all()} if call else {}
    given = awards.filter(decision__proposal__call=call) if call else awards
    awarded = dict(given.order_by().values_list("pool").annotate(total=Sum("gpu_seconds")))
    prepared: dict[int, int] = defaultdict(int)
    coming: dict[int, list[Busy]] = defaultdict(list)
    columns = ("pool", "prepared__proposal__call", "gpu_seconds", "window_from", "window_until", "gpus")
    for pk, of, seconds, *window in lines.values_list(*columns):
        coming[pk].append(Busy(*window))
        if call is None or of == call.pk:
            prepared[pk] += seconds
    pools = Pool.objects.filter(pk__in={*budgets, *awarded, *prepared}).annotate(
        device_count=Count("nodes__devices", filter=Q(nodes__devices__parent=None) & ~_RETIRED)
    )
    rows = list(pools.order_by("name"))
    busy = _promised(rows)
    return [
        PoolSum(
            pool=pool,
            budget=budgets.get(pool.pk),
            awarded=awarded.get(pool.pk, 0),
            prepared=prepared.get(pool.pk, 0),
            devices=pool.device_count,  # type: ignore[attr-defined]
            ceiling=ceiling_of(pool, pool.device_count),  # type: ignore[attr-defined]
            promised=_most(busy[pool.pk], busy[pool.pk]),
            promised_then=_most([*busy[pool.pk], *coming[pool.pk]], coming[pool.pk] or busy[pool.pk]),
        )
        for pool in rows
    ]


_RETIRED = Q(nodes__devices__state="retired")


def _promised(pools: Iterable[Pool]) -> dict[int, list[Busy]]:
    """What allocations and awards that wait for an answer promise of each pool: two queries."""
    found: dict[int, list[Busy]] = defaultdict(list)
    held = Allocation.objects.filter(pool__in=pools, state__in=OPEN_ALLOCATIONS)
    waiting = AwardLine.objects.filter(pool__in=pools, decision__kind="award", decision__proposal__state="awarded")
    for pk, start, end, gpus in held.values_list("pool", "valid_from", "valid_until", "concurrent_gpus"):
        found[pk].append(Busy(start, end, gpus))
    for pk, start, end, gpus in waiting.values_list("pool", "window_from", "window_until", "gpus"):
        found[pk].append(Busy(start, end, gpus))
    return found


def _most(busy: list[Busy], span: list[Busy]) -> int:
    """The most at once between the first beginning and the last end of `span`."""
    if not span:
        return 0
    start: datetime = min(each.start for each in span)
    return peak(busy, start, max(each.end for each in span))


FREE_FOR = timedelta(days=14)


def came_free(now: datetime) -> list[dict[str, Any]]:
    """By pool, what awards gave back that were refused or not answered in the last days: `pool__name`, `gpus`,
    `seconds` (device-seconds), `awards`. One query.
    """
    back = Decision.objects.filter(kind__in=("refuse", "expire"), decided_at__gt=now - FREE_FOR)
    lines = AwardLine.objects.filter(
        decision__kind="award",
        decision__proposal__state__in=("refused", "expired"),
        decision__proposal__in=back.values("proposal"),
    )
    totals: Any = (
        lines.order_by()
        .values("pool__name")
        .annotate(gpus=Sum("gpus"), seconds=Sum("gpu_seconds"), awards=Count("decision", distinct=True))
    )
    return list(totals.order_by("pool__name"))
