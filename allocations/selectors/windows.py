"""When a lease had each of its devices: what it is charged for, what it holds, what of it was measured. Reads only.

The devices of most leases come and go with it. Where they were changed while it ran, each has a time of its own.
"""

from dataclasses import dataclass
from datetime import datetime

from allocations.models import Lease, Placement, Reshape
from allocations.selectors.leases import placements_of
from common.quantities import seconds_between, whole_seconds


@dataclass(frozen=True)
class DeviceWindow:
    """A device that the lease uses, or used, in [start, end); `early`: it left before the lease's own end of use."""

    device_id: int
    start: datetime
    end: datetime
    early: bool

    @property
    def seconds(self) -> int:
        """As it is charged: a begun second is, where the device was given up on the way."""
        if self.end <= self.start:
            return 0
        return whole_seconds(self.end - self.start) if self.early else seconds_between(self.start, self.end)


def device_windows(lease: Lease, until: datetime) -> list[DeviceWindow]:
    """The time of use of every device up to `until`, one entry a device and time: one query.

    Of a lease that was handed over. A device that came and was never handed over has none.
    """
    found = []
    for row in served(lease):
        start, end = row.used_from or lease.starts_at, min(row.used_until or until, until)
        found.append(DeviceWindow(row.device_id, start, end, row.used_until is not None and row.used_until < until))
    return found


def served(lease: Lease) -> list[Placement]:
    """Placements on which the lease really was, or is: not those replaced before the handover, nor those that came
    and were not handed over.
    """
    return [row for row in placements_of(lease) if row.came_by_id is None or row.used_from is not None]


def charged_seconds(lease: Lease, until: datetime) -> int:
    """Device-seconds of use up to `until`, as they are charged."""
    if lease.reshaped:
        return sum(window.seconds for window in device_windows(lease, until))
    return lease.device_count * max(0, seconds_between(lease.starts_at, until))


def held_seconds(lease: Lease) -> int:
    """Device-seconds that a reshaped lease holds while it runs: of every GPU that it has the whole window, of every one
    that it gave back what it was used.

    A device that was replaced and the one in its place share one hold, so that both together never cost more.
    """
    end, total = lease.pending_ends_at or lease.ends_at, 0
    for row in served(lease):
        if row.used_until is None:
            total += whole_seconds(end - lease.starts_at)
        elif row.left_by is not None and row.left_by.kind == Reshape.Kind.SHRINK:
            total += whole_seconds(row.used_until - lease.starts_at)
    return total


def standing(lease: Lease) -> list[Placement]:
    """Placements that the lease has to work with now: handed over, and not on their way out, in device order."""
    rows = lease.placements.filter(released=False, left_by=None).select_related("device__node", "device__gpu_class")
    return [row for row in rows.order_by("device_id") if row.came_by_id is None or row.used_from is not None]
