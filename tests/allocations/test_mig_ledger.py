"""What MIG instances cost: their share of a GPU, by slices of memory, to the device-second."""

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest

from allocations.models import Lease, LedgerEntry
from allocations.selectors.balances import balance
from allocations.selectors.usage import use_of
from allocations.services import booking, changing, ending, extending
from allocations.shapes import Shape
from cluster.models import Device, DeviceEvent
from common.errors import RuleBroken
from telemetry.models import DeviceMinute
from tests.allocations.conftest import Stage
from tests.allocations.test_reconcile import brought_back, go, started
from tests.factories import cut

SMALL, HALF = "1g.10gb", "3g.40gb"


@pytest.fixture
def parts(stage: Stage) -> list[Device]:
    board = stage.big.devices.get(index=0)
    return cut(board, HALF, *[SMALL] * 3)


def sums(lease: Lease) -> dict[str, int]:
    found: dict[str, int] = {}
    for kind, amount in LedgerEntry.objects.filter(lease=lease).values_list("kind", "device_seconds"):
        found[kind] = found.get(kind, 0) + amount
    return found


def test_a_hold_is_the_share_of_the_window_and_its_last_part_is_rounded_up(stage: Stage, parts: list[Device]) -> None:
    small, half = stage.book(3, profile=SMALL), stage.book(1, profile=HALF)
    assert sums(small) == {"hold": -3 * 7200 // 8} and sums(half) == {"hold": -7200 // 2}
    begin = stage.now + timedelta(hours=9)
    odd = booking.book(
        actor=stage.cast.owner,
        allocation=stage.allocation,
        device_count=1,
        starts_at=begin,
        ends_at=begin + timedelta(seconds=3601),
        profile=SMALL,
    )
    assert sums(odd) == {"hold": -451}, "3,601 eighths of a second are 450 and one eighth"


def test_changing_extending_and_giving_up_move_the_share(stage: Stage, parts: list[Device]) -> None:
    lease = stage.book(1, profile=SMALL)
    lease = extending.extend(actor=stage.cast.owner, lease=lease, ends_at=lease.ends_at + timedelta(hours=1))
    assert sums(lease) == {"hold": -3 * 450}
    ask: dict[str, Any] = {"starts_at": lease.starts_at, "ends_at": lease.ends_at, "shape": Shape()}
    lease = changing.change(actor=stage.cast.owner, lease=lease, device_count=1, profile=HALF, **ask)
    assert sums(lease) == {"hold": -3 * 1800}
    lease = changing.change(actor=stage.cast.owner, lease=lease, device_count=1, profile="", **ask)
    assert sums(lease) == {"hold": -3 * 3600}
    lease = changing.change(actor=stage.cast.owner, lease=lease, device_count=2, profile=SMALL, **ask)
    assert sum(sums(lease).values()) == -3 * 900
    ending.cancel(actor=stage.cast.owner, lease=lease)
    assert sum(sums(lease).values()) == 0


def test_use_is_charged_by_its_share_from_the_start_to_the_end_of_use(stage: Stage, parts: list[Device]) -> None:
    lease = started(stage, count=2, profile=SMALL)
    begin = lease.starts_at.replace(second=0, microsecond=0) + timedelta(minutes=2)
    DeviceMinute.objects.bulk_create(
        DeviceMinute(device=device, minute=begin + timedelta(minutes=turn), samples=6, utilisation_percent=90)
        for device in (row.device for row in lease.placements.all())
        for turn in range(10)
    )
    middle = use_of(lease, lease.starts_at + timedelta(minutes=40)).total
    assert (middle.held_seconds, middle.used_seconds) == (2 * 2400 // 8, 2 * 600 // 8)
    go(lease, lease.ends_at)
    brought_back(lease, lease.ends_at + timedelta(seconds=5))
    assert lease.state == "ended" and sums(lease)["settle"] == -2 * 7200 // 8
    assert lease.used_seconds == 2 * 600 // 8
    assert balance(stage.allocation).charged == 1800


def test_a_lost_gpu_is_credited_to_whoever_had_a_part_of_it(stage: Stage, parts: list[Device]) -> None:
    lease = started(stage, count=2, profile=SMALL)
    lost = lease.starts_at + timedelta(hours=1)
    DeviceEvent.objects.create(node=stage.big, device=parts[0].parent, kind="lost", at=lost)
    go(lease, lease.ends_at)
    brought_back(lease, lease.ends_at + timedelta(seconds=5))
    assert sums(lease)["credit"] == 2 * 3600 // 8


def test_a_balance_that_bears_no_gpu_may_bear_a_part_of_one(stage: Stage, parts: list[Device]) -> None:
    LedgerEntry.objects.create(
        allocation=stage.allocation, kind="settle", device_seconds=-(10_000 * 3600 - 1800), actor_label="test"
    )
    stage.proved = False
    with pytest.raises(RuleBroken) as refused:
        stage.book(1)
    assert refused.value.code == "balance"
    lease = stage.book(2, profile=SMALL)
    assert lease.share == Fraction(1, 8) and balance(stage.allocation).left == 0
    with pytest.raises(RuleBroken) as refused:
        stage.book(1, profile=SMALL, start=5)
    assert refused.value.code == "balance" and refused.value.facts["needed_device_seconds"] == 900
