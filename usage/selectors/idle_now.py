"""What a running reservation could give back at this moment, and what would come back for it. Reads only."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from allocations.models import Lease
from allocations.selectors.reshapes import charged_until
from allocations.selectors.rulebooks import bill_of
from allocations.selectors.usage import use_since
from allocations.selectors.windows import back_of_one, standing
from cluster.models import Device
from usage.selectors.parts import fitting_part

IDLE_FOR = timedelta(hours=1)
MEASURED_PART = 0.9


@dataclass(frozen=True)
class IdleNow:
    """GPUs of a reservation on which nothing has run for an hour, and the device-seconds that come back for them.

    `whole`: they are all that it has, and giving them back ends it.
    """

    devices: tuple[Device, ...]
    whole: bool
    back_seconds: int


def idle_now(lease: Lease, now: datetime) -> IdleNow | None:
    """None where nothing is idle, where too little is measured, or where it does not run: at most four queries."""
    if lease.state != "active" or lease.active_at is None or lease.pending_ends_at or now >= lease.ends_at:
        return None
    rows, since = standing(lease), now - IDLE_FOR
    if lease.active_at > since:
        return None
    old = [row for row in rows if row.used_from is None or row.used_from <= since]
    use = use_since([(row.device_id, lease.pk, row.device_id, since) for row in old], now)
    least = MEASURED_PART * IDLE_FOR.total_seconds()
    idle = {
        row.device_id
        for row in old
        if (each := use.get(row.device_id))
        and each.unused_seconds >= least
        and not each.used_seconds + each.hung_seconds
    }
    found = fitting_part(rows, idle, lease.layout)
    if not found:
        return None
    whole = len(found) == len(rows)
    back = bill_of(lease, now).back_seconds if whole else len(found) * back_of_one(lease, charged_until(lease, now))
    return IdleNow(tuple(row.device for row in found), whole, back)
