"""What changes in the GPUs of a running lease, and which of them are idle enough to be given back. Reads only."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Prefetch

from allocations.models import Lease, Placement, Reshape, ReshapeQuerySet
from allocations.rulebook import close_early
from allocations.selectors.leases import is_ill
from allocations.selectors.rulebooks import rulebook_of
from allocations.selectors.windows import standing
from cluster.models import Device
from telemetry.selectors import series

LOOK_BACK = timedelta(hours=1)


@dataclass(frozen=True)
class Candidate:
    """A device that could be given back; `percent` of the last hour, None: nothing was measured."""

    device: Device
    percent: float | None

    @property
    def ill(self) -> bool:
        """Whether it should be replaced or given back in any case."""
        return is_ill(self.device)


def candidates(lease: Lease, now: datetime) -> list[Candidate]:
    """The devices of a running lease, those first that one would miss least: two queries."""
    rows = standing(lease)
    order, used = losing_order(lease, rows, now), recent_use(lease, rows, now)
    return [
        Candidate(row.device, used.get(row.device_id)) for row in sorted(rows, key=lambda row: order[row.device_id])
    ]


def recent_use(lease: Lease, rows: list[Placement], now: datetime) -> dict[int, float | None]:
    """Mean utilisation in percent of the last hour, or since the lease has the device, by device."""
    begins = max([now - LOOK_BACK, *([lease.active_at] if lease.active_at else [])])
    old = [row.device_id for row in rows if row.used_from is None or row.used_from <= begins]
    whole = max(60, int(LOOK_BACK.total_seconds()))
    points = series(old, begins, now, whole) if old and begins < now else []
    return {point.device_id: point.utilisation_percent for point in points}


def losing_order(lease: Lease, rows: list[Placement], now: datetime) -> dict[int, Any]:
    """By device, what sorts it: ill ones first, then the least used of the last hour, then by node and index."""
    used = recent_use(lease, rows, now)
    return {
        row.device_id: (
            not Candidate(row.device, None).ill,
            used.get(row.device_id) is None,
            used.get(row.device_id),
            row.node_id,
            row.device.index,
        )
        for row in rows
    }


def charged_until(lease: Lease, now: datetime) -> datetime:
    """Until when a GPU that is given back now is charged, by the rules of this moment: the notice, and of the rest the
    part that does not come back, as time.
    """
    closing = close_early(rulebook_of(lease.allocation), lease.starts_at, lease.ends_at, lease.active_at, now)
    until = max(now, closing.charged_until or now)
    return until + max(timedelta(), lease.ends_at - until) * (100 - closing.returned_percent) / 100


def under_way(lease: Lease) -> Reshape | None:
    """The change that waits for the nodes, with the devices that its words name."""
    return with_devices(lease).under_way().first()


def with_devices(lease: Lease) -> ReshapeQuerySet:
    """The changes of a lease's devices, the newest first, and the devices."""
    rows = Placement.objects.select_related("device__node").order_by("pk")
    return Reshape.objects.filter(lease=lease).prefetch_related(Prefetch("leaving", rows), Prefetch("coming", rows))
