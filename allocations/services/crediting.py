"""Device-seconds that were charged and not to be had: what the provider owes back."""

from datetime import datetime, timedelta

from django.db.models import Q

from allocations.models import Lease, LedgerEntry
from allocations.selectors.balances import hold_of
from allocations.selectors.usage.judging import LOSSES, PUNCTUAL_SECONDS
from allocations.selectors.windows import device_windows, served
from allocations.services.ledger import enter
from cluster.models import DeviceEvent
from cluster.services.policies import rules
from common.quantities import seconds_between


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
    ready = min(lease.active_at, lease.drained_at)
    if seconds_between(begun, ready) <= PUNCTUAL_SECONDS:
        return 0
    return _price(lease, _from_the_start(lease), begun, ready)


def _from_the_start(lease: Lease) -> int:
    return sum(row.used_from is None for row in served(lease)) if lease.reshaped else lease.device_count


def _lost(lease: Lease) -> int:
    """From the moment that a device was lost to the end of its use, or of the notice that was charged beyond it."""
    if lease.active_at is None or lease.drained_at is None:
        return 0
    until = max(lease.drained_at, lease.charged_until or lease.drained_at)
    windows = device_windows(lease, until)
    held = {each.device_id for each in windows} | {each.board_id for each in windows}
    fatal = [rule.xid for rule in rules() if rule.level == "fail"]
    events = DeviceEvent.objects.filter(
        Q(kind__in=LOSSES) | Q(kind="xid", detail__xid__in=fatal),
        device__in=held,
        at__gt=lease.active_at,
        at__lt=lease.drained_at,
    )
    troubles = list(events.order_by("at").values_list("device", "at"))
    total = 0
    for each in windows:
        # What befalls a GPU befalls every MIG instance of it.
        own = (at for pk, at in troubles if pk in (each.device_id, each.board_id) and each.start < at < each.end)
        first = next(own, None)
        total += _price(lease, 1, first, each.end) if first else 0
    return total


def _price(lease: Lease, device_count: int, start: datetime, end: datetime) -> int:
    """What whole seconds of so many of its devices cost, under the weights of its booking."""
    end = start + timedelta(seconds=max(0, seconds_between(start, end)))
    return hold_of(device_count, start, end, lease.prices, lease.share)
