"""A whole GPU and the MIG instances of it keep each other out, and instances that share no slice do not."""

import itertools
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from allocations.models import Placement
from allocations.selectors.availability import free_devices
from allocations.selectors.boards import Parts, overlap
from allocations.selectors.capacities import capacity
from allocations.selectors.free_times import next_free_window
from allocations.shapes import choose
from cluster.models import Device
from tests.allocations.conftest import Stage
from tests.factories import LeaseFactory, cut
from tests.factories.allocations import PlacementFactory


def gpu(stage: Stage, index: int = 0) -> Device:
    return stage.big.devices.get(index=index, parent=None)


def place(stage: Stage, device: Device, hours: tuple[float, float] = (1, 3)) -> Placement:
    """A placement of a lease of its own in [now + first, now + last) hours."""
    lease = LeaseFactory(
        allocation=stage.allocation,
        booked_by=stage.cast.owner,
        device_count=1,
        profile=device.profile,
        starts_at=stage.now + timedelta(hours=hours[0]),
        ends_at=stage.now + timedelta(hours=hours[1]),
    )
    row: Placement = PlacementFactory(lease=lease, device=device)
    return row


def refused(stage: Stage, device: Device, hours: tuple[float, float] = (1, 3)) -> bool:
    """Whether the database itself forbids it."""
    try:
        with transaction.atomic():
            place(stage, device, hours)
    except IntegrityError as error:
        assert "no_device_slice_promised_twice" in str(error)
        return True
    return False


def test_the_database_forbids_a_whole_gpu_beside_any_of_its_instances(stage: Stage) -> None:
    stage.proved = False
    board = gpu(stage)
    small, large = cut(board, "2g.20gb", "3g.40gb")[::-1]
    row = place(stage, board)
    assert row.board == board and refused(stage, small) and refused(stage, large)
    assert not refused(stage, small, (3, 5)), "windows that touch do not overlap"
    Placement.objects.filter(pk=row.pk).update(released=True)
    assert not refused(stage, large) and refused(stage, board)


def test_the_database_forbids_two_instances_that_share_a_slice_and_no_others(stage: Stage) -> None:
    stage.proved = False
    board = gpu(stage)
    first = cut(board, *["1g.10gb"] * 4, "3g.40gb")
    for device in first:
        assert not refused(stage, device)
        assert refused(stage, device)
    Device.objects.filter(parent=board).update(state="retired")
    later = cut(board, "4g.40gb")
    assert refused(stage, later[0]), "an instance of another layout over the same slices"
    other = cut(gpu(stage, 1), "4g.40gb")
    assert not refused(stage, other[0]), "the same slices of another GPU"


def test_what_is_free_follows_the_slices(stage: Stage) -> None:
    stage.proved = False
    board = gpu(stage)
    parts = cut(board, *["1g.10gb"] * 7)
    window = (place(stage, parts[2]).lease.starts_at, place(stage, parts[3]).lease.ends_at)
    free = set(free_devices(stage.pool, *window, profile="1g.10gb"))
    assert free == {each for number, each in enumerate(parts) if number not in (2, 3)}
    assert board not in free_devices(stage.pool, *window), "a cut GPU is not lent whole"
    figures = capacity(stage.pool, *window, profile="1g.10gb")
    assert (figures.devices, figures.bookable, figures.booked_peak, figures.free) == (7, 7, 2, 5)
    whole = capacity(stage.pool, *window)
    assert (whole.devices, whole.bookable, whole.booked_peak, whole.free) == (12, 11, 0, 11), "no GPU counts twice"
    length = window[1] - window[0]
    assert next_free_window(stage.pool, 7, length, window[0], profile="1g.10gb") is not None
    assert next_free_window(stage.pool, 8, length, window[0], profile="1g.10gb") is None


def test_a_whole_gpu_that_was_booked_before_it_was_cut_keeps_its_instances_out(stage: Stage) -> None:
    stage.proved = False
    board = gpu(stage)
    lease = place(stage, board).lease
    cut(board, *["1g.10gb"] * 7)
    assert not free_devices(stage.pool, lease.starts_at, lease.ends_at, profile="1g.10gb").exists()
    offer = next_free_window(stage.pool, 1, lease.ends_at - lease.starts_at, lease.starts_at, profile="1g.10gb")
    assert offer and offer[0] >= lease.ends_at


def test_parts_of_boards_are_found_by_the_slices_that_they_share(stage: Stage) -> None:
    stage.proved = False
    board, whole = gpu(stage), gpu(stage, 1)
    devices = [*cut(board, "1g.10gb", "2g.20gb", "3g.40gb"), whole]
    parts = Parts(devices)
    for one, other in itertools.product(devices, devices):
        if one.slices:
            taken = other.pk in parts.taken_by(one.board_id, one.slices.lower, one.slices.upper)
            assert taken == (one.board_id == other.board_id and overlap(one.slices, other.slices)) == (one == other)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_instances_are_packed_onto_gpus_that_are_begun(stage: Stage, count: int) -> None:
    stage.proved = False
    parts = [each for index in range(3) for each in cut(gpu(stage, index), *["1g.10gb"] * 4)]
    begun = {parts[4].parent_id}
    chosen = choose(parts[:4] + parts[5:], count, begun=begun)
    assert chosen and {each.parent_id for each in chosen} == begun
    free = choose(parts[1:], count)
    assert free and {each.parent_id for each in free} == {parts[0].parent_id}, "else the one with the fewest left"
