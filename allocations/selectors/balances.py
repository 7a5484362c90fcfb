"""What awards and their ledgers add up to. Reads only."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from django.db.models import F, Q, QuerySet, Sum, Value
from django.db.models.functions import Greatest, Least, TruncDay, TruncHour

from allocations import charging
from allocations.charging import WHOLE, Lines, Weights
from allocations.lifecycle import OVER
from allocations.models import Allocation, Lease, LedgerEntry
from allocations.selectors.windows import held_lines, used_lines
from common.compiled import question
from common.quantities import seconds_between
from partners.commitments import Award, Committed, add_up

EARLY_RETURN = "early return"
"""The reason of the credit for what a partner gives back early."""


@dataclass(frozen=True)
class Balance:
    """Device-seconds of an allocation. `held` is what open leases hold now; `left` is what may still be booked."""

    awarded: int = 0
    held: int = 0
    charged: int = 0
    returned: int = 0
    credited: int = 0
    adjusted: int = 0
    expired: int = 0
    left: int = 0

    @property
    def granted(self) -> int:
        """The award with its adjustments: what 100 % is."""
        return self.awarded + self.adjusted


def committed(agreement: Any, *, without: Allocation | None = None) -> Committed:
    """What the awards of an agreement already take, in all and by calendar year: one query. `without` one of them,
    where it is asked what that one may become.
    """
    return committed_by([agreement], without=without)[agreement.pk]


def committed_by(agreements: Iterable[Any], *, without: Allocation | None = None) -> dict[int, Committed]:
    """The same of many agreements, by their keys: one query."""
    keys = [agreement.pk for agreement in agreements]
    allocations = Allocation.objects.filter(project__agreement__in=keys)
    if without is not None:
        allocations = allocations.exclude(pk=without.pk)
    rows = allocations.values_list(
        "project__agreement_id",
        F("awarded_gpu_seconds") + F("adjusted_gpu_seconds"),
        "concurrent_gpus",
        "valid_from",
        "valid_until",
        "pool__public_id",
        "pool__gpu_class__code",
        "state",
    )
    awards: dict[int, list[Award]] = {key: [] for key in keys}
    for key, seconds, gpus, begins, ends, pool, gpu_class, state in rows:
        awards[key].append(Award(seconds, gpus, begins, ends, pool, gpu_class, open=state not in OVER))
    return {key: add_up(found) for key, found in awards.items()}


def balance(allocation: Allocation) -> Balance:
    """The sums of the ledger by kind: one query."""
    return _balance_of(dict(_moved.rows(allocation.pk)))


def _balance_of(totals: dict[str, int]) -> Balance:
    kind = LedgerEntry.Kind
    return Balance(
        awarded=totals.get(kind.AWARD, 0),
        held=-(totals.get(kind.HOLD, 0) + totals.get(kind.RETURN, 0)),
        charged=-totals.get(kind.SETTLE, 0),
        returned=totals.get(kind.RETURN, 0),
        credited=totals.get(kind.CREDIT, 0),
        adjusted=totals.get(kind.ADJUSTMENT, 0),
        expired=-totals.get(kind.EXPIRY, 0),
        left=sum(totals.values()),
    )


@question
def _moved(allocation: int) -> QuerySet[LedgerEntry, Any]:
    rows = LedgerEntry.objects.filter(allocation=allocation).order_by().values_list("kind")
    return rows.annotate(total=Sum("device_seconds"))


def charged_until(lease: Lease) -> datetime | None:
    """The moment until which a lease is charged whatever comes back: its end of use, or the end of the notice where its
    partner gave it back; a begun second is not charged. None: not at all.
    """
    until = lease.charged_until or (lease.drained_at if lease.active_at else None)
    if until is None:
        return None
    return lease.starts_at + timedelta(seconds=max(0, seconds_between(lease.starts_at, until)))


def settled_until(lease: Lease) -> datetime | None:
    """The moment until which the charge is entered: the whole window where not all of the rest of it comes back (what
    does is a credit of its own; see early_return_of).
    """
    return lease.ends_at if lease.returned_percent < 100 else charged_until(lease)


def early_return_of(lease: Lease, held: Lines) -> int:
    """Device-seconds to credit: the part of the rest of the window that comes back, rounded for the partner."""
    settled = charge_of(lease, settled_until(lease), held)
    rest = sum(settled.values()) - sum(charge_of(lease, charged_until(lease), held).values())
    return rest - rest * (100 - lease.returned_percent) // 100


def charge_of(lease: Lease, until: datetime | None, held: Lines) -> Lines:
    """What to charge from the start until a moment, segment by segment, each at most what was held for it."""
    asked = {}
    if until is not None:
        asked = used_lines(lease, until) if lease.reshaped else window_lines(lease, until)
    return {key: min(held.get(key, 0), amount) for key, amount in asked.items()}


def window_lines(lease: Lease, until: datetime) -> Lines:
    """What a lease costs from its start until a moment, segment by segment, under the weights of its booking."""
    if lease.reshaped:
        return held_lines(lease, until)
    cut = charging.segments(lease.prices, lease.starts_at, until)
    return charging.lines(cut, lease.device_count, lease.share)


def hold_of(
    device_count: int, starts_at: datetime, ends_at: datetime, weights: Weights = (), share: Fraction = WHOLE
) -> int:
    """Device-seconds that a window holds: begun seconds are held whole."""
    return charging.charge(device_count, starts_at, ends_at, weights, share)


def hold_left(lease: Lease, now: datetime) -> int:
    """Device-seconds of a lease's hold that lie after a moment."""
    used = window_lines(lease, min(max(now, lease.starts_at), lease.ends_at))
    return sum(window_lines(lease, lease.ends_at).values()) - sum(used.values())


