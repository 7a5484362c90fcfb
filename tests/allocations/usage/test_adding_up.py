"""Whatever is missing, moves or is corrected: the seven add up to what was held, on every level."""

import random
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest

from allocations.models import Lease, UsageCorrection, UsageDay, UsageHour
from allocations.selectors import usage
from allocations.services.usage import deciding, learning, revising
from allocations.services.usage.correcting import correct
from allocations.usage_classes import UsageClass
from cluster.models import Device, DeviceEvent, MaintenanceWindow
from common.errors import RuleBroken
from common.moments import agency_day, begin_of
from telemetry.models import IdlePower
from tests.allocations.usage.measuring import BUSY, HANGING, HOUR, MINUTE, NOON, QUIET, held, measured, placed
from tests.factories import AllocationFactory, PoolFactory, make_cast, make_node

pytestmark = pytest.mark.django_db
FIGURES: list[dict[str, Any]] = [
    BUSY,
    QUIET,
    HANGING,
    {**QUIET, "memory_used_mib": 5_000},
    {"memory_used_mib": 10},
    {"utilisation_percent": 1},
]


def held_by_hand(lease: Lease) -> int:
    """Whole seconds of every placement from the beginning of its use to the end of it."""
    end = lease.drained_at or lease.ends_at
    total = 0
    for row in lease.placements.all():
        start = row.used_from or lease.starts_at
        total += int(max(timedelta(), min(end, row.used_until or end) - start).total_seconds())
    return total


def draw_lease(lot: random.Random, devices: list[Device], allocation: Any) -> Lease:
    start = NOON + timedelta(seconds=lot.uniform(0, 5000))
    end = start + timedelta(seconds=lot.uniform(30, 12_000))
    share = lot.choice([(1, 1), (1, 7), (3, 8)])
    late = timedelta(seconds=lot.choice([0, 30, 1000]))
    drained = end if lot.random() < 0.5 else start + (end - start) * lot.random()
    fields: dict[str, Any] = {"slices": share[0], "slices_of": share[1], "drained_at": drained}
    lease = held(devices[:2], start, end, active_at=start + late, allocation=allocation, **fields)
    first, _second = lease.placements.order_by("device_id")
    if lot.random() < 0.6:  # one leaves on the way, another or the same one comes
        gone = start + (end - start) * lot.uniform(0.1, 0.5)
        type(first).objects.filter(pk=first.pk).update(used_until=gone, released=True)
        placed(lease, lot.choice([devices[0], devices[2]]), used_from=gone + timedelta(seconds=lot.uniform(1, 1500)))
    return lease


def measure(lot: random.Random, device: Device) -> None:
    at: datetime = NOON
    while at < NOON + 5 * HOUR:
        count = lot.randrange(1, 50)
        if lot.random() < 0.7:
            measured(device, at, count, **lot.choice(FIGURES))
        at += count * MINUTE
    if lot.random() < 0.3:
        at = NOON + timedelta(seconds=lot.uniform(0, 9000))
        DeviceEvent.objects.create(node=device.node, device=device, kind="lost", at=at)


