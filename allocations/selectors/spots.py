"""Devices as a choice needs them: a few columns of each, not whole rows. Reads only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from allocations.models import Placement
from cluster.models import Device, Pool

COLUMNS = ("pk", "node_id", "index", "state", "facts__nvlink_count", "parent_id", "slices")
"""What a FreeSpot is made of."""


@dataclass(frozen=True, slots=True)
class FreeSpot:
    """A bookable device for a choice that is not made on locked rows. See shapes.Spot."""

    pk: int
    node_id: int
    index: int
    state: str
    nvlinks: int | None
    parent_id: int | None = None
    slices: Any = None

    @property
    def nvlink_domain(self) -> int | None:
        """As Device says it."""
        return self.node_id if self.nvlinks and self.parent_id is None else None

    @property
    def board_id(self) -> int:
        """As Device says it."""
        return self.parent_id or self.pk


def spots_of(
    devices: QuerySet[Device], pool: Pool, tenant: int, window: tuple[datetime, datetime]
) -> tuple[list[FreeSpot], set[int]]:
    """These devices of a pool, and their nodes (by key) that the organisation has in the window, where that keeps
    others off: one query.
    """
    if pool.shared_nodes:
        return [FreeSpot(*row) for row in devices.values_list(*COLUMNS)], set()
    there = Placement.objects.filter(
        released=False, window__overlap=window, organisation_id=tenant, node_id=OuterRef("node_id")
    )
    rows = list(devices.annotate(own=Exists(there)).values_list(*COLUMNS, "own"))
    spots = [FreeSpot(*row[:-1]) for row in rows]
    return spots, {row[1] for row in rows if row[-1]}
