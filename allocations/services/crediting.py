"""Device-seconds that were charged and not to be had: what the provider owes back."""

from django.db.models import Q

from allocations.models import Lease, LedgerEntry
from allocations.selectors.windows import device_windows, served
from allocations.services.ledger import enter
from cluster.models import DeviceEvent
from cluster.services.policies import rules
from common.quantities import seconds_between

PUNCTUAL_SECONDS = 60
"""A handover this soon after the start is on time: preparing takes a moment when somebody books from now on."""
LOSSES = ("lost", "quarantined")
"""What takes a device away from a lease that runs; it never comes back to the same lease."""


def credit_faults(lease: Lease, charged: int, *, actor: object) -> int:
    """Give back what a late handover and lost devices cost, at most what was charged; the device-seconds given back.

    The caller has settled the lease under its allocation's lock.
    """
    given = 0
    for reason, seconds in (("late handover", _late(lease)), ("device lost", _lost(lease))):
        owed = min(seconds, charged - given)
        if owed > 0:
            enter(lease.allocation, LedgerEntry.Kind.CREDIT, owed, actor=actor, lease=lease, reason=reason)
            given += owed
    return given


def _late(lease: Lease) -> int:
    if lease.active_at is None or lease.drained_at is None:
        return 0
    begun = max(lease.starts_at, lease.created_at)
    late = seconds_between(begun, min(lease.active_at, lease.drained_at))
    return _from_the_start(lease) * late if late > PUNCTUAL_SECONDS else 0


def _from_the_start(lease: Lease) -> int:
    return sum(row.used_from is None for row in served(lease)) if lease.reshaped else lease.device_count


def _lost(lease: Lease) -> int:
    """From the moment that a device was lost to the end of its use."""
    if lease.active_at is None or lease.drained_at is None:
        return 0
    windows = device_windows(lease, lease.drained_at)
    fatal = [rule.xid for rule in rules() if rule.level == "fail"]
    events = DeviceEvent.objects.filter(
        Q(kind__in=LOSSES) | Q(kind="xid", detail__xid__in=fatal),
        device__in={window.device_id for window in windows},
        at__gt=lease.active_at,
        at__lt=lease.drained_at,
    )
    troubles = list(events.order_by("at").values_list("device", "at"))
    total = 0
    for window in windows:
        during = (at for device_id, at in troubles if device_id == window.device_id and window.start < at < window.end)
        first = next(during, None)
        total += seconds_between(first, window.end) if first else 0
    return total
