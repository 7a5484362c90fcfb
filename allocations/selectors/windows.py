"""When a lease had each of its devices: what it is charged for, what it holds, what of it was measured. Reads only.

The devices of most leases come and go with it. Where they were changed while it ran, each has a time of its own.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from allocations import charging
from allocations.charging import Lines
from allocations.models import Lease, Placement, Reshape
from allocations.selectors.leases import placements_of


@dataclass(frozen=True)
class DeviceWindow:
    """A device that the lease uses, or used, in [start, end); `board_id` is the whole GPU."""

    device_id: int
    board_id: int
    start: datetime
    end: datetime


def device_windows(lease: Lease, until: datetime) -> list[DeviceWindow]:
    """The time of use of every device up to `until`, one entry a device and time: one query.

    Of a lease that was handed over. A device that came and was never handed over has none.
    """
    return [
        DeviceWindow(row.device_id, row.board_id, row.used_from or lease.starts_at, min(row.used_until or until, until))
        for row in served(lease)
    ]


def served(lease: Lease) -> list[Placement]:
    """Placements on which the lease really was, or is: not those replaced before the handover, nor those that came
    and were not handed over.
    """
    return [row for row in placements_of(lease) if row.came_by_id is None or row.used_from is not None]


def used_lines(lease: Lease, until: datetime) -> Lines:
    """What the devices of a reshaped lease cost up to a moment, each for its own time of use, segment by segment.

    A begun second is charged where a device was given up on the way. Never more than `held_lines`.
    """
    total: Lines = {}
    for (since, gone), count in Counter((row.used_from, paid_until(row)) for row in served(lease)).items():
        end = min(gone or until, until)
        start = min(max(since or lease.starts_at, lease.starts_at), end)
        for lines, sign in ((_lines(lease, count, end), 1), (_lines(lease, count, start), -1)):
            for key, amount in lines.items():
                total[key] = total.get(key, 0) + sign * amount
    held = held_lines(lease, until)
    return {key: min(max(0, amount), held.get(key, 0)) for key, amount in total.items()}


def held_lines(lease: Lease, until: datetime) -> Lines:
    """What a reshaped lease holds for its window up to a moment, segment by segment: of every GPU that it has, all of
    it; of every one that it gave back, what it was used or the notice takes.

    A device that was replaced and the one in its place share one hold, so that both together never cost more.
    """
    ends: Counter[datetime] = Counter()
    for row in served(lease):
        if row.used_until is None:
            ends[until] += 1
        elif row.left_by is not None and row.left_by.kind == Reshape.Kind.SHRINK:
            ends[min(paid_until(row) or until, until)] += 1
    total: Lines = {}
    for end, count in ends.items():
        for key, amount in _lines(lease, count, end).items():
            total[key] = total.get(key, 0) + amount
    return total


def paid_until(row: Placement) -> datetime | None:
    """When a device that left stops being charged: when its access was gone, or at the end of the notice."""
    return max(row.used_until, row.paid_until or row.used_until) if row.used_until else None


def back_of_one(lease: Lease, paid: datetime) -> int:
    """Device-seconds that come back of one GPU that is charged until then."""
    whole, used = _lines(lease, 1, lease.ends_at), _lines(lease, 1, min(paid, lease.ends_at))
    return sum(whole.values()) - sum(used.values())


def _lines(lease: Lease, count: int, end: datetime) -> Lines:
    """So many devices from the lease's start on: segments are counted from there, whatever a device's own time is."""
    return charging.lines(
        charging.segments(lease.prices, lease.starts_at, max(lease.starts_at, end)), count, lease.share
    )


def standing(lease: Lease) -> list[Placement]:
    """Placements that the lease has to work with now: handed over, and not on their way out, in device order."""
    return standing_of([lease])[lease.pk]


def standing_of(leases: Collection[Lease]) -> dict[int, list[Placement]]:
    """The same of several leases, by their keys: one query."""
    rows = Placement.objects.filter(lease__in=[lease.pk for lease in leases], released=False, left_by=None)
    found: dict[int, list[Placement]] = {lease.pk: [] for lease in leases}
    for row in rows.select_related("device__node", "device__gpu_class").order_by("device_id"):
        if row.lease_id is not None and (row.came_by_id is None or row.used_from is not None):
            found[row.lease_id].append(row)
    return found
