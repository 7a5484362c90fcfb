"""The order of the wait-list, one's place in it, and what stands in an entry's own way. Reads only."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, F, OuterRef, Q, QuerySet, Subquery, Sum, When, Window
from django.db.models.functions import Greatest, RowNumber

from allocations.charging import affordable
from allocations.lifecycle import BOOKABLE, COMING, LEASE_OVER, OVER
from allocations.models import Allocation, Lease, LedgerEntry, WaitEntry
from allocations.rulebook import Rulebook
from allocations.rules import may_book
from allocations.selectors.availability import Window as Span
from allocations.selectors.availability import whole_minute
from allocations.selectors.balances import balance
from allocations.selectors.free_times import calendar_of
from allocations.selectors.leases import BACKING, gpus_in, held_leases
from allocations.selectors.offers import Slot, Wish, find_slots
from allocations.selectors.rulebooks import passing_starts, rulebook_of
from allocations.selectors.weights import weights_of
from allocations.selectors.yearly import years_bear
from allocations.shapes import ANY
from allocations.timeline import FOREVER, Busy, Spans, starts_below
from cluster.models import Pool
from common.permissions import allowed
from partners.policy import booking_span, last_moment

ANSWER_TIME = timedelta(hours=1)
"""An offer begins this much later at the earliest, where the wish leaves so much: people need time to answer."""
LEAST_ANSWER_TIME = timedelta(minutes=10)
"""With less than this nothing is offered: nobody reads mail in seconds. No pool holds its offers for less."""
PROTECTED_AFTER = 3
"""So many offers to entries behind it, while nothing fitted it, and its nearest window is kept free of them."""
PROTECTED_AFTER_WAITING = timedelta(days=7)
"""Or so long on the list."""
ORDER = (
    F("missed").asc(),
    F("allocation__priority").desc(),
    F("last_served_at").asc(nulls_first=True),
    F("joined_at").asc(),
    F("pk").asc(),
)
"""The published order; see ranked."""
MOST_LISTED = 50
"""Of one pool, on a page."""


@dataclass(frozen=True)
class Obstacle:
    """A rule of the entry's own that stands in the way; `final`: it will not go away by waiting."""

    code: str
    final: bool = False


@dataclass(frozen=True)
class Place:
    """Where an entry stands among those that wait for the same pool."""

    place: int
    of: int


def ranked(entries: QuerySet[WaitEntry]) -> QuerySet[WaitEntry]:
    """In the published order: those who let no offer go before those who did, the higher priority of the award, the
    longer since the organisation was last served of the pool (never: first), the earlier on the list.

    Served is whoever accepted an offer, or had GPUs of that pool handed over. Adds `last_served_at`.
    """
    same = {"allocation__project__organisation": OuterRef("allocation__project__organisation")}
    same["allocation__pool"] = OuterRef("allocation__pool")
    begun = Lease.objects.filter(**same, active_at__isnull=False).order_by("-active_at").values("active_at")[:1]
    taken = WaitEntry.objects.filter(**same, served_at__isnull=False).order_by("-served_at").values("served_at")[:1]
    return entries.annotate(last_served_at=Greatest(Subquery(begun), Subquery(taken))).order_by(*ORDER)


def with_places(entries: QuerySet[WaitEntry]) -> QuerySet[WaitEntry]:
    """All entries, each that waits with its `place` in its pool, and `last_served_at`. Narrow it by pool and state
    only: places are counted among what is left.
    """
    number = Window(RowNumber(), partition_by=[F("state"), F("allocation__pool")], order_by=ORDER)
    return ranked(entries).annotate(number=number).annotate(place=Case(When(state="waiting", then=F("number"))))


def places(pool_ids: Collection[int]) -> dict[int, Place]:
    """The place of every entry that waits for these pools, by its key: one query."""
    waiting = WaitEntry.objects.filter(state="waiting", allocation__pool__in=list(pool_ids))
    by_pool: dict[int, list[int]] = {}
    for key, pool_id in ranked(waiting).values_list("pk", "allocation__pool_id"):
        by_pool.setdefault(pool_id, []).append(key)
    return {key: Place(at, len(keys)) for keys in by_pool.values() for at, key in enumerate(keys, start=1)}


def span_of(entry: WaitEntry, now: datetime) -> Span:
    """Where its window may still lie: within the wish, the award and the agreement, after the time to answer."""
    allocation = entry.allocation
    last = min(entry.latest_at, allocation.valid_until, last_moment(allocation.project.agreement))
    return max(entry.earliest_at, allocation.valid_from, now + LEAST_ANSWER_TIME), last


