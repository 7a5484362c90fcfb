"""Where reservations could go instead, reckoned in memory: nothing is locked and nothing promised. Pure: no rows."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from allocations.shapes import Shape, by_group, choose
from allocations.timeline import Busy, gaps, starts


@dataclass(frozen=True)
class Spot:
    """A device that could be lent. See shapes.Spot."""

    pk: int
    node_id: int
    index: int
    nvlinks: int | None = None
    pool_id: int = 0
    parent_id: int | None = None
    slices: Any = None
    profile: str = ""

    @property
    def nvlink_domain(self) -> int | None:
        """As Device says it."""
        return self.node_id if self.nvlinks and self.parent_id is None else None

    @property
    def board_id(self) -> int:
        """As Device says it."""
        return self.parent_id or self.pk


@dataclass(frozen=True)
class Taken:
    """A device in [start, end): by whom (None: work on its node), and whether others may be on the node meanwhile."""

    device_id: int
    node_id: int
    start: datetime
    end: datetime
    tenant: int | None
    shared: bool
    holder: str
    pool_id: int = 0
    kept_for: int | None = None
    """The allocation whose promise it keeps."""
    own: bool = True
    """False: of this device only something is taken, as of a GPU whose part is lent."""

    def in_the_way(self, start: datetime, end: datetime) -> bool:
        """Whether it lies in this window."""
        return self.start < end and self.end > start


@dataclass(frozen=True)
class Stay:
    """A reservation that would have to go somewhere else: what it asks for, when, and what it has now."""

    ref: str
    tenant: int
    count: int
    layout: Shape
    start: datetime
    end: datetime
    devices: frozenset[int]
    allocation: int = 0
    turnaround: timedelta = timedelta()
    """How long its devices are cleaned after it."""
    profile: str = ""
    """Of MIG instances; empty: whole GPUs."""

    @property
    def clean(self) -> datetime:
        """When its devices could be the next one's."""
        return self.end + self.turnaround


@dataclass(frozen=True)
class Ground:
    """The devices of some pools that could be lent, and what lies on them."""

    spots: tuple[Spot, ...]
    taken: tuple[Taken, ...]

    def of(self, pool_id: int) -> "Ground":
        """That part of it that lies in a pool."""
        return Ground(
            tuple(spot for spot in self.spots if spot.pool_id == pool_id),
            tuple(row for row in self.taken if row.pool_id == pool_id),
        )

    def devices_of(self, ref: str) -> frozenset[int]:
        """What a reservation has."""
        return frozenset(row.device_id for row in self.taken if row.holder == ref and row.own)

    def in_the_way(self, stay: Stay, start: datetime, end: datetime) -> list[Taken]:
        """What lies on its own devices in that window, or keeps it off their nodes."""
        nodes = {spot.node_id for spot in self.spots if spot.pk in stay.devices}
        return [
            row
            for row in self.others(stay)
            if row.in_the_way(start, end)
            and (
                row.device_id in stay.devices or (row.node_id in nodes and not row.shared and row.tenant != stay.tenant)
            )
        ]

    def others(self, stay: Stay) -> Iterator[Taken]:
        """What keeps a reservation off: neither its own devices nor those that are kept for its allocation."""
        return (
            row
            for row in self.taken
            if row.holder != stay.ref and (row.kept_for is None or row.kept_for != stay.allocation)
        )

    def free(self, stay: Stay, start: datetime, end: datetime, extra: Iterable[Taken] = ()) -> list[Spot]:
        """The devices that it could have in the whole window: not taken, and not on a node lent to others then."""
        devices, nodes = set(), set()
        for row in chain(self.others(stay), extra):
            if row.in_the_way(start, end):
                devices.add(row.device_id)
                if not row.shared and row.tenant != stay.tenant:
                    nodes.add(row.node_id)
        return [
            spot
            for spot in self.spots
            if spot.profile == stay.profile and spot.pk not in devices and spot.node_id not in nodes
        ]

    def first_start(self, stay: Stay, after: datetime) -> datetime | None:
        """From `after` on, the first start from which it fits as it is laid out; None: never as things stand."""
        needed, each = stay.layout.groups_of(stay.count)
        busy: dict[int, list[Busy]] = defaultdict(list)
        on_node: dict[int, list[int]] = defaultdict(list)
        spots = [spot for spot in self.spots if spot.profile == stay.profile]
        for spot in spots:
            on_node[spot.node_id].append(spot.pk)
        for row in self.others(stay):
            away = not row.shared and row.tenant != stay.tenant
            for pk in on_node[row.node_id] if away else [row.device_id]:
                busy[pk].append(Busy(row.start, row.end))
        groups = [[busy[spot.pk] for spot in group] for group in by_group(spots, stay.layout).values()]
        found = starts(groups, needed, each, stay.clean - stay.start, after)
        return found[0][0] if found else None


def homeless(stays: Sequence[Stay], ground: Ground, lost: Collection[int]) -> list[Stay]:
    """Those that have no place left in the pool without the devices that are `lost`, each in turn beside the others.

    The rules of the verbs hold: its shape is kept, what it has elsewhere stays where it can.
    """
    left = Ground(tuple(spot for spot in ground.spots if spot.pk not in lost), ground.taken)
    moved: list[Taken] = []
    found = []
    for stay in stays:
        free = left.free(stay, stay.start, stay.clean, moved)
        found_place = _chosen(stay, free, lost)
        if found_place is None:
            found.append(stay)
            continue
        shared = next((row.shared for row in ground.taken if row.holder == stay.ref), False)
        moved += [
            Taken(spot.pk, spot.node_id, stay.start, stay.clean, stay.tenant, shared, stay.ref)
            for spot in found_place
            if spot.pk not in stay.devices
        ]
    return found


def _chosen(stay: Stay, free: list[Spot], lost: Collection[int]) -> list[Spot] | None:
    mine = [spot for spot in free if spot.pk in stay.devices]
    if stay.layout.kind == "any":
        missing = len(stay.devices & set(lost))
        others = choose([spot for spot in free if spot.pk not in stay.devices], missing)
        return None if others is None else [*mine, *others]
    return choose(free, stay.count, stay.layout, {spot.node_id for spot in mine})


def first_gap(windows: Iterable[tuple[datetime, datetime]], duration: timedelta, after: datetime) -> datetime | None:
    """From `after` on, the first start of a stretch so long in which none of these windows lies; None: never."""
    for opens, closes in gaps([Busy(start, end) for start, end in windows], after):
        if closes - opens >= duration:
            return opens
    return None
