"""What a lease has, and what it measured. Reads only."""

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from django.db.models import Q, QuerySet

from allocations.lifecycle import COMING, HELD, LEASE_OVER
from allocations.models import Lease, Placement
from cluster.models import Device
from cluster.selectors import GONE
from telemetry.models import LatestSample
from telemetry.selectors import Point, series

BACKING = ("draining", "reclaiming", "reclaim_stuck")
"""States of a lease that is being taken back: nobody knows yet when its devices are free."""

FRESH = timedelta(minutes=2)
"""A measurement older than this is shown as a gap."""


@dataclass(frozen=True)
class LeaseDevice:
    """One device of a lease and what it measured for this lease; `sample` None: nothing fresh.

    `mean`: the averages over the whole use, of minutes, once the device is given back; None before, or without one.
    """

    device: Device
    released: bool
    sample: LatestSample | None
    last_at: datetime | None
    mean: Point | None = None
    leaving: bool = False
    coming: bool = False
    """The lease has not begun to be prepared: until then the device is, or may be, somebody else's."""

    @property
    def ill(self) -> bool:
        """Whether it may be replaced: the lease has it, and it is not fit for work."""
        return not self.released and not self.leaving and not self.coming and is_ill(self.device)

    @property
    def figures(self) -> LatestSample | Point:
        """What to show: averages once it is over, else the newest; all None where nothing was measured."""
        return self.mean or self.sample or LatestSample()

    @property
    def state(self) -> str | None:
        """The device's state while the lease has it; whose it is and how it is before and afterwards is not told."""
        return None if self.released or self.coming else self.device.state

    @property
    def health(self) -> str | None:
        """As `state`."""
        return None if self.released or self.coming else self.device.health


def is_ill(device: Device) -> bool:
    """Whether a device that is lent is not fit for work any more."""
    return device.health in ("drain", "fail") or device.state in GONE


def gpus_in(device_count: int, slices: int, slices_of: int) -> Fraction | int:
    """How many GPUs so many devices of a lease are: MIG instances count by their share of the memory."""
    return device_count if slices == slices_of else Fraction(device_count * slices, slices_of)


def held_leases(starts_at: datetime, ends_at: datetime) -> QuerySet[Lease]:
    """Leases that keep devices in the window; those being taken back count until they are back."""
    late = Q(state__in=BACKING)
    return Lease.objects.filter(Q(ends_at__gt=starts_at) | late, state__in=HELD, starts_at__lt=ends_at)


def measured_window(lease: Lease, now: datetime) -> tuple[datetime, datetime] | None:
    """When the devices measured for this lease: from the handover to the end of use; None before it.

    What a device measured outside of it is somebody else's business.
    """
    if lease.active_at is None:
        return None
    start = max(lease.starts_at, lease.active_at)
    return start, max(start, min(lease.drained_at or lease.ends_at, now))


def placements_of(lease: Lease) -> list[Placement]:
    """What the lease has or had, in order of node and index; without devices that were replaced before the handover."""
    rows = lease.placements.select_related("device__node", "device__gpu_class", "device__latest_sample")
    if lease.active_at is not None:
        rows = rows.filter(Q(released=False) | Q(window__endswith__gt=lease.active_at) | Q(window__upper_inf=True))
    elif lease.state not in LEASE_OVER:
        rows = rows.filter(released=False)
    rows = rows.exclude(released=True, came_by__isnull=False, used_from=None)  # it did not pass its check
    return list(rows.order_by("device__node__name", "device__index"))


def measured_rows(
    lease: Lease, now: datetime, placed: list[Placement] | None = None
) -> list[tuple[Placement, datetime, datetime]]:
    """Every placement with the part of `measured_window` in which its device was this lease's; empty before that.

    `placed`: as `placements_of` has found them already.

    One that came or left on the way has a shorter time than the others: before and after, its figures are others'.
    """
    span = measured_window(lease, now)
    if span is None:
        return []
    found = []
    for row in placements_of(lease) if placed is None else placed:
        start = row.used_from or (span[0] if row.came_by_id is None else span[1])
        end = min(span[1], row.used_until or span[1])
        found.append((row, max(span[0], start), max(span[0], start, end)))
    return found


def measured_groups(
    lease: Lease, now: datetime, placed: list[Placement] | None = None
) -> dict[tuple[datetime, datetime], list[Placement]]:
    """The same by time: most leases have one for all of their devices."""
    groups: dict[tuple[datetime, datetime], list[Placement]] = defaultdict(list)
    for row, start, end in measured_rows(lease, now, placed):
        groups[start, end].append(row)
    return groups


def lease_devices(lease: Lease, now: datetime, placed: list[Placement] | None = None) -> list[LeaseDevice]:
    """The devices of a lease, each with its newest sample of this lease's own use, or its averages: 1 or 2 queries.

    Page and API both show these rows, so that neither ever shows what was measured for another lease.
    """
    placements = placements_of(lease) if placed is None else placed
    means = _means(lease, now, placements) if lease.state in LEASE_OVER else {}
    running = lease.state in ("active", "draining")
    spans = {row.pk: (start, end) for row, start, end in measured_rows(lease, now, placements)} if running else {}
    rows = []
    for placement in placements:
        sample, span = getattr(placement.device, "latest_sample", None), spans.get(placement.pk)
        if sample is not None and (span is None or placement.released or not span[0] <= sample.at <= span[1]):
            sample = None
        fresh = sample if sample is not None and sample.at > now - FRESH else None
        last_at = sample.at if sample else None
        mean = means.get(placement.pk)
        rows.append(
            LeaseDevice(
                placement.device,
                placement.released,
                fresh,
                last_at,
                mean,
                leaving=placement.left_by_id is not None,
                coming=lease.state in COMING,
            )
        )
    return rows


def _means(lease: Lease, now: datetime, placed: list[Placement]) -> dict[int, Point]:
    """By placement."""
    found: dict[int, Point] = {}
    for (start, end), rows in measured_groups(lease, now, placed).items():
        whole = max(60, math.ceil((end - start).total_seconds()))
        means = {point.device_id: point for point in series([row.device_id for row in rows], start, end, whole)}
        found |= {row.pk: means[row.device_id] for row in rows if row.device_id in means}
    return found