def obstacle(entry: WaitEntry, now: datetime) -> Obstacle | None:
    """What stands in its own way, whatever is free: at most eight queries."""
    allocation, agreement = entry.allocation, entry.allocation.project.agreement
    first, last = span_of(entry, now)
    if allocation.state in OVER:
        return Obstacle("allocation_over", final=True)
    if agreement.state in ("lapsed", "terminated"):
        return Obstacle("agreement_over", final=True)
    if last - first < entry.duration:
        return Obstacle("too_late", final=True)
    if not allowed(entry.asked_by, may_book, allocation):
        return Obstacle("asker_gone", final=True)
    book = rulebook_of(allocation)
    if entry.smallest * entry.share > min(at_once(allocation, book), agreement.ceiling_concurrent_gpus):
        return Obstacle("ceiling", final=True)
    if allocation.state not in (*BOOKABLE, "exhausted"):
        return Obstacle("allocation_not_active")
    if agreement.state != "active":
        return Obstacle("agreement_not_active")
    if booking_span(agreement, allocation.pool.public_id) is None:
        return Obstacle("pool_not_covered")
    left = balance(allocation).left
    if not can_pay(entry, entry.smallest, left, (first, last)):
        return Obstacle(
            "balance", final=not can_pay(entry, entry.smallest, left + _may_come_back(entry), (first, last))
        )
    passing = passing_starts(allocation, book, entry.duration, first, now)
    if not passing or passing[0][0] + entry.duration > last:
        return Obstacle("rules")
    if not within_its_years(entry, entry.smallest, (first, last)):
        return Obstacle("ceiling_gpu_hours_a_year")
    return _own_reservations(entry, book, (first, last))


def within_its_years(entry: WaitEntry, count: int, span: Span) -> bool:
    """Whether the agreement's ceilings of calendar years bear so many GPUs somewhere in the span."""
    return years_bear(entry.allocation, count, entry.duration, *span, entry.share)


def can_pay(entry: WaitEntry, count: int, left: int, span: Span) -> bool:
    """Whether so many device-seconds bear so many GPUs somewhere in the span, at the weights announced."""
    starts = (span[0], span[1] - entry.duration)
    return bool(affordable(left, count, entry.duration, starts, weights_of(entry.allocation), entry.share))


def best_slot(entry: WaitEntry, shut: Collection[Span], now: datetime) -> Slot | None:
    """The window to offer: all of the ask before less of it, then the first; in its shape, and outside of `shut`.

    Some twenty queries for each stretch of the wish that is looked at.
    """
    first, last = span_of(entry, now)
    last_start = (last - entry.duration).replace(second=0, microsecond=0)  # offers begin on whole minutes
    first = max(first, min(now + answer_time(entry), last_start))
    found: list[Slot] = []
    for since, until in _open_stretches(first, last, shut):
        wish = Wish(
            entry.device_count, entry.smallest, entry.duration, since, until, entry.layout, profile=entry.profile
        )
        if until - whole_minute(since) >= entry.duration:
            slots = find_slots([entry.allocation], wish, now)
            found += [slot for slot in slots if entry.layout in (ANY, slot.shape)]
    return min(found, key=lambda slot: (slot.fewer, slot.start), default=None)


def answer_time(entry: WaitEntry) -> timedelta:
    """How long before its start an offer is made, where the wish leaves so much."""
    return min(ANSWER_TIME, timedelta(seconds=entry.allocation.pool.offer_hold_seconds))


def is_protected(passed_over: int, joined_at: datetime, now: datetime) -> bool:
    """Whether entries behind this one must leave its nearest window alone."""
    return passed_over >= PROTECTED_AFTER or joined_at <= now - PROTECTED_AFTER_WAITING


def nearest_window(entry: WaitEntry, now: datetime) -> Span | None:
    """The first window of the wish in which the fewest GPUs are missing to what helps; a query for each
    halving of what helps.

    None: the pool has not so many in that shape even when nobody else has any, so that nothing need be kept for it.
    """
    first, last = span_of(entry, now)
    allocation, tenants = entry.allocation, [entry.allocation.project.organisation_id]
    calendar = calendar_of(
        allocation.pool, first, last, tenants=tenants, envelope=entry.envelope_key, profile=entry.profile
    )
    if not calendar.could_ever(entry.smallest, entry.layout):
        return None
    sizes = [count for count in range(1, entry.smallest + 1) if entry.layout.fits(count)]
    found: Spans = []
    low, high = 0, len(sizes)
    while low < high:  # the more GPUs, the fewer starts: halve until the most is found that is free together
        middle = (low + high) // 2
        spans = calendar.starts(sizes[middle], entry.duration, entry.layout)
        if spans:
            found, low = spans, middle + 1
        else:
            high = middle
    start = found[0][0] if found else calendar.after
    return start, start + entry.duration


