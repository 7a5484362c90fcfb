"""What reservations under an agreement take of each calendar year, of the agency's zone. Reads only."""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from django.db.models import DateTimeField, ExpressionWrapper, F, FloatField, Q, Sum, Value
from django.db.models.functions import Coalesce, Extract, Greatest, Least
from django.utils import timezone

from allocations.charging import WHOLE, Weights, charge, stretches
from allocations.models import Allocation, Lease, LedgerEntry
from allocations.rulebook import Rulebook
from allocations.selectors.rulebooks import passing_starts
from allocations.selectors.weights import weights_of
from allocations.timeline import Spans
from common.moments import agency_day
from partners.policy import left_by_year


def held_by_year(agreement_id: int, years: Iterable[int], *, but: Lease | None = None) -> dict[int, int]:
    """Device-seconds that all reservations under an agreement hold or were charged, by year, rounded up: one query.

    One that lies in two years counts in each by its time there.
    """
    rows = LedgerEntry.objects.filter(allocation__project__agreement=agreement_id, lease__isnull=False)
    if but is not None:
        rows = rows.exclude(lease=but)
    spans = {f"in_{year}": _year(year) for year in years}
    within = Q()
    for start, end in spans.values():
        within |= Q(lease__starts_at__lt=end, _end__gt=start)
    until = Coalesce("lease__drained_at", "lease__pending_ends_at", "lease__ends_at")
    least = ExpressionWrapper(F("lease__starts_at") + timedelta(seconds=1), output_field=DateTimeField())
    found = (
        rows.order_by()
        .annotate(_end=Greatest(until, least))
        .filter(within)
        .aggregate(**{key: Sum(-F("device_seconds") * _part(*span), default=0.0) for key, span in spans.items()})
    )
    # The parts are floating-point numbers: a millionth of a second is no second that was begun.
    return {int(key.removeprefix("in_")): math.ceil(value - 1e-6) for key, value in found.items()}


def asked_by_year(
    device_count: int, starts_at: datetime, ends_at: datetime, weights: Weights = (), share: Fraction = WHOLE
) -> dict[int, int]:
    """Device-seconds that a window costs, by year."""
    first, last = agency_day(starts_at).year, agency_day(ends_at - timedelta(microseconds=1)).year
    asked, before = {}, 0
    for year in range(first, last + 1):
        until = charge(device_count, starts_at, min(ends_at, _year(year)[1]), weights, share)
        asked[year], before = until - before, until
    return asked


def left_of_years(agreement: Any, first: datetime, last: datetime) -> dict[int, int] | None:
    """Device-seconds that reservations may still take of each year between two moments: one query.

    None, and no query, where the agreement has no ceiling of a year.
    """
    if agreement.ceiling_gpu_seconds_a_year is None:
        return None
    years = range(agency_day(first).year, agency_day(max(first, last - timedelta(microseconds=1))).year + 1)
    return left_by_year(agreement, held_by_year(agreement.pk, years))


def within_years(
    left: Mapping[int, int] | None,
    spans: Spans,
    count: int,
    length: timedelta,
    weights: Weights = (),
    share: Fraction = WHOLE,
) -> Spans:
    """Those of the starts at which so many devices for so long take no more of any year than is left of it."""
    found = spans
    for year, most in (left or {}).items():
        start, end = _year(year)

        def fits(at: datetime, year: int = year, most: int = most) -> bool:
            return asked_by_year(count, at, at + length, weights, share).get(year, 0) <= most

        changes = [start, end, *(step.at for step in weights)]
        found = [part for first, last in found for part in stretches(fits, (first, last), changes, length)]
    return found


def years_bear(
    allocation: Allocation, count: int, length: timedelta, first: datetime, last: datetime, share: Fraction = WHOLE
) -> bool:
    """Whether the agreement's ceilings of calendar years bear so many devices for so long somewhere between two
    moments: two queries at most.
    """
    left = left_of_years(allocation.project.agreement, first, last)
    if left is None or last - first < length:
        return left is None
    return bool(within_years(left, [(first, last - length)], count, length, weights_of(allocation), share))


def permitted_starts(
    allocation: Allocation,
    book: Rulebook,
    count: int,
    length: timedelta,
    after: datetime,
    now: datetime,
    share: Fraction = WHOLE,
) -> Spans:
    """The starts >= `after` that the rules, the award's days and the agreement allow, whatever is free: two queries."""
    spans = passing_starts(allocation, book, length, after, now)
    if not spans:
        return []
    left = left_of_years(allocation.project.agreement, spans[0][0], spans[-1][1] + length)
    return spans if left is None else within_years(left, spans, count, length, weights_of(allocation), share)


def _year(year: int) -> tuple[datetime, datetime]:
    zone = timezone.get_default_timezone()
    return datetime(year, 1, 1, tzinfo=zone), datetime(year + 1, 1, 1, tzinfo=zone)


def _part(start: datetime, end: datetime) -> Any:
    """Which part of the time of the entry's lease lies between two moments, 0.0 to 1.0."""
    inside = _seconds(Least(F("_end"), Value(end))) - _seconds(Greatest(F("lease__starts_at"), Value(start)))
    length = _seconds(F("_end")) - _seconds(F("lease__starts_at"))
    return Greatest(inside, Value(0.0), output_field=FloatField()) / length


def _seconds(moment: Any) -> Any:
    moment = ExpressionWrapper(moment, output_field=DateTimeField())
    return ExpressionWrapper(Extract(moment, "epoch"), output_field=FloatField())