PACE_OVER = timedelta(days=14)
_DAY = timedelta(days=1)
_PACED = (LedgerEntry.Kind.HOLD, LedgerEntry.Kind.RETURN, LedgerEntry.Kind.SETTLE, LedgerEntry.Kind.CREDIT)


@dataclass(frozen=True)
class Forecast:
    """Where an allocation is heading: device-seconds booked or used a day lately; `runs_out_at` at that pace, or else
    what would be left unused at its end. Both None where nothing was booked lately, or where it is over or spent.
    """

    pace_seconds_a_day: int
    over_days: int
    runs_out_at: datetime | None = None
    unused_seconds: int | None = None


def forecast(allocation: Allocation, left: int, now: datetime) -> Forecast:
    """At the pace of the last fourteen days, or since it began: one query. `left` is its balance."""
    over = max(_DAY, min(PACE_OVER, now - allocation.valid_from))
    rows = LedgerEntry.objects.filter(allocation=allocation, kind__in=_PACED, at__gt=now - over)
    return _heading(allocation, left, -(rows.aggregate(total=Sum("device_seconds"))["total"] or 0), now)


def outlooks(allocations: Iterable[Allocation], now: datetime) -> dict[int, tuple[Balance, Forecast]]:
    """Balance and forecast of many allocations, by their keys: one query."""
    found = {allocation.pk: allocation for allocation in allocations}
    since = Least(Value(now - _DAY), Greatest(Value(now - PACE_OVER), F("allocation__valid_from")))
    lately = Sum("device_seconds", filter=Q(kind__in=_PACED, at__gt=since), default=0)
    rows = LedgerEntry.objects.filter(allocation__in=found).order_by().values_list("allocation_id", "kind")
    totals: dict[int, dict[str, int]] = {key: {} for key in found}
    spent = dict.fromkeys(found, 0)
    for key, kind, total, moved in rows.annotate(total=Sum("device_seconds"), lately=lately):
        totals[key][kind] = total
        spent[key] -= moved
    balances = {key: _balance_of(kinds) for key, kinds in totals.items()}
    return {key: (each, _heading(found[key], each.left, spent[key], now)) for key, each in balances.items()}


def _heading(allocation: Allocation, left: int, spent: int, now: datetime) -> Forecast:
    over = max(_DAY, min(PACE_OVER, now - allocation.valid_from))
    pace = max(0, round(spent * (_DAY / over)))
    days = round(over / _DAY)
    if not pace or left <= 0 or allocation.state in OVER or now >= allocation.valid_until:
        return Forecast(pace, days)
    lasts = (allocation.valid_until - now) / _DAY
    if pace * lasts >= left:
        return Forecast(pace, days, runs_out_at=now + left / pace * _DAY)
    return Forecast(pace, days, unused_seconds=left - round(pace * lasts))


def balance_points(allocation: Allocation, now: datetime) -> list[tuple[datetime, int]]:
    """(moment, device-seconds left then): by day, by hour while it is younger than a week. One query."""
    step = _DAY if now - allocation.created_at > timedelta(days=7) else timedelta(hours=1)
    bucket = TruncDay("at") if step == _DAY else TruncHour("at")
    rows = LedgerEntry.objects.filter(allocation=allocation).order_by().annotate(bucket=bucket).values("bucket")
    points, left = [], 0
    for row in rows.annotate(moved=Sum("device_seconds")).order_by("bucket"):
        left += row["moved"]
        points.append((min(now, row["bucket"].astimezone(UTC) + step), left))
    if points and points[-1][0] < now:
        points.append((now, left))
    return points