@pytest.mark.parametrize("draw", range(3))
def test_the_seven_are_what_was_held(draw: int) -> None:
    lot = random.Random(draw)
    cast = make_cast()
    allocation = AllocationFactory(project=cast.project, pool=PoolFactory())
    leases = []
    for _turn in range(4):
        node = make_node(allocation.pool, 3)
        devices = list(node.devices.order_by("pk"))
        leases.append(draw_lease(lot, devices, allocation))
        window = {"starts_at": NOON + HOUR, "ends_at": NOON + 2 * HOUR, "reason": "fans", "announced_by": "op"}
        MaintenanceWindow.objects.create(node=node, **window)
        for device in devices:
            measure(lot, device)
    deciding.decide(NOON + 4 * HOUR)  # the rest when they end
    for lease in leases:
        deciding.decide_lease(lease, NOON + 8 * HOUR)
    for row in UsageHour.objects.all():
        letters = row.codes.replace(" ", "")
        assert {UsageClass.of_letter(letter).field for letter in letters} >= {
            each.field for each in UsageClass if getattr(row, each.field)
        }
        assert len(letters) * 60 >= row.held_seconds
    for lease in leases:
        raw = UsageHour.objects.filter(lease=lease).totals()["held_seconds"]
        assert raw == held_by_hand(lease), lease
        assert usage.sums(Lease.objects.filter(pk=lease.pk)).held_seconds == sum(
            row.held_seconds for row in UsageDay.objects.filter(lease=lease)
        )
    ask = {"starts_at": NOON + HOUR, "ends_at": NOON + HOUR + 40 * MINUTE, "reason": "by lot"}
    before = usage.sums(Lease.objects.all()).held_seconds
    for lease in leases:
        with suppress(RuleBroken):  # that hour was not held, or all of it was maintenance
            correct(actor=cast.officer, lease=lease, device=None, to_class="maintenance", **ask)
    assert revising._revise_hour(NOON) == 0, "nothing came late"
    together = usage.sums(Lease.objects.all())
    assert together.held_seconds == before == sum(seconds for _kind, seconds in together.parts)
    assert UsageCorrection.objects.exists()
    for dimension in ("lease", "allocation", "project", "organisation", "gpu_class", "pool", "person"):
        assert usage.UsageSums.total(usage.sums_by(dimension, Lease.objects.all()).values()) == together, dimension


def test_sums_by_hours_are_the_sums_by_days() -> None:
    devices = list(make_node(PoolFactory(), 2).devices.all())
    held(devices, NOON, NOON + 30 * HOUR)
    measured(devices[0], NOON, 1000, **BUSY)
    deciding.decide(NOON + 32 * HOUR)
    every = Lease.objects.all()
    assert usage.sums(every, NOON, NOON + 30 * HOUR) == usage.sums(every)
    halves = [usage.sums(every, NOON, NOON + 10 * HOUR), usage.sums(every, NOON + 10 * HOUR, NOON + 40 * HOUR)]
    assert usage.UsageSums.total(halves) == usage.sums(every)
    days = usage.daily(every, agency_day(NOON), agency_day(NOON + 30 * HOUR))
    assert [str(day) for day, _sums in days] == ["2026-11-10", "2026-11-11", "2026-11-12"]
    assert usage.UsageSums.total(sums for _day, sums in days) == usage.sums(every)


def test_a_day_is_the_sites_own_for_sums_and_agreements_alike(settings: Any) -> None:
    settings.TIME_ZONE = "America/New_York"
    held(list(make_node(PoolFactory(), 2).devices.all()), NOON, NOON + 30 * HOUR)
    deciding.decide(NOON + 32 * HOUR)
    rows = UsageDay.objects.order_by("day").values_list("day", "held_seconds")
    assert [(str(day), seconds // 3600) for day, seconds in rows] == [("2026-11-10", 34), ("2026-11-11", 26)]
    assert agency_day(NOON + 16 * HOUR) == rows[0][0] and begin_of(rows[1][0]) == NOON + 17 * HOUR


def test_what_a_kind_draws_alone_is_learned_from_devices_that_nobody_has() -> None:
    devices = list(make_node(PoolFactory(), 2).devices.order_by("pk"))
    held(devices[:1], NOON - 20 * HOUR, NOON)
    Device.objects.update(state="available")
    measured(devices[0], NOON - 10 * HOUR, 100, **QUIET | {"power_watts": 300})
    measured(devices[1], NOON - 10 * HOUR, 100, **QUIET)
    measured(devices[1], NOON - 5 * HOUR, 100, **BUSY)
    assert learning.learn_idle_power(NOON) == 1 and learning.learn_idle_power(NOON) == 1
    found = IdlePower.objects.get()
    assert (found.watts, found.samples) == (70, 100)
