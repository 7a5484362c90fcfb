"""The proof of the ledger: what it says of each lease and each allocation, held against the leases themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce

from allocations.lifecycle import LEASE_OVER, OVER
from allocations.models import Allocation, Lease, LedgerEntry, Placement, Reshape
from allocations.selectors.balances import charge_of, hold_of
from allocations.selectors.windows import held_seconds, served

Kind = LedgerEntry.Kind
_PLACED = ("scheduled", "preparing", "prepare_stuck", "active")
"""States in which the windows of the placements are exactly what is held; later they stay open until all is clean."""
_A_CHUNK = 2_000


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


def _faults_of_leases(leases: list[Lease]) -> Iterator[Fault]:
    keys = [lease.pk for lease in leases]
    said: dict[int, dict[str, int]] = {pk: {} for pk in keys}
    rows = LedgerEntry.objects.filter(lease__in=keys).order_by().values_list("lease_id", "kind")
    for pk, kind, total in rows.annotate(total=Sum("device_seconds")):
        said[pk][kind] = total
    changed = set(Reshape.objects.filter(lease__in=keys).values_list("lease_id", flat=True))
    placed = _placed_seconds([lease.pk for lease in leases if lease.state in _PLACED and lease.pk not in changed])
    for lease in leases:
        yield from _faults_of(lease, said[lease.pk], placed.get(lease.pk))


def _faults_of(lease: Lease, said: dict[str, int], placed: int | None) -> Iterator[Fault]:
    held = -(said.get(Kind.HOLD, 0) + said.get(Kind.RETURN, 0))
    settled, credited = -said.get(Kind.SETTLE, 0), said.get(Kind.CREDIT, 0)
    if lease.state in LEASE_OVER:
        expected = charge_of(lease, -said.get(Kind.HOLD, 0))
        if held:
            yield Fault(lease.public_id, "a reservation that is over holds nothing", held, 0)
        if settled != expected:
            yield Fault(lease.public_id, "what is charged is the time of use", settled, expected)
        if not 0 <= credited <= settled:
            yield Fault(lease.public_id, "no more is credited than was charged", credited, settled)
        return
    promised = hold_of(lease.device_count, lease.starts_at, lease.pending_ends_at or lease.ends_at)
    if lease.reshaped:
        promised = held_seconds(lease)
        own = sum(row.used_until is None for row in served(lease))
        if lease.state in _PLACED and own != lease.device_count:
            yield Fault(lease.public_id, "as many GPUs are placed as are counted", own, lease.device_count)
    if settled:
        yield Fault(lease.public_id, "an open reservation is not charged yet", settled, 0)
    if lease.state in _PLACED and held != promised:
        yield Fault(lease.public_id, "what is held is the window of every GPU", held, promised)
    # Every GPU's begun second is held whole.
    if placed is not None and not 0 <= held - placed <= lease.device_count:
        yield Fault(lease.public_id, "what is held is what the placements take", held, placed)


def _placed_seconds(keys: list[int]) -> dict[int, int]:
    """Device-seconds of the windows of these leases' placements, those included that were replaced on the way."""
    totals: dict[int, timedelta] = {}
    rows = Placement.objects.filter(lease__in=keys).values_list(
        "lease_id",
        "window__startswith",
        "window__endswith",
        "released",
        "lease__starts_at",
        Coalesce("lease__pending_ends_at", "lease__ends_at"),
    )
    for pk, start, end, released, begins, ends in rows:
        # The cleaning after the window is nobody's cost.
        length = _used(start, end, begins) if released else max(timedelta(), min(end, ends) - start)
        totals[pk] = totals.get(pk, timedelta()) + length
    return {pk: int(total.total_seconds()) for pk, total in totals.items()}


def _used(start: datetime, end: datetime, begins: datetime) -> timedelta:
    """A replaced placement counts from the lease's start: moved before it, it took nothing."""
    return max(timedelta(), end - max(start, begins))


def _faults_of_allocations() -> Iterator[Fault]:
    zero = Coalesce(Sum("ledger__device_seconds", filter=Q(ledger__kind=Kind.AWARD)), 0)
    rows: Any = Allocation.objects.annotate(entered=zero, left=Coalesce(Sum("ledger__device_seconds"), 0))
    wrong = rows.filter(~Q(entered=F("awarded_gpu_seconds")) | Q(left__lt=0) | Q(state__in=OVER, left__gt=0))
    for row in wrong.order_by("pk"):
        if row.entered != row.awarded_gpu_seconds:
            yield Fault(row.public_id, "the award is entered once", row.entered, row.awarded_gpu_seconds)
        else:
            rule = "an allocation is never overspent" if row.left < 0 else "what is left at the end is written off"
            yield Fault(row.public_id, rule, row.left, 0)
