"""Which devices a running lease may give back, and which may take one's place, so that its shape stays. Pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from allocations.shapes import Shape, Spot

S = TypeVar("S", bound=Spot)
Rank = Callable[[S], Any]


def nodes_left(kept: Sequence[Spot], shape: Shape) -> int | None:
    """How many nodes the shape has with these devices; None: they do not lie like that. Whole nodes may have gone."""
    if shape.kind != "nodes":
        return shape.nodes
    counts = Counter(spot.node_id for spot in kept)
    return len(counts) if len(set(counts.values())) == 1 else None


def choose_leaving(spots: Sequence[S], count: int, shape: Shape, rank: Rank[S]) -> list[S] | None:
    """So many devices to give back, the best to lose first by `rank`; None: what is left could not keep the shape.

    Whole nodes first, so that somebody who needs them finds them free.
    """
    if not 0 < count < len(spots):
        return None
    by_node: dict[Any, list[S]] = defaultdict(list)
    for spot in sorted(spots, key=rank):
        by_node[spot.node_id].append(spot)
    groups = list(by_node.values())
    return _evenly(groups, count) if shape.kind == "nodes" else _whole_nodes_first(groups, count)


def countable(spots: Sequence[S], shape: Shape) -> list[int]:
    """How many devices can be given back at all, in ascending order."""
    return [count for count in range(1, len(spots)) if choose_leaving(spots, count, shape, lambda spot: 0) is not None]


def _whole_nodes_first(groups: list[list[S]], count: int) -> list[S]:
    """The largest nodes that go whole, then out of the smallest that stays."""
    taken: list[S] = []
    left = sorted(groups, key=len)
    while missing := count - len(taken):
        whole = [group for group in left if len(group) <= missing]
        group = whole[-1] if whole else left[0]
        taken += group[:missing]
        left.remove(group)
    return taken


def _evenly(groups: list[list[S]], count: int) -> list[S] | None:
    """As many of each node; where that is not possible, as few whole nodes as will do, and as many of each other."""
    kept = sum(map(len, groups)) - count
    for nodes in range(len(groups), 0, -1):
        each, rest = divmod(kept, nodes)
        if rest == 0 and 0 < each <= min(map(len, groups)):
            going, staying = groups[: len(groups) - nodes], groups[len(groups) - nodes :]
            return [*(spot for group in going for spot in group), *(s for g in staying for s in g[: len(g) - each])]
    return None


def stand_ins(gone: Spot, kept: Sequence[Spot], free: Sequence[S], shape: Shape) -> list[S]:
    """Which of the free devices could take one's place while all the others stay where they are."""
    if shape.kind == "any":
        return list(free)
    if shape.kind == "nodes":
        there = {spot.node_id for spot in kept}
        if gone.node_id in there:
            return [spot for spot in free if spot.node_id == gone.node_id]
        return [spot for spot in free if spot.node_id not in there]  # it was alone on its node
    groups = {shape.group_of(spot) for spot in kept}
    fitting = [spot for spot in free if shape.group_of(spot) is not None]
    return [spot for spot in fitting if shape.group_of(spot) in groups] if groups else fitting
