"""What awards and their ledgers add up to. Reads only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, Sum

from allocations.models import Allocation, Lease, LedgerEntry
from common.quantities import seconds_between, whole_seconds
from partners.policy import Committed


@dataclass(frozen=True)
class Balance:
    """Device-seconds of an allocation. `held` is what open leases hold now; `left` is what may still be booked."""

    awarded: int = 0
    held: int = 0
    charged: int = 0
    returned: int = 0
    credited: int = 0
    expired: int = 0
    left: int = 0


def committed(agreement: Any) -> Committed:
    """What the awards of an agreement already take: one query."""
    rows = Allocation.objects.filter(project__agreement=agreement).aggregate(
        seconds=Sum("awarded_gpu_seconds"),
        gpus=Sum("concurrent_gpus", filter=~Q(state__in=("closed", "expired"))),
    )
    return Committed(gpu_seconds=rows["seconds"] or 0, concurrent_gpus=rows["gpus"] or 0)


def balance(allocation: Allocation) -> Balance:
    """The sums of the ledger by kind: one query."""
    totals = dict(
        LedgerEntry.objects.filter(allocation=allocation)
        .order_by()
        .values_list("kind")
        .annotate(total=Sum("device_seconds"))
    )
    kind = LedgerEntry.Kind
    return Balance(
        awarded=totals.get(kind.AWARD, 0),
        held=-(totals.get(kind.HOLD, 0) + totals.get(kind.RETURN, 0)),
        charged=-totals.get(kind.SETTLE, 0),
        returned=totals.get(kind.RETURN, 0),
        credited=totals.get(kind.CREDIT, 0) + totals.get(kind.ADJUSTMENT, 0),
        expired=-totals.get(kind.EXPIRY, 0),
        left=sum(totals.values()),
    )


def charge_of(lease: Lease, held: int) -> int:
    """Device-seconds to charge: from the start to the end of use, at most what was held; 0 if never handed over."""
    if lease.active_at is None or lease.drained_at is None:
        return 0
    return max(0, min(held, lease.device_count * seconds_between(lease.starts_at, lease.drained_at)))


def hold_of(device_count: int, starts_at: datetime, ends_at: datetime) -> int:
    """Device-seconds that a window holds: begun seconds are held whole."""
    return device_count * whole_seconds(ends_at - starts_at)
