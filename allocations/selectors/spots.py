"""Devices as a choice needs them: a few columns of each, not whole rows. Reads only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, QuerySet, Value, Window
from django.db.models.functions import Least

from allocations.models import Placement
from cluster.models import Device, Pool

COLUMNS = ("pk", "node_id", "index", "state", "facts__nvlink_count", "parent_id", "slices")
"""What a FreeSpot is made of."""
MOST = 256
"""Devices that a first look reads."""


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
    devices: QuerySet[Device],
    pool: Pool,
    tenant: int,
    window: tuple[datetime, datetime],
    *,
    together: int | None = None,
) -> tuple[list[FreeSpot], set[int]]:
    """These devices of a pool, and their nodes (by key) that the organisation has in the window, where that keeps
    others off: one query.

    With `together` only those of the nodes that a best fit looks at first, where so many must lie on one: the
    database sorts the nodes as shapes.choose does, and a large pool sends no thousand rows for a handful. Empty where
    no node has so many: then all must be looked at.
    """
    there = Placement.objects.filter(
        released=False, window__overlap=window, organisation_id=tenant, node_id=OuterRef("node_id")
    )
    own: Any = Value(False) if pool.shared_nodes else Exists(there)
    rows: Any = devices.annotate(own=own)
    if together is None:
        found = list(rows.values_list(*COLUMNS, "own"))
    else:
        found = _best(rows, together)
    return [FreeSpot(*row[: len(COLUMNS)]) for row in found], {row[1] for row in found if row[len(COLUMNS)]}


def _best(rows: Any, together: int) -> list[Any]:
    counted = rows.annotate(in_node=Window(Count("pk"), partition_by=[F("node_id")]))
    fit = Least(F("in_node"), Value(together))
    ordered = counted.order_by(fit.desc(), F("own").desc(), "in_node", "node_id", "index", "pk")
    found = list(ordered.values_list(*COLUMNS, "own", "in_node")[:MOST])
    if not found or found[0][-1] < together:
        return []
    if len(found) == MOST:  # the last node may be cut in two
        found = [row for row in found if row[1] != found[-1][1]]
    return found
