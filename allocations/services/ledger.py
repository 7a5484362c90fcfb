"""Every amount that moves, as one signed row. The allocation's row must be locked by the caller."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Sum

from allocations.charging import NORMAL, Lines, difference
from allocations.lifecycle import OVER
from allocations.models import Allocation, Lease, LedgerEntry
from allocations.selectors.balances import (
    EARLY_RETURN,
    balance,
    charge_of,
    early_return_of,
    settled_until,
)
from allocations.services import warning
from common.inserting import insert

Kind = LedgerEntry.Kind


def enter(
    allocation: Allocation, kind: str, device_seconds: int, *, actor: Any, lease: Lease | None = None, reason: str = ""
) -> LedgerEntry:
    """Write one entry; device-seconds are signed (a hold is negative)."""
    return LedgerEntry.objects.create(
        allocation=allocation,
        lease=lease,
        kind=kind,
        device_seconds=device_seconds,
        reason=reason[:200],
        actor_label=actor.label,
    )


def hold(lease: Lease, before: Lines, after: Lines, *, actor: Any, reason: str) -> int:
    """From what the lease held to what its window costs now, one line a segment; the device-seconds held more."""
    moved = difference(before, after)
    lines = [
        (Kind.HOLD if amount > 0 else Kind.RETURN, segment, weight, -amount)
        for (segment, weight), amount in moved.items()
    ]
    _enter_lines(lease, lines, actor=actor, reason=reason)
    return sum(moved.values())


def settle(lease: Lease, *, actor: Any, reason: str) -> int:
    """Give back what is held, charge what was used, one line a segment, and credit an early return; the device-seconds
    charged in the end.

    A repeat changes nothing: all of it is one transaction under the allocation's lock, and the first segment's charge
    is always entered, be it zero, so that the database forbids a second one.
    """
    allocation = Allocation.objects.select_for_update(no_key=True).get(pk=lease.allocation_id)
    held, settled = _entered(lease)
    if settled:
        early = lease.ledger.filter(kind=Kind.CREDIT, reason=EARLY_RETURN)
        return sum(settled.values()) - early.aggregate(total=Sum("device_seconds", default=0))["total"]
    charged, comes_back = charge_of(lease, settled_until(lease), held), early_return_of(lease, held)
    first = min(held, default=(0, NORMAL))
    back, taken = {first: 0} | held, {first: 0} | charged
    lines = [(Kind.RETURN, *key, amount) for key, amount in back.items()]
    lines += [(Kind.SETTLE, *key, -amount) for key, amount in taken.items()]
    _enter_lines(lease, lines, actor=actor, reason=reason)
    if comes_back:
        enter(allocation, Kind.CREDIT, comes_back, actor=actor, lease=lease, reason=EARLY_RETURN)
    warning.after_a_return(allocation)
    write_off(allocation, actor=actor)
    return sum(charged.values()) - comes_back


def _entered(lease: Lease) -> tuple[Lines, Lines]:
    """What a lease holds and what it was charged, segment by segment: one query."""
    held: Lines = {}
    settled: Lines = {}
    rows = lease.ledger.order_by().values_list("kind", "segment", "weight").annotate(total=Sum("device_seconds"))
    for kind, segment, weight, total in rows.filter(kind__in=(Kind.HOLD, Kind.RETURN, Kind.SETTLE)):
        lines, key = settled if kind == Kind.SETTLE else held, (segment, weight or NORMAL)
        lines[key] = lines.get(key, 0) - total
    return {key: amount for key, amount in held.items() if amount}, settled


def _enter_lines(lease: Lease, lines: Sequence[tuple[str, int, int, int]], *, actor: Any, reason: str) -> None:
    """(kind, segment, weight, device-seconds) of a lease, in one statement."""
    rows = (
        LedgerEntry(
            allocation_id=lease.allocation_id,
            lease=lease,
            kind=kind,
            segment=segment,
            weight=weight,
            device_seconds=amount,
            reason=reason[:200],
            actor_label=actor.label,
        )
        for kind, segment, weight, amount in lines
    )
    insert(*rows)


def write_off(allocation: Allocation, *, actor: Any) -> int:
    """What an allocation that is over has left leaves its balance as one `expiry` row; the device-seconds written off.

    Called when the allocation ends, and again by whatever gives hours back to it afterwards: a lease that was booked
    before keeps its hold until it is settled. A repeat finds nothing left and writes nothing.
    """
    if allocation.state not in OVER:
        return 0
    left = balance(allocation).left
    if left <= 0:
        return 0
    enter(allocation, Kind.EXPIRY, -left, actor=actor, reason=f"allocation {allocation.state}")
    return left
