"""What was decided, added up by whatever one asks for. Reads only; a fixed number of queries each."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import Any, Literal

from django.db.models import F, FloatField, Q, QuerySet, Sum, Value
from django.db.models.functions import Cast, NullIf

from allocations.models import Lease, UsageCorrection, UsageDay, UsageHour, UsageMark, UsageTotal
from allocations.selectors.usage.figures import NAMES, UsageSums, weighed
from allocations.usage_classes import UsageClass
from common.moments import agency_day, begin_of, hour_of

Dimension = Literal["lease", "allocation", "project", "organisation", "gpu_class", "pool", "person"]
PATHS: dict[str, str] = {
    "lease": "lease_id",
    "allocation": "lease__allocation_id",
    "project": "lease__allocation__project_id",
    "organisation": "lease__allocation__project__organisation_id",
    "gpu_class": "lease__allocation__pool__gpu_class_id",
    "pool": "lease__allocation__pool_id",
    "person": "lease__booked_by_id",
}
_DECIDED = "decided"


def decided_until() -> datetime | None:
    """Until when every hour is decided; None: none yet. What is later is provisional."""
    return UsageMark.objects.filter(name=_DECIDED).values_list("done_until", flat=True).first()


def sums(scope: QuerySet[Lease], start: datetime | None = None, end: datetime | None = None) -> UsageSums:
    """Decided use of leases in [start, end), taken to the hour; None: from their beginning, to the last hour decided.

    One query for whole days of Seoul (for all time: for what the leases have in all), two more for the hours at the
    edges.
    """
    return UsageSums.total(_by(None, scope, start, end).values())


def sums_by(
    dimension: Dimension, scope: QuerySet[Lease], start: datetime | None = None, end: datetime | None = None
) -> dict[int, UsageSums]:
    """The same by the key of whatever they belong to; what has nothing is missing."""
    return _by(PATHS[dimension], scope, start, end)


def daily(scope: QuerySet[Lease], start: date, end: date) -> list[tuple[date, UsageSums]]:
    """Decided use on each day (Seoul) from start to end, the last one included, in order; a day without is missing."""
    rows = _of(UsageDay.objects.filter(day__gte=start, day__lte=end), scope).order_by("day")
    return [(row["day"], UsageSums.of(row)) for row in rows.values("day").annotate(**_added())]


def idlest(scope: QuerySet[Lease], by: str, count: int) -> dict[int, UsageSums]:
    """Decided use of the leases with most idleness, by key, the most first: so many of those that have any, by hours,
    by their share of what was measured, by the hours held, or by the lease's GPUs. One query.
    """
    unused = F("idle_seconds") + F("parked_seconds")
    orders: dict[str, Any] = {
        "hours": unused,
        "share": Cast(unused, FloatField()) / NullIf(F("used_seconds") + unused + F("hung_seconds"), Value(0)),
        "held": F("held_seconds"),
        "gpus": F("lease__device_count"),
    }
    rows = UsageTotal.objects.filter(lease__in=scope.order_by()).annotate(unused=unused).filter(unused__gt=0)
    chosen = rows.order_by(orders[by].desc(nulls_last=True), "lease_id").values("lease_id", *NAMES)[:count]
    return {row["lease_id"]: UsageSums.of(row) for row in chosen}


def _of(rows: Any, scope: QuerySet[Lease]) -> Any:
    """Those of these leases; all where these are all."""
    asked = scope.query
    everything = not (asked.where or asked.is_sliced or asked.combinator)
    return rows if everything else rows.filter(lease__in=scope.order_by())


def _added() -> dict[str, Any]:
    return {name: Sum(name) for name in NAMES}


def _by(path: str | None, scope: QuerySet[Lease], start: datetime | None, end: datetime | None) -> dict[Any, UsageSums]:
    first, last, edges = _whole_days(start, end)
    chosen = (Q(day__gte=first) if first else Q()) & (Q(day__lt=last) if last else Q())
    found: dict[Any, UsageSums] = defaultdict(UsageSums)
    if first is None or last is None or first < last:
        kept = UsageDay.objects.filter(chosen) if first or last else UsageTotal.objects.all()
        rows = _of(kept, scope).order_by().annotate(key=F(path) if path else Value(0))
        for row in rows.values("key").annotate(**_added()):
            found[row["key"]] += UsageSums.of(row)
    if edges:
        for key, part in _at_edges(path, scope, edges):
            found[key] += part
    return dict(found)


def _whole_days(
    start: datetime | None, end: datetime | None
) -> tuple[date | None, date | None, list[tuple[datetime, datetime]]]:
    """The days that lie in the window, last one excluded, and the hours before and after them."""
    start, end = start and hour_of(start), end and hour_of(end)
    first = agency_day(start) if start else None
    if start and first and start > begin_of(first):
        first += timedelta(days=1)
    last = agency_day(end) if end else None
    if start and end and first and last and last < first:  # within a day
        return first, first, [(start, end)] if end > start else []
    edges = []
    if start and first and start < begin_of(first):
        edges.append((start, begin_of(first)))
    if end and last and end > begin_of(last):
        edges.append((begin_of(last), end))
    return first, last, edges


def _at_edges(
    path: str | None, scope: QuerySet[Lease], edges: list[tuple[datetime, datetime]]
) -> list[tuple[Any, UsageSums]]:
    within = Q()
    for begins, ends in edges:
        within |= Q(hour__gte=begins, hour__lt=ends)
    groups = {"key": F(path)} if path else {}
    shape = ("lease__slices", "lease__slices_of", *groups)
    raw: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: dict.fromkeys(NAMES, 0))
    hours = UsageHour.objects.filter(within, lease__in=scope.order_by()).order_by().annotate(**groups)
    for row in hours.values(*shape).annotate(**_added()):
        into = raw[tuple(row[name] for name in shape)]
        for name in NAMES:
            into[name] += row[name]
    moved = UsageCorrection.objects.filter(within, lease__in=scope.order_by()).order_by().annotate(**groups)
    for row in moved.values(*shape, "from_class", "to_class").annotate(
        moved=Sum("seconds"), more=Sum("samples"), joules=Sum("energy_j")
    ):
        into = raw[tuple(row[name] for name in shape)]
        into[UsageClass(row["from_class"]).field] -= row["moved"]
        if row["to_class"]:
            into[UsageClass(row["to_class"]).field] += row["moved"]
        into["samples"] += row["more"]
        into["energy_j"] += row["joules"]
    return [(key[2] if path else None, weighed(row, key[0], key[1])) for key, row in raw.items()]
