"""The minutes themselves, decided and provisional, and what is not decided yet."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Min, Q, QuerySet

from allocations.lifecycle import LEASE_OVER
from allocations.models import Lease, UsageCorrection, UsageHour
from allocations.selectors.usage import judging
from allocations.selectors.usage.adding import decided_until
from allocations.selectors.usage.figures import NAMES, UsageSums, weighed
from allocations.usage_classes import UsageClass

_MINUTE = timedelta(minutes=1)
_ROWS = "SELECT device_id, minute, code FROM judged WHERE minute >= %(from)s AND minute < %(until)s"
_MINUTES = judging.UNDECIDED + _ROWS
_DECIDED = f"""
SELECT {", ".join(f"coalesce(sum({name}), 0)" for name in NAMES)},
       (SELECT done_until FROM allocations_usagemark WHERE name = 'decided')
FROM allocations_usageday WHERE lease_id = %(lease)s
"""  # noqa: S608 (constants only)
_SUMS = judging.UNDECIDED + f"SELECT lease_id, {judging.SUMS} FROM judged GROUP BY lease_id"  # noqa: S608


@dataclass(frozen=True)
class UsageMinute:
    """One held minute of one device. `provisional`: judged as it looks now, and decided when its hour is."""

    device_id: int
    minute: datetime
    code: str
    provisional: bool

    @property
    def kind(self) -> UsageClass:
        """What it was."""
        return UsageClass.of_letter(self.code)


@dataclass(frozen=True)
class LeaseUse:
    """A lease's use: what is decided, what is provisional, both together."""

    decided: UsageSums
    provisional: UsageSums

    @property
    def total(self) -> UsageSums:
        """So far, or in all."""
        return self.decided + self.provisional


def use_of(lease: Lease, now: datetime) -> LeaseUse:
    """The use of one lease up to now: two queries at most."""
    *figures, mark = judging.run(_DECIDED, {"lease": lease.pk})[0]
    decided = UsageSums(*(int(figure) for figure in figures))
    if lease.active_at is None or lease.state in LEASE_OVER:
        return LeaseUse(decided, UsageSums())
    found = _provisional({lease.pk: lease}, undecided_since(lease, mark), now)
    return LeaseUse(decided, found.get(lease.pk, UsageSums()))


def provisional(leases: Iterable[Lease], now: datetime) -> dict[int, UsageSums]:
    """What these leases hold that is not decided yet, judged as it looks now, by their keys: two queries.

    Whoever has nothing undecided is missing; so is what is over.
    """
    running = {lease.pk: lease for lease in leases if lease.active_at and lease.state not in LEASE_OVER}
    return _provisional(running, _undecided_since(running.values()), now) if running else {}


def _provisional(running: dict[int, Lease], since: datetime, now: datetime) -> dict[int, UsageSums]:
    values = judging.window(since, now, running)
    found = {}
    for key, *figures in judging.run(_SUMS, values):
        lease = running[key]
        found[key] = weighed(dict(zip(NAMES, figures, strict=True)), lease.slices, lease.slices_of)
    return found


def _undecided_since(leases: Iterable[Lease]) -> datetime:
    mark = decided_until()
    return min(undecided_since(lease, mark) for lease in leases)


def undecided_since(lease: Lease, mark: datetime | None) -> datetime:
    """No earlier hour of a lease that was handed over can be undecided: all are decided up to the mark, without what
    was not handed over by then.
    """
    known = mark is not None and lease.active_at is not None and lease.active_at < mark
    return max(lease.starts_at, mark) if known and mark else lease.starts_at


def minutes(lease: Lease, start: datetime, end: datetime) -> list[UsageMinute]:
    """Every minute that the lease held in [start, end), by device and time; corrected ones as corrected.

    Five queries at most. Ask for a day or two: it is a row a minute and device.
    """
    found = [
        UsageMinute(device_id, hour + place * _MINUTE, code, provisional=False)
        for (device_id, hour), codes in decided_codes(lease, start, end).items()
        for place, code in enumerate(codes)
        if code != " " and start <= hour + place * _MINUTE < end
    ]
    if lease.active_at is not None and lease.state not in LEASE_OVER:
        values = judging.window(max(_undecided_since([lease]), start), end, [lease.pk]) | {"from": start}
        rows = judging.run(_MINUTES, values)
        found += [UsageMinute(device_id, minute, code, provisional=True) for device_id, minute, code in rows]
    return sorted(found, key=lambda row: (row.device_id, row.minute))


def decided_codes(lease: Lease, start: datetime, end: datetime) -> dict[tuple[int, datetime], str]:
    """The letters of each hour of each device that touches [start, end), with their corrections: two queries."""
    touched = Q(hour__gt=start - timedelta(hours=1), hour__lt=end)
    rows = UsageHour.objects.filter(touched, lease=lease).values_list("device_id", "hour", "codes")
    found = {(device_id, hour): codes.ljust(60) for device_id, hour, codes in rows}
    moved: dict[tuple[int, datetime], list[UsageCorrection]] = defaultdict(list)
    for entry in UsageCorrection.objects.filter(touched, lease=lease).order_by("id"):
        moved[entry.device_id, entry.hour].append(entry)
    return {key: corrected(codes, moved.get(key, ())) for key, codes in found.items()}


def corrected(codes: str, entries: Iterable[UsageCorrection]) -> str:
    """An hour's letters as its corrections left them, in the order in which they were made."""
    letters = list(codes)
    for entry in entries:
        letter = UsageClass(entry.to_class).letter if entry.to_class else " "
        for place in range(entry.first_minute, entry.last_minute + 1):
            if letters[place] != " ":
                letters[place] = letter
    return "".join(letters)


def span_of(scope: QuerySet[Lease]) -> tuple[datetime, datetime] | None:
    """From the first to the last decided hour of these leases; None: nothing is decided."""
    found = UsageHour.objects.filter(lease__in=scope.order_by()).aggregate(first=Min("hour"), last=Max("hour"))
    return (found["first"], found["last"]) if found["first"] else None
