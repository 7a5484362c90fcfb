"""Which devices an ask gets: the shape it asks for, and the least fragmentation."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from allocations.models import Lease
from allocations.services import booking, operating
from allocations.services.reconcile import tick
from allocations.shapes import ANY, Shape, choose, largest
from cluster.models import Device
from common.errors import RuleBroken
from tests.factories import AllocationFactory, PoolFactory, make_cast, make_node


@dataclass(frozen=True)
class Spot:
    pk: int
    node_id: int
    index: int
    nvlink_domain: int | None

    @property
    def board_id(self) -> int:
        return self.pk


def spots(*free: int, nvlink: bool = True) -> list[Spot]:
    """Node k has free[k] free devices."""
    return [
        Spot(node * 100 + index, node, index, node if nvlink else None)
        for node, count in enumerate(free)
        for index in range(count)
    ]


def taken(chosen: list[Spot] | None) -> dict[int, int] | None:
    return None if chosen is None else dict(Counter(spot.node_id for spot in chosen))


@pytest.mark.parametrize("shape", [ANY, Shape("same_node"), Shape("nodes", 2), Shape("nvlink")])
def test_the_largest_number_that_has_a_place_is_found_without_trying_all(shape: Shape) -> None:
    for free in ((8, 3, 5), (1,), (4,) * 300):
        there, tried = spots(*free), []

        def place(count: int, there: list[Spot] = there, tried: list[int] = tried) -> list[Spot] | None:
            tried.append(count)
            return choose(there, count, shape)

        for fewest in (1, 2, 5):
            counts = [count for count in range(len(there), fewest - 1, -1) if shape.fits(count)]
            one_by_one = next((count for count in counts if choose(there, count, shape)), 0)
            tried.clear()
            assert len(largest(fewest, len(there), shape, place) or ()) == one_by_one
            assert len(tried) <= 11


@pytest.mark.parametrize(
    ("free", "count", "shape", "wanted"),
    [
        ((8, 3, 5), 2, ANY, {1: 2}),  # the fullest node that still has room
        ((8, 3, 5), 4, ANY, {2: 4}),
        ((8, 3, 5), 10, ANY, {0: 8, 1: 2}),  # a whole node, and the rest where it fits best
        ((8, 3, 5), 17, ANY, None),
        ((8, 3, 5), 5, Shape("same_node"), {2: 5}),
        ((4, 4), 5, Shape("same_node"), None),
        ((8, 3, 5, 2), 6, Shape("nodes", 2), {1: 3, 2: 3}),
        ((8, 3, 5, 2), 9, Shape("nodes", 3), {1: 3, 2: 3, 0: 3}),
        ((8, 3, 5, 2), 16, Shape("nodes", 4), None),
        ((8, 3, 5), 4, Shape("nvlink"), {2: 4}),
    ],
)
def test_the_choice_fills_what_is_broken_already(
    free: tuple[int, ...], count: int, shape: Shape, wanted: dict[int, int] | None
) -> None:
    assert taken(choose(spots(*free), count, shape)) == wanted


def test_devices_without_nvlink_are_in_no_domain() -> None:
    assert choose(spots(8, nvlink=False), 2, Shape("nvlink")) is None


@given(st.lists(st.integers(0, 8), min_size=1, max_size=6), st.integers(1, 12), st.integers(1, 4))
def test_a_choice_is_found_exactly_when_there_is_one(free: list[int], count: int, nodes: int) -> None:
    there = spots(*free)
    assert (choose(there, count) is not None) == (sum(free) >= count)
    assert (choose(there, count, Shape("same_node")) is not None) == any(size >= count for size in free)
    shape = Shape("nodes", nodes)
    if shape.fits(count):
        found = choose(there, count, shape)
        assert (found is not None) == (sum(size >= count // nodes for size in free) >= nodes)
        if found is not None:
            assert set(taken(found).values()) == {count // nodes}  # type: ignore[union-attr]


@dataclass
class Stage:
    cast: Any
    allocation: Any
    start: Any

    def book(self, count: int, shape: Shape = ANY, hours: int = 4) -> Lease:
        return booking.book(
            actor=self.cast.owner,
            allocation=self.allocation,
            device_count=count,
            starts_at=self.start,
            ends_at=self.start + timedelta(hours=hours),
            shape=shape,
        )


@pytest.fixture
def stage(db: None) -> Stage:
    cast, pool = make_cast(), PoolFactory()
    for _ in range(3):
        make_node(pool, devices=4)
    return Stage(cast, AllocationFactory(project=cast.project, pool=pool), timezone.now() + timedelta(days=2))


def nodes_of(lease: Lease) -> Counter[Any]:
    return Counter(lease.placements.filter(released=False).values_list("node_id", flat=True))


def test_a_booking_lies_as_it_was_asked_for(stage: Stage) -> None:
    assert sorted(nodes_of(stage.book(4, Shape("nodes", 2))).values()) == [2, 2]
    assert sorted(nodes_of(stage.book(2, Shape("same_node"))).values()) == [2]
    with pytest.raises(RuleBroken) as refused:
        stage.book(5, Shape("same_node"))
    assert refused.value.code == "no_free_devices" and refused.value.facts["shape"] == "same_node"
    with pytest.raises(RuleBroken) as refused:
        stage.book(5, Shape("nodes", 2))
    assert refused.value.code == "shape"


def test_nvlink_is_asked_of_the_inventory(stage: Stage) -> None:
    with pytest.raises(RuleBroken):
        stage.book(2, Shape("nvlink"))
    last = Device.objects.order_by("-pk").first()
    assert last is not None
    Device.objects.filter(node=last.node).update(facts={"nvlink_count": 18})
    assert set(nodes_of(stage.book(4, Shape("nvlink")))) == {last.node_id}


def test_the_offer_of_a_refusal_has_the_shape(stage: Stage) -> None:
    for _ in range(3):
        stage.book(3, Shape("same_node"))
    with pytest.raises(RuleBroken) as refused:
        stage.book(2, Shape("same_node"))
    assert refused.value.facts["next_start"] >= (stage.start + timedelta(hours=4)).isoformat()[:16]


def test_a_quarantined_device_takes_its_whole_node_share_with_it(stage: Stage) -> None:
    """All on one node stays all on one node, however an operator moves it."""
    lease = stage.book(3, Shape("same_node"))
    (before,) = nodes_of(lease)
    device = lease.placements.order_by("device_id")[0].device
    stage_fills = stage.book(1)  # the node's last one: nothing is free there any more
    assert set(nodes_of(stage_fills)) == {before}
    operating.quarantine_device(
        actor=stage.cast.operator, device=device, reason="loud fan", plan={lease.public_id: "move"}, force=True
    )
    after = nodes_of(lease)
    assert sum(after.values()) == 3 and len(after) == 1 and before not in after


def test_the_reconciler_keeps_the_shape_when_it_replaces(stage: Stage) -> None:
    stage.start = timezone.now() + timedelta(minutes=5)
    lease = stage.book(4, Shape("nodes", 2))
    lost = lease.placements.order_by("device_id")[0].device
    Device.objects.filter(node=lost.node).exclude(placements__lease=lease).update(state="offline")
    Device.objects.filter(pk=lost.pk).update(state="offline")
    tick()
    assert sorted(nodes_of(lease).values()) == [2, 2]
    assert lost.node_id not in nodes_of(lease)
