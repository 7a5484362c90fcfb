"""Which rules hold for an allocation, what a subject would inherit, and who is booked in a blackout. Reads only."""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Case, CharField, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import JSONObject, Now

from allocations.lifecycle import BOOKABLE, COMING, HELD
from allocations.models import Allocation, Blackout, BookingRules, Lease
from allocations.rulebook import HOUSE, RULES, Closing, Closure, Rulebook, Scope, close_early, make_rulebook
from allocations.selectors.availability import whole_minute
from allocations.selectors.balances import charge_of, early_return_of, settled_until, window_lines
from allocations.timeline import Spans, shared
from cluster.models import Pool
from partners.models import Agreement
from partners.policy import booking_span

_SCOPE = Case(
    When(allocation__isnull=False, then=Value("allocation")),
    When(agreement__isnull=False, then=Value("agreement")),
    default=Value("pool"),
    output_field=CharField(),
)
_CLOSURE = ("starts_at", "ends_at", "reason_ko", "reason_en")
SUBJECTS: dict[str, type[Any]] = {"pool": Pool, "agreement": Agreement, "allocation": Allocation}
"""What may have rules of its own, from the widest to the narrowest."""


def with_rules(allocations: QuerySet[Allocation]) -> QuerySet[Any]:
    """These allocations, with what is said about each of them, in the same statement; `rulebook_of` reads it."""
    own = Q(pool=OuterRef("pool")) | Q(agreement=OuterRef("project__agreement")) | Q(allocation=OuterRef("pk"))
    said = BookingRules.objects.filter(own).values(found=JSONObject(scope=_SCOPE, **{name: F(name) for name in RULES}))
    closures = _coming(Q(pool=OuterRef("pool"))).values(found=JSONObject(**{name: F(name) for name in _CLOSURE}))
    return allocations.annotate(said_rules=ArraySubquery(said), coming_closures=ArraySubquery(closures))


def rulebook_of(allocation: Allocation) -> Rulebook:
    """The rules in force for an allocation: no query where `with_rules` has read it, else one."""
    known: Any = allocation if hasattr(allocation, "said_rules") else None
    row = known or with_rules(Allocation.objects.all()).get(pk=allocation.pk)
    closures = (
        Closure(_moment(found["starts_at"]), _moment(found["ends_at"]), found["reason_ko"], found["reason_en"])
        for found in row.coming_closures
    )
    return make_rulebook(((values["scope"], values) for values in row.said_rules), closures)


def closures_of(pool: Pool) -> Rulebook:
    """A pool's coming blackouts, with no other rule than the house's: for questions that name no allocation."""
    rows = _coming(Q(pool=pool)).values_list(*_CLOSURE)
    return replace(HOUSE, closures=tuple(Closure(*row) for row in rows))


def _coming(of_pool: Q) -> QuerySet[Blackout]:
    return Blackout.objects.filter(of_pool | Q(pool=None), cancelled_at=None, ends_at__gt=Now()).order_by("starts_at")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def rules_of(scope: str, subject: Any) -> BookingRules:
    """What a subject says for itself; an unsaved row of version 0 where it says nothing."""
    return BookingRules.objects.filter(**{scope: subject}).first() or BookingRules(**{scope: subject})


def inherited_by(scope: Scope, subject: Any) -> Rulebook:
    """What holds for a subject where it says nothing itself. An agreement spans pools: theirs may say more."""
    if scope != "allocation":
        return HOUSE
    rows = BookingRules.objects.filter(Q(pool=subject.pool_id) | Q(agreement=subject.project.agreement_id))
    return make_rulebook((row.scope, {name: getattr(row, name) for name in RULES}) for row in rows)


def inherited_by_all(rows: Iterable[BookingRules]) -> dict[int, Rulebook]:
    """The same for everybody in `rows` (with their allocations and projects), by the row's key: one query."""
    rows = list(rows)
    narrow = [row.allocation for row in rows if row.allocation is not None]
    agreements = [allocation.project.agreement_id for allocation in narrow]
    wider = Q(pool__in=[allocation.pool_id for allocation in narrow]) | Q(agreement__in=agreements)
    said: dict[tuple[str, int], dict[str, Any]] = {
        (row.scope, row.pool_id or row.agreement_id or 0): {name: getattr(row, name) for name in RULES}
        for row in (BookingRules.objects.filter(wider) if narrow else ())
    }
    found = {}
    for row in rows:
        above: list[tuple[Scope, int]] = []
        if row.allocation is not None:
            above = [("pool", row.allocation.pool_id), ("agreement", row.allocation.project.agreement_id)]
        found[row.pk] = make_rulebook((scope, said[scope, key]) for scope, key in above if (scope, key) in said)
    return found


def not_begun(allocation: Allocation, now: datetime) -> QuerySet[Lease]:
    """Reservations of an allocation that are booked ahead, the next one first."""
    return Lease.objects.filter(allocation=allocation, state__in=COMING, starts_at__gt=now).order_by("starts_at")


def passing_starts(allocation: Allocation, book: Rulebook, length: timedelta, after: datetime, now: datetime) -> Spans:
    """The starts >= `after` of windows of this length that the rules allow, within the award's days and those of an
    agreement that covers the pool: one query where reservations ahead are counted, else none.
    """
    within = booking_span(allocation.project.agreement, allocation.pool.public_id)
    if allocation.state not in BOOKABLE or within is None:
        return []
    opens, closes = max(allocation.valid_from, within[0]), min(allocation.valid_until, within[1])
    first, last = max(after, whole_minute(opens)), closes - length
    if last < first:
        return []
    most = book.future_leases.value
    ahead = most is None or not_begun(allocation, now)[:most].count() < most
    return shared(book.starts(length, after, now, ahead=ahead), [(first, last)])


def booked_in(blackout: Blackout) -> QuerySet[Lease]:
    """Reservations that hold devices in a blackout: they were booked before it was announced, and stay."""
    rows = Lease.objects.filter(state__in=HELD, starts_at__lt=blackout.ends_at, ends_at__gt=blackout.starts_at)
    if blackout.pool_id is not None:
        rows = rows.filter(allocation__pool=blackout.pool_id)
    return rows.select_related("allocation__project__organisation", "allocation__pool").order_by("starts_at", "pk")


@dataclass(frozen=True)
class Bill:
    """What giving a reservation back at a moment costs, in device-seconds, and why."""

    closing: Closing
    charged_seconds: int
    back_seconds: int
    book: Rulebook

    @property
    def for_notice(self) -> bool:
        """More than the use is charged, because the notice is short."""
        return self.closing.charged_until is not None and bool(self.book.release_notice_seconds.value)


def bill_of(lease: Lease, at: datetime) -> Bill:
    """What it costs if the partner gives the reservation back at this moment: what the verb will freeze. Of one that
    has ended, what it cost.
    """
    book, would = rulebook_of(lease.allocation), copy(lease)
    if lease.drained_at is None and lease.ended_at is None:
        closing = close_early(book, lease.starts_at, lease.ends_at, lease.active_at, at)
        would.drained_at = min(at, lease.ends_at)
    else:
        closing = Closing(lease.charged_until, lease.returned_percent)
    would.charged_until, would.returned_percent = closing.charged_until, closing.returned_percent
    held = window_lines(lease, lease.ends_at)
    charged = sum(charge_of(would, settled_until(would), held).values()) - early_return_of(would, held)
    return Bill(closing, charged, sum(held.values()) - charged, book)
