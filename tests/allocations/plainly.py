"""What is free when, from every placement read and looked at one by one: slow, obvious, and an oracle for the sweep."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from allocations.lifecycle import OPEN
from allocations.models import Allocation, Placement
from allocations.selectors.availability import LEAD, whole_minute
from allocations.selectors.boards import Parts
from allocations.shapes import Shape, by_group
from allocations.timeline import FOREVER, Busy, Spans, peak, starts
from cluster.models import Device, Pool
from cluster.selectors import bookable_devices

EARLY = datetime.min.replace(tzinfo=UTC)


class Plainly:
    """A pool as it stands at `now`, for some tenants and an envelope, or for nobody in particular (None)."""

    def __init__(
        self,
        pool: Pool,
        now: datetime,
        *,
        tenants: Collection[int] | None = None,
        envelope: int | None = None,
        profile: str = "",
        only: Collection[int] | None = None,
    ) -> None:
        self.pool, self.soon, self.tenants, self.profile = pool, now + LEAD, tenants, profile
        devices = bookable_devices(pool, profile=profile)
        self.spots = [device for device in devices if only is None or device.pk in only]
        self.rows = [
            row
            for row in Placement.objects.filter(released=False, node__pool=pool).select_related("lease")
            if envelope is None or row.envelope_id != envelope
        ]

    def starts(self, count: int, duration: timedelta, shape: Shape, after: datetime, before: datetime) -> Spans:
        """When so many devices, laid out like this, are free for so long."""
        if not shape.fits(count):
            return []
        busy = self._busy(after, before)
        groups = [[busy[spot.pk] for spot in group] for group in by_group(self.spots, shape).values()]
        last = before if before == FOREVER else before - duration
        found = starts(groups, *shape.groups_of(count), duration + self.pool.turnaround, whole_minute(after))
        return [(first, min(until, last)) for first, until in found if first <= last]

    def _busy(self, after: datetime, before: datetime) -> dict[int, list[Busy]]:
        soon = whole_minute(self.soon)
        busy = {spot.pk: [] if spot.state == "available" else [Busy(EARLY, soon)] for spot in self.spots}
        parts = Parts(self.spots)
        end = before if before == FOREVER else before + self.pool.turnaround
        for row in self.rows:
            item = Busy(row.window.lower, row.window.upper or FOREVER)
            away = self._away(row)
            if away and row.lease_id and item.start < self.soon:
                item = Busy(item.start, max(item.end, soon))
            if item.start < end and item.end > after:
                for each in self._taken(row, parts, away):
                    busy[each].append(Busy(item.start, whole_minute(item.end)))
        return busy

    def _away(self, row: Placement) -> bool:
        """Whether it keeps these tenants off the whole node."""
        return self.tenants is not None and not row.shared and row.organisation_id not in self.tenants

    def _taken(self, row: Placement, parts: Parts, away: bool) -> list[Any]:
        if away:
            return [spot.pk for spot in self.spots if spot.node_id == row.node_id]
        return parts.taken_by(row.board_id, row.slices.lower, row.slices.upper)

    def capacity(self, start: datetime, end: datetime) -> dict[str, int]:
        """The figures of a window, by the names of selectors.Capacity."""
        parts, clean, gone, booked = Parts(self.spots), end + self.pool.turnaround, set(), []
        for row in self.rows:
            item = Busy(row.window.lower, row.window.upper or FOREVER)
            if row.lease is not None and row.lease.profile == self.profile:
                booked.append(item)
            late = self._away(row) and row.lease_id and start < self.soon and item.start < start
            if late or (item.start < clean and item.end > start):
                gone |= set(self._taken(row, parts, self._away(row)))
        if start < self.soon:
            gone |= {spot.pk for spot in self.spots if spot.state != "available"}
        there = Device.objects.filter(node__pool=self.pool, profile=self.profile).exclude(state="retired")
        awards = Allocation.objects.filter(pool=self.pool, state__in=OPEN, valid_from__lt=end, valid_until__gt=start)
        return {
            "devices": there.count(),
            "bookable": len(self.spots),
            "booked_peak": peak(booked, start, end),
            "free": len(self.spots) - len(gone),
            "promised": sum(awards.values_list("concurrent_gpus", flat=True)),
        }
