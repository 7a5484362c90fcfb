"""Every amount that moves, as one signed row. The allocation's row must be locked by the caller."""

from typing import Any

from django.db.models import Sum

from allocations.lifecycle import OVER
from allocations.models import Allocation, Lease, LedgerEntry
from allocations.selectors.balances import EARLY_RETURN, balance, charge_of, early_return_of
from allocations.services import warning

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


def settle(lease: Lease, *, actor: Any, reason: str) -> int:
    """Give back what is held, charge what was used, credit an early return; the device-seconds charged in the end.

    A repeat changes nothing.
    """
    allocation = Allocation.objects.select_for_update(no_key=True).get(pk=lease.allocation_id)
    entries = dict(lease.ledger.order_by().values_list("kind").annotate(total=Sum("device_seconds")))
    if Kind.SETTLE in entries:
        early = lease.ledger.filter(kind=Kind.CREDIT, reason=EARLY_RETURN).aggregate(total=Sum("device_seconds"))
        return -entries[Kind.SETTLE] - (early["total"] or 0)
    held = -(entries.get(Kind.HOLD, 0) + entries.get(Kind.RETURN, 0))
    charged = charge_of(lease, held)
    enter(allocation, Kind.RETURN, held, actor=actor, lease=lease, reason=reason)
    enter(allocation, Kind.SETTLE, -charged, actor=actor, lease=lease, reason=reason)
    if back := early_return_of(lease, held):
        enter(allocation, Kind.CREDIT, back, actor=actor, lease=lease, reason=EARLY_RETURN)
    warning.after_a_return(allocation)
    write_off(allocation, actor=actor)
    return charged - back


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
