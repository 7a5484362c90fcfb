"""What may leave a lease and what may come, so that its shape stays: over small fleets written down by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from allocations import refits
from allocations.shapes import ANY, Shape


@dataclass(frozen=True)
class Spot:
    pk: int
    node_id: int
    index: int
    nvlink_domain: int | None = None


def spots(*counts: int, linked: bool = False) -> list[Spot]:
    """So many devices on node 1, on node 2, and so on."""
    made = [(node, index) for node, count in enumerate(counts, 1) for index in range(count)]
    return [Spot(pk, node, index, node if linked else None) for pk, (node, index) in enumerate(made)]


def left_after(given: list[Spot], count: int, shape: Shape) -> list[int] | None:
    """How many stay on each node, in order of size."""
    going = refits.choose_leaving(given, count, shape, lambda spot: spot.pk)
    if going is None:
        return None
    assert len(set(going)) == count
    return sorted(Counter(spot.node_id for spot in set(given) - set(going)).values())


@pytest.mark.parametrize(
    ("counts", "count", "left"),
    [((4, 2), 2, [4]), ((4, 2), 4, [2]), ((4, 2), 1, [1, 4]), ((4, 2), 5, [1]), ((3, 3), 4, [2]), ((8,), 3, [5])],
)
def test_whole_nodes_are_given_back_first(counts: tuple[int, ...], count: int, left: list[int]) -> None:
    assert left_after(spots(*counts), count, ANY) == left


@pytest.mark.parametrize(
    ("counts", "count", "left"),
    [
        ((4, 4), 2, [3, 3]),
        ((4, 4), 4, [2, 2]),
        ((4, 4), 5, [3]),
        ((4, 4), 7, [1]),
        ((2, 2, 2), 1, None),
        ((2, 2, 2), 2, [2, 2]),
        ((2, 2, 2), 3, [1, 1, 1]),
    ],
)
def test_as_many_on_each_node_stay_as_many_on_each(counts: tuple[int, ...], count: int, left: list[int] | None) -> None:
    given, shape = spots(*counts), Shape("nodes", len(counts))
    assert left_after(given, count, shape) == left
    assert (count in refits.countable(given, shape)) == (left is not None)


def test_all_or_none_is_no_choice() -> None:
    for count in (0, 4, 5):
        assert refits.choose_leaving(spots(4), count, ANY, lambda spot: spot.pk) is None


def test_the_rank_decides_within_a_node() -> None:
    going = refits.choose_leaving(spots(4), 2, ANY, lambda spot: -spot.pk)
    assert going is not None and [spot.pk for spot in going] == [3, 2]


def test_named_devices_are_held_against_the_shape() -> None:
    given = spots(2, 2)
    assert refits.nodes_left([given[0], given[2]], Shape("nodes", 2)) == 2
    assert refits.nodes_left(given[:2], Shape("nodes", 2)) == 1, "a whole node has gone"
    assert refits.nodes_left(given[:3], Shape("nodes", 2)) is None
    assert refits.nodes_left(given[:3], ANY) == 1


@pytest.mark.parametrize(
    ("shape", "kept", "fitting"),
    [
        (ANY, [1], [10, 11, 20, 30]),
        (Shape("same_node"), [1], [10, 11]),
        (Shape("same_node"), [], [10, 11, 20, 30]),
        (Shape("nodes", 2), [1, 2], [10, 11]),
        (Shape("nodes", 2), [2], [10, 11, 30]),
        (Shape("nvlink"), [1], [10, 11]),
        (Shape("nvlink"), [], [10, 11, 20]),
    ],
)
def test_who_may_take_a_place_when_the_others_stay(shape: Shape, kept: list[int], fitting: list[int]) -> None:
    """Of node 1 one goes; `kept` are the nodes of the others. Two are free there, one on 2, one without links on 3."""
    free = [Spot(10, 1, 5, 1), Spot(11, 1, 6, 1), Spot(20, 2, 5, 2), Spot(30, 3, 0, None)]
    others = [Spot(node, node, 0, node) for node in kept]
    found = refits.stand_ins(Spot(99, 1, 1, 1), others, free, shape)
    assert [spot.pk for spot in found] == fitting