def _open_stretches(first: datetime, last: datetime, shut: Collection[Span]) -> list[Span]:
    stretches, cursor = [], first
    for since, until in sorted(shut):
        if since > cursor:
            stretches.append((cursor, min(since, last)))
        cursor = max(cursor, until)
    if cursor < last:
        stretches.append((cursor, last))
    return [(since, until) for since, until in stretches if since < until]


def _may_come_back(entry: WaitEntry) -> int:
    """Device-seconds that reservations which have begun hold: some of them may come back without anybody's doing."""
    begun = ~Q(lease__state__in=(*COMING, *LEASE_OVER))
    held = LedgerEntry.objects.filter(begun, allocation=entry.allocation, lease__isnull=False)
    return -(held.aggregate(total=Sum("device_seconds"))["total"] or 0)


def at_once(allocation: Allocation, book: Rulebook) -> int:
    """How many GPUs an award and the rules allow at one time."""
    ceiling = book.concurrent_gpus.value
    return allocation.concurrent_gpus if ceiling is None else min(ceiling, allocation.concurrent_gpus)


def _own_reservations(entry: WaitEntry, book: Rulebook, span: Span) -> Obstacle | None:
    """The award's ceiling and the agreement's, with what is reserved under them already: one query."""
    allocation, agreement = entry.allocation, entry.allocation.project.agreement
    (first, last), most = span, at_once(allocation, book)
    rows: Any = held_leases(first, last).filter(allocation__project__agreement=agreement)
    own, booked, every = [], [], []
    columns = ("allocation_id", "starts_at", "ends_at", "state", "device_count", "slices", "slices_of")
    for pk, start, end, state, *size in rows.values_list(*columns):
        busy = Busy(start, FOREVER if state in BACKING else end, gpus_in(*size))
        every.append(busy)
        if pk == allocation.pk:
            own.append(busy)
            if state in COMING:
                booked.append(busy)

    def fits(taken: list[Busy], ceiling: int) -> bool:
        spans = starts_below(taken, ceiling - entry.smallest * entry.share, entry.duration, first)
        return bool(spans) and spans[0][0] + entry.duration <= last

    if not fits(own, most):
        return Obstacle("own_reservations", final=not fits(booked, most))
    return None if fits(every, agreement.ceiling_concurrent_gpus) else Obstacle("agreement_ceiling")


@dataclass(frozen=True)
class QueueRow:
    """One that waits, as others may see it: its place and its size, not whose it is."""

    own: bool
    place: int
    device_count: int
    profile: str
    smallest: int
    duration_seconds: int

    @property
    def duration(self) -> timedelta:
        """For how long."""
        return timedelta(seconds=self.duration_seconds)


@dataclass(frozen=True)
class Queue:
    """Those that wait for a pool, in the published order; `more` are not listed."""

    pool: Pool
    rows: list[QueueRow]
    more: int


def queues(user: Any) -> list[Queue]:
    """What waits for the pools that somebody has an allocation on (the agency: for all pools): three queries."""
    pools = Pool.objects.visible_to(user).select_related("gpu_class")
    mine = Allocation.objects.visible_to(user).exclude(state__in=OVER)
    found: dict[int, Queue] = {
        pool.pk: Queue(pool, [], 0) for pool in (pools if user.is_agency else pools.filter(allocations__in=mine))
    }
    own = WaitEntry.objects.visible_to(user).none() if user.is_agency else WaitEntry.objects.visible_to(user)
    own_keys = set(own.filter(state="waiting").values_list("pk", flat=True))
    waiting = ranked(WaitEntry.objects.filter(state="waiting", allocation__pool__in=found))
    columns = ("pk", "allocation__pool_id", "device_count", "profile", "smallest", "duration_seconds")
    for key, pool_id, *ask in waiting.values_list(*columns):
        queue = found[pool_id]
        if len(queue.rows) == MOST_LISTED and key not in own_keys:
            found[pool_id] = Queue(queue.pool, queue.rows, queue.more + 1)
            continue
        place = len(queue.rows) + queue.more + 1
        queue.rows.append(QueueRow(key in own_keys, place, *ask))
    return list(found.values())
