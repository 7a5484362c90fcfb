"""The statement of an allocation: what was there, what moved, what is there. Reads only."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, F, Q, QuerySet, RowRange, Sum, Value, Window
from django.db.models.functions import Coalesce

from allocations.models import Allocation, LedgerEntry, LedgerEntryQuerySet


@dataclass(frozen=True)
class KindSum:
    """What the lines of one kind add up to in the period, in device-seconds."""

    kind: str
    lines: int
    total: int

    @property
    def label(self) -> str:
        """The kind in the reader's language."""
        return str(LedgerEntry.Kind(self.kind).label)


@dataclass(frozen=True)
class Statement:
    """An allocation from `since` until (not including) `until`; None: from its award on, and until now.

    `opening` plus the lines is `closing`; each line brings its running `balance` along, whichever page it stands on.
    """

    since: datetime | None
    until: datetime | None
    opening: int
    closing: int
    sums: tuple[KindSum, ...]
    lines: QuerySet[LedgerEntry]


def statement(allocation: Allocation, since: datetime | None = None, until: datetime | None = None) -> Statement:
    """One query for the sums; the lines are fetched by whoever shows them: one more, whatever their number.

    Lines stand in the order in which they were entered, by the clock of the portal that entered them.
    """
    before = Q(at__lt=since) if since else Q(pk__in=())
    within = (Q(at__gte=since) if since else Q()) & (Q(at__lt=until) if until else Q())
    rows = LedgerEntry.objects.filter(allocation=allocation)
    counted = Count("pk", filter=within) if within else Count("pk")
    moved = Sum("device_seconds", filter=within) if within else Sum("device_seconds")
    opening, sums = 0, []
    for kind, earlier, lines, total in (
        rows.order_by()
        .values_list("kind")
        .annotate(earlier=Coalesce(Sum("device_seconds", filter=before), 0), lines=counted, total=Coalesce(moved, 0))
    ):
        opening += earlier
        if lines:
            sums.append(KindSum(kind, lines, total))
    order = LedgerEntry.Kind.values
    return Statement(
        since=since,
        until=until,
        opening=opening,
        closing=opening + sum(row.total for row in sums),
        sums=tuple(sorted(sums, key=lambda row: order.index(row.kind))),
        lines=_running(rows.filter(within), opening),
    )


def _running(rows: LedgerEntryQuerySet, opening: int) -> QuerySet[LedgerEntry]:
    so_far = Window(Sum("device_seconds"), order_by=[F("at").asc(), F("pk").asc()], frame=RowRange(end=0))
    rows = rows.annotate(balance=so_far + Value(opening))
    return rows.for_reading().order_by("at", "pk")
