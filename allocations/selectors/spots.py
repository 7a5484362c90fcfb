"""Devices as a choice needs them: a few columns of each, not whole rows. Reads only."""

from dataclasses import dataclass
from typing import Any

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
