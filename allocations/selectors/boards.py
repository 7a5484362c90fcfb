"""Whole GPUs and their MIG instances: which devices a placement takes. A GPU and a part of it keep each other out."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Protocol

from django.db.models import OuterRef, Q

ALL = 1 << 15
"""More slices than any GPU has: the upper bound of a whole one."""


class Part(Protocol):
    """A device, or as much of one as is needed here; `slices` empty: all of its board."""

    @property
    def pk(self) -> Any: ...
    @property
    def board_id(self) -> int: ...
    @property
    def slices(self) -> Any: ...


def on_device(profile: str) -> Q:
    """Of placements, those that take (a part of) the outer query's device, which is of this profile."""
    if not profile:
        return Q(board_id=OuterRef("pk"))
    return Q(board_id=OuterRef("parent_id"), slices__overlap=OuterRef("slices"))


def on_any(devices: Iterable[Part]) -> Q:
    """Of placements, those that take (a part of) one of these devices."""
    whole, found = [], Q()
    for device in devices:
        if device.slices:
            found |= Q(board_id=device.board_id, slices__overlap=device.slices)
        else:
            whole.append(device.board_id)
    return found | Q(board_id__in=whole)


def overlap(one: Any, other: Any) -> bool:
    """Whether two parts of one board share a slice; empty means all of it."""
    return not one or not other or (one.lower < other.upper and other.lower < one.upper)


class Parts:
    """Devices by their boards."""

    def __init__(self, devices: Iterable[Part]) -> None:
        self._on: dict[int, list[tuple[Any, int, int]]] = defaultdict(list)
        for device in devices:
            lower, upper = (device.slices.lower, device.slices.upper) if device.slices else (0, ALL)
            self._on[device.board_id].append((device.pk, lower, upper))

    def taken_by(self, board_id: int, first: int, end: int) -> list[Any]:
        """The keys of the devices of which a placement on these slices [first, end) of a board takes something."""
        return [pk for pk, lower, upper in self._on.get(board_id, ()) if lower < end and first < upper]
