"""How the devices of an ask lie together, and which ones to take. Pure: no rows, no Django."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

Kind = Literal["any", "same_node", "nodes", "nvlink"]


class Spot(Protocol):
    """What a choice needs to know of a device."""

    @property
    def pk(self) -> Any: ...
    @property
    def node_id(self) -> Any: ...
    @property
    def index(self) -> int: ...
    @property
    def nvlink_domain(self) -> Hashable | None: ...
    @property
    def board_id(self) -> Any: ...


S = TypeVar("S", bound=Spot)
T = TypeVar("T")


@dataclass(frozen=True)
class Shape:
    """`any`: wherever they fit; `same_node`: all on one; `nodes`: as many on each of `nodes`; `nvlink`: all in one
    NVLink domain.
    """

    kind: Kind = "any"
    nodes: int = 1

    def fits(self, count: int) -> bool:
        """Whether so many devices can be laid out like this at all: spread evenly, one a node at least."""
        return self.kind != "nodes" or (1 <= self.nodes <= count and count % self.nodes == 0)

    def groups_of(self, count: int) -> tuple[int, int]:
        """(groups needed, devices in each): a group is the whole pool, a node or an NVLink domain."""
        return (self.nodes, count // self.nodes) if self.kind == "nodes" else (1, count)

    def has_room(self, count: int, sizes: Iterable[int]) -> bool:
        """Whether so many devices can be laid out like this in groups of these sizes."""
        needed, each = self.groups_of(count)
        return self.fits(count) and sum(size >= each for size in sizes) >= needed

    def group_of(self, spot: Spot) -> Hashable | None:
        """The group that a device belongs to; None: no group of this kind can have it."""
        if self.kind == "any":
            return 0
        if self.kind == "nvlink":
            return spot.nvlink_domain
        key: Hashable = spot.node_id
        return key


ANY = Shape()


def largest(fewest: int, most: int, shape: Shape, find: Callable[[int], T | None]) -> T | None:
    """What is found for the largest number from `fewest` to `most` that has a place; None: none of them has.

    The more devices, the harder to place: the numbers are halved, not gone through one by one.
    """
    sizes = [count for count in range(max(1, fewest), most + 1) if shape.fits(count)]
    best, low, high = None, 0, len(sizes)
    while low < high:
        middle = (low + high) // 2
        if found := find(sizes[middle]):
            best, low = found, middle + 1
        else:
            high = middle
    return best


def by_group(spots: Iterable[S], shape: Shape) -> dict[Hashable, list[S]]:
    """Devices by the groups of a shape; those that no group can have are left out."""
    groups: dict[Hashable, list[S]] = defaultdict(list)
    for spot in spots:
        if (key := shape.group_of(spot)) is not None:
            groups[key].append(spot)
    return groups


def choose(
    candidates: Sequence[S],
    count: int,
    shape: Shape = ANY,
    own_nodes: Collection[Any] = (),
    begun: Collection[Any] = (),
    salt: int = 0,
) -> list[S] | None:
    """The devices to take of those that are free; None: too few of them in that shape.

    Best fit, so that whole nodes stay whole for those who need them: fewest nodes first, then the node with the least
    but sufficient free ones. `own_nodes` are lent to the same organisation then: nobody else could have what is free
    there, so that they go first. Of MIG instances those on a GPU that is `begun` (by key) go first, so that GPUs of
    which nothing is lent stay so for those who need much of one. Among equals the first in order, or with a `salt` any:
    writers who lost a race spread out.
    """
    if shape.kind == "any":
        return _anywhere(candidates, count, own_nodes, begun, salt)
    needed, each = shape.groups_of(count)
    fitting = [group for group in by_group(candidates, shape).values() if len(group) >= each]
    if len(fitting) < needed:
        return None
    fitting.sort(
        key=lambda group: (group[0].node_id not in own_nodes, len(group), _salted(group[0].node_id, salt), group[0].pk)
    )
    return [spot for group in fitting[:needed] for spot in _first(group, each, begun)]


def _anywhere(
    candidates: Sequence[S], count: int, own_nodes: Collection[Any], begun: Collection[Any], salt: int
) -> list[S] | None:
    by_node: dict[Any, list[S]] = defaultdict(list)
    for spot in candidates:
        by_node[spot.node_id].append(spot)
    if len(candidates) < count:
        return None
    taken: list[S] = []
    while (missing := count - len(taken)) > 0:
        fitting = [node for node, spots in by_node.items() if len(spots) >= missing]
        if fitting:
            node = min(fitting, key=lambda pk: (pk not in own_nodes, len(by_node[pk]), _salted(pk, salt)))
        else:
            node = max(by_node, key=lambda pk: (pk in own_nodes, len(by_node[pk]), -_salted(pk, salt)))
        taken += _first(by_node.pop(node), missing, begun)
    return taken


def _salted(key: Any, salt: int) -> Any:
    """The key, or a place in an order of the salt's own (Knuth's multiplicative hash)."""
    return (key + salt) * 2_654_435_761 % 2**32 if salt else key


def _first(group: list[S], count: int, begun: Collection[Any]) -> list[S]:
    """In the order of their places; instances from a GPU that is begun, then from the one with the fewest left."""
    left = Counter(spot.board_id for spot in group)
    return sorted(group, key=lambda spot: (spot.board_id not in begun, left[spot.board_id], spot.index, spot.pk))[
        :count
    ]
