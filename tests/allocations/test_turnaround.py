"""Cleaning between tenants is part of what is taken, and announced work takes devices as a reservation does."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange

from allocations.models import Placement
from allocations.selectors import balances
from allocations.selectors.occupancy import occupancy
from allocations.services import ending, extending, maintenance, operating
from cluster.models import Pool
from common.errors import RuleBroken
from tests.allocations.conftest import Stage
from tests.factories import DeviceFactory

QUARTER = timedelta(minutes=15)


@pytest.fixture
def slow(stage: Stage) -> Stage:
    """The stage with a pool that is cleaned for a quarter of an hour."""
    Pool.objects.filter(pk=stage.pool.pk).update(turnaround_seconds=900)
    stage.pool.refresh_from_db()
    stage.allocation.refresh_from_db()
    return stage


def windows(lease: object) -> set[tuple[object, object]]:
    return {(row.window.lower, row.window.upper) for row in Placement.objects.filter(lease=lease, released=False)}


def test_a_pool_is_cleaned_for_ten_minutes_unless_it_says_otherwise() -> None:
    assert Pool().turnaround == timedelta(minutes=10)


def test_nobody_is_placed_into_the_cleaning_after_a_reservation(slow: Stage) -> None:
    first = slow.book(12, start=1, hours=2)
    assert windows(first) == {(first.starts_at, first.ends_at + QUARTER)}
    with pytest.raises(RuleBroken) as refused:
        slow.book(12, start=3, hours=1)
    start = refused.value.facts["next_start"]
    assert first.ends_at + QUARTER <= datetime.fromisoformat(start) < first.ends_at + 2 * QUARTER
    assert slow.book(12, start=3.5, hours=1)


def test_nor_may_its_own_cleaning_reach_into_the_next_one(slow: Stage) -> None:
    slow.book(12, start=4, hours=1)
    with pytest.raises(RuleBroken):
        slow.book(1, start=2, hours=2)
    assert slow.book(1, start=2, hours=1.75)


def test_an_extension_moves_the_cleaning_and_must_leave_room_for_it(slow: Stage) -> None:
    first = slow.book(12, start=1, hours=1)
    slow.book(12, start=4, hours=1)
    with pytest.raises(RuleBroken):
        extending.extend(actor=slow.cast.owner, lease=first, ends_at=first.ends_at + timedelta(hours=2))
    end = first.ends_at + timedelta(hours=1.75)
    extending.extend(actor=slow.cast.owner, lease=first, ends_at=end)
    assert windows(first) == {(first.starts_at, end + QUARTER)}


def test_cleaning_costs_nobody_anything(slow: Stage) -> None:
    slow.book(2, start=1, hours=1)
    assert balances.balance(slow.allocation).held == 2 * 3600


def test_the_calendar_says_cleaning(slow: Stage) -> None:
    lease = slow.book(1, start=1, hours=1)
    rows = occupancy(slow.pool, slow.now, slow.now + timedelta(days=1), slow.cast.owner)
    (row,) = [row for row in rows if row.stretches]
    assert [(each.kind, each.start, each.end) for each in row.stretches] == [
        ("own", lease.starts_at, lease.ends_at),
        ("cleaning", lease.ends_at, lease.ends_at + QUARTER),
    ]


def announce(stage: Stage, start: float, hours: float, **more: object) -> operating.Done:
    begin = stage.now + timedelta(hours=start)
    end = begin + timedelta(hours=hours)
    return operating.announce_maintenance(
        actor=stage.cast.operator, node=stage.small, starts_at=begin, ends_at=end, reason="new fans", **more
    )


def test_the_database_itself_keeps_reservations_off_announced_work(stage: Stage) -> None:
    window = announce(stage, 1, 2).target
    row = window.placements.first()
    assert window.placements.count() == 4 and row.organisation is None and row.shared
    lease = stage.book(8, start=1, hours=2)
    assert set(lease.placements.values_list("node", flat=True)) == {stage.big.pk}
    with pytest.raises(IntegrityError, match="no_device_slice_promised_twice"), transaction.atomic():
        Placement.objects.create(
            lease=lease,
            device=row.device,
            board=row.device,
            slices=NumericRange(0, 8),
            window=DateTimeTZRange(lease.starts_at, lease.ends_at),
            node=stage.small,
            organisation=stage.allocation.project.organisation,
        )


def test_a_placement_has_one_holder(stage: Stage) -> None:
    window, lease = announce(stage, 1, 2).target, stage.book(1, start=1, hours=2)
    with pytest.raises(IntegrityError, match="placement_has_one_holder"), transaction.atomic():
        Placement.objects.filter(lease=lease).update(maintenance=window)
    with pytest.raises(IntegrityError, match="placement_has_one_holder"), transaction.atomic():
        Placement.objects.filter(lease=lease).update(lease=None)


def test_work_is_announced_once_for_one_time(stage: Stage) -> None:
    first = announce(stage, 1, 2).target
    with pytest.raises(RuleBroken) as refused:
        announce(stage, 2, 2)
    assert refused.value.code == "announced_already" and refused.value.facts == {"window": first.public_id}
    assert announce(stage, 3, 1)


def test_cancelled_work_gives_its_devices_back(stage: Stage) -> None:
    window = announce(stage, 1, 2).target
    operating.cancel_maintenance(actor=stage.cast.operator, window=window, reason="fans came early")
    assert stage.book(12, start=1, hours=2)


def test_work_that_has_begun_and_is_cancelled_keeps_its_trace(stage: Stage) -> None:
    window = announce(stage, 0, 2).target
    operating.cancel_maintenance(actor=stage.cast.operator, window=window, reason="done early")
    assert window.placements.count() == 4 and not window.placements.filter(released=False).exists()
    assert stage.book(12, start=1, hours=1)


def test_a_device_that_comes_later_is_part_of_the_work(stage: Stage) -> None:
    window = announce(stage, 1, 2).target
    device = DeviceFactory(node=stage.small, index=4)
    assert maintenance.cover_newcomers(stage.now) == 1 and maintenance.cover_newcomers(stage.now) == 0
    assert window.placements.filter(device=device).exists()


def test_a_reservation_that_is_given_back_makes_way_for_work_on_its_node(stage: Stage) -> None:
    lease = stage.book(4, start=0, hours=3, devices=list(stage.small.devices.all()))
    lease.__class__.objects.filter(pk=lease.pk).update(state="active")
    ending.release(actor=stage.cast.owner, lease=lease)
    assert {upper for _lower, upper in windows(lease)} == {None}
    done = announce(stage, 1, 2, force=True)
    assert {upper for _lower, upper in windows(lease)} == {done.target.starts_at}
    operating.cancel_maintenance(actor=stage.cast.operator, window=done.target, reason="not needed")
    assert {upper for _lower, upper in windows(lease)} == {None}
