"""The proof of the ledger: what it says of each lease and each allocation, held against the leases themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Any

from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce

from allocations.charging import NORMAL, Lines, difference, segments
from allocations.lifecycle import LEASE_OVER, OVER
from allocations.models import Adjustment, Allocation, Lease, LedgerEntry, Placement, Reshape
from allocations.selectors.balances import EARLY_RETURN, charge_of, early_return_of, settled_until, window_lines
from allocations.selectors.windows import served

Kind = LedgerEntry.Kind
_PLACED = ("offered", "scheduled", "preparing", "prepare_stuck", "active")
"""States in which the windows of the placements are exactly what is held; later they stay open until all is clean."""
_A_CHUNK = 2_000
_A_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Fault:
    """Something that does not add up: `target` is a public id, figures are device-seconds."""

    target: str
    rule: str
    ledger: int
    expected: int

    def __str__(self) -> str:
        return f"{self.target}: {self.rule}: the ledger says {self.ledger}, it should be {self.expected}"


def ledger_faults() -> Iterator[Fault]:
    """Every lease and allocation whose ledger does not add up. Reads all of them, a few thousand at a time.

    Run it in one snapshot (REPEATABLE READ) where others write meanwhile.
    """
    last = 0
    while chunk := list(Lease.objects.filter(pk__gt=last).order_by("pk")[:_A_CHUNK]):
        last = chunk[-1].pk
        yield from _faults_of_leases(chunk)
    yield from _faults_of_allocations()
    yield from _faults_of_entries()


def _faults_of_leases(leases: list[Lease]) -> Iterator[Fault]:
    keys = [lease.pk for lease in leases]
    said: dict[int, dict[str, Lines]] = {pk: {} for pk in keys}
    rows = LedgerEntry.objects.filter(lease__in=keys).order_by().values_list("lease_id", "kind", "segment", "weight")
    early = Sum("device_seconds", filter=Q(reason=EARLY_RETURN), default=0)
    for pk, kind, segment, weight, total, returned in rows.annotate(total=Sum("device_seconds"), early=early):
        lines, key = said[pk].setdefault(kind, {}), (segment, weight or NORMAL)
        lines[key] = lines.get(key, 0) + total
        if kind == Kind.CREDIT:
            said[pk][EARLY_RETURN] = {key: returned}
    changed = set(Reshape.objects.filter(lease__in=keys).values_list("lease_id", flat=True))
    placed = _placed([lease for lease in leases if lease.state in _PLACED and lease.pk not in changed])
    for lease in leases:
        kinds = said[lease.pk]
        yield from _faults_of_one_over(lease, kinds) if lease.state in LEASE_OVER else _faults_of_open(lease, kinds)
        if lease.pk in placed:
            yield from _faults_of_placed(lease, sum(_held(kinds).values()), placed[lease.pk])


def _held(said: dict[str, Lines]) -> Lines:
    """What is held now, segment by segment."""
    return difference(_plus(said.get(Kind.HOLD, {}), said.get(Kind.RETURN, {})), {})


def _plus(one: Lines, other: Lines) -> Lines:
    return {key: one.get(key, 0) + other.get(key, 0) for key in {*one, *other}}


def _faults_of_one_over(lease: Lease, said: dict[str, Lines]) -> Iterator[Fault]:
    once_held = difference(said.get(Kind.HOLD, {}), {})
    settled, credited = difference(said.get(Kind.SETTLE, {}), {}), sum(said.get(Kind.CREDIT, {}).values())
    total, held = sum(settled.values()), sum(_held(said).values())
    expected = difference({}, charge_of(lease, settled_until(lease), once_held))
    if held:
        yield Fault(lease.public_id, "a reservation that is over holds nothing", held, 0)
    yield from _unlike(lease, "what is charged is the time of use", settled, expected)
    early, comes_back = sum(said.get(EARLY_RETURN, {}).values()), early_return_of(lease, once_held)
    if early != comes_back:
        yield Fault(lease.public_id, "what an early return brings back is its part", early, comes_back)
    if not 0 <= credited <= total:
        yield Fault(lease.public_id, "no more is credited than was charged", credited, total)


def _faults_of_open(lease: Lease, said: dict[str, Lines]) -> Iterator[Fault]:
    settled = -sum(said.get(Kind.SETTLE, {}).values())
    if settled:
        yield Fault(lease.public_id, "an open reservation is not charged yet", settled, 0)
    if lease.state in _PLACED:
        promised = difference({}, window_lines(lease, lease.pending_ends_at or lease.ends_at))
        yield from _unlike(lease, "what is held is the window of every GPU", _held(said), promised)
        own = sum(row.used_until is None for row in served(lease)) if lease.reshaped else lease.device_count
        if own != lease.device_count:
            yield Fault(lease.public_id, "as many GPUs are placed as are counted", own, lease.device_count)


def _unlike(lease: Lease, rule: str, found: Lines, expected: Lines) -> Iterator[Fault]:
    if sum(found.values()) != sum(expected.values()):
        yield Fault(lease.public_id, rule, sum(found.values()), sum(expected.values()))
    elif found != expected:
        number = min(difference(found, expected))
        rule = f"{rule}, segment {number[0]} at its weight {number[1]}"
        yield Fault(lease.public_id, rule, found.get(number, 0), expected.get(number, 0))


def _faults_of_placed(lease: Lease, held: int, placed: Fraction) -> Iterator[Fault]:
    """A begun second is held whole for each GPU, and under the weight that was in force when it began."""
    weights = [cut.weight for cut in segments(lease.prices, lease.starts_at, lease.pending_ends_at or lease.ends_at)]
    slack = len(weights) + lease.device_count * lease.share * sum(weights) / NORMAL
    least = 0 if len(weights) == 1 else -slack
    if not least <= held - int(placed) <= slack:
        yield Fault(lease.public_id, "what is held is what the placements take", held, int(placed))


def _placed(leases: list[Lease]) -> dict[int, Fraction]:
    """What the windows of these leases' placements cost exactly, those included that were replaced on the way.

    Of each window only what lies within the lease's own counts: what comes before or after is nobody's charge.
    """
    of = {lease.pk: lease for lease in leases}
    weighed = dict.fromkeys(of, 0)
    rows = Placement.objects.filter(lease__in=of).values_list("lease_id", "window__startswith", "window__endswith")
    for pk, start, end in rows:
        lease = of[pk]
        start, end = max(start, lease.starts_at), min(end, lease.pending_ends_at or lease.ends_at)
        if start < end:
            weighed[pk] += sum(
                (cut.end - cut.start) // _A_MICROSECOND * cut.weight for cut in segments(lease.prices, start, end)
            )
    return {pk: Fraction(total, NORMAL * 10**6) * of[pk].share for pk, total in weighed.items()}


def _faults_of_allocations() -> Iterator[Fault]:
    def entered(kind: str) -> Any:
        return Coalesce(Sum("ledger__device_seconds", filter=Q(ledger__kind=kind)), 0)

    left = Coalesce(Sum("ledger__device_seconds"), 0)
    rows: Any = Allocation.objects.annotate(entered=entered(Kind.AWARD), corrected=entered(Kind.ADJUSTMENT), left=left)
    wrong = rows.filter(
        ~Q(entered=F("awarded_gpu_seconds") - F("held_back_gpu_seconds"))
        | ~Q(corrected=F("adjusted_gpu_seconds"))
        | Q(left__lt=0)
        | Q(state__in=OVER, left__gt=0)
    )
    for row in wrong.order_by("pk"):
        if row.entered != (granted := row.awarded_gpu_seconds - row.held_back_gpu_seconds):
            yield Fault(row.public_id, "the award is entered once, but what is held back", row.entered, granted)
        if row.corrected != row.adjusted_gpu_seconds:
            rule = "what is adjusted is what two people have entered"
            yield Fault(row.public_id, rule, row.corrected, row.adjusted_gpu_seconds)
        if row.left < 0:
            yield Fault(row.public_id, "an allocation is never overspent", row.left, 0)
        elif row.state in OVER and row.left > 0:
            yield Fault(row.public_id, "what is left at the end is written off", row.left, 0)


def _faults_of_entries() -> Iterator[Fault]:
    """Adjustments and their entries go together one by one; an entry of a lease lies with the lease's allocation."""
    lost = LedgerEntry.objects.filter(kind=Kind.ADJUSTMENT, adjustment=None).select_related("allocation")
    for entry in lost.order_by("pk"):
        rule = "an adjustment has two people behind it"
        yield Fault(entry.allocation.public_id, rule, entry.device_seconds, 0)
    kept = Q(entry__device_seconds=F("device_seconds"), entry__allocation=F("allocation"), entry__kind=Kind.ADJUSTMENT)
    for made in Adjustment.objects.filter(~kept, state="confirmed").select_related("entry").order_by("pk"):
        found = made.entry.device_seconds if made.entry else 0
        yield Fault(made.public_id, "an adjustment is entered as it was confirmed", found, made.device_seconds)
    astray = LedgerEntry.objects.exclude(lease=None).exclude(lease__allocation=F("allocation"))
    for entry in astray.select_related("lease").order_by("pk"):
        target = entry.lease.public_id if entry.lease else ""
        yield Fault(target, "a reservation is paid from its own allocation", entry.device_seconds, 0)
