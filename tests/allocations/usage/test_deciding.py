"""Every held minute is decided once, as exactly one of seven things."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from allocations.models import Lease, UsageDay, UsageHour, UsageMark
from allocations.selectors import usage
from allocations.services.usage import deciding
from allocations.usage_rule import RULE
from cluster.models import Device, DeviceEvent, MaintenanceWindow
from telemetry import partitions
from telemetry.models import IdlePower
from tests.allocations.usage.measuring import BUSY, HANGING, HOUR, MINUTE, NOON, QUIET, held, measured, placed
from tests.factories import PoolFactory, make_node

pytestmark = pytest.mark.django_db


@pytest.fixture
def devices() -> list[Device]:
    return list(make_node(PoolFactory(), 3).devices.order_by("index"))


def codes(lease: Lease) -> str:
    """The hour's letters, run by run: `U30 I30`."""
    text = "".join(UsageHour.objects.filter(lease=lease).order_by("hour").values_list("codes", flat=True))
    runs: list[list[Any]] = []
    for letter in text:
        if runs and runs[-1][0] == letter:
            runs[-1][1] += 1
        else:
            runs.append([letter, 1])
    return " ".join(f"{letter}{count}" for letter, count in runs if letter != " ")


def decide(hours: int = 4) -> int:
    """As the job does it, an hour after so many hours."""
    return deciding.decide(NOON + (hours + 1) * HOUR)


def test_what_a_device_did_says_what_its_minutes_were(devices: list[Device]) -> None:
    lease = held(devices[:1], end=NOON + HOUR)
    measured(devices[0], NOON, 10, **BUSY)
    measured(devices[0], NOON + 10 * MINUTE, 10, **QUIET)
    measured(devices[0], NOON + 20 * MINUTE, 10, **QUIET, memory_used_mib=30_000)
    measured(devices[0], NOON + 40 * MINUTE, 20, **HANGING)
    assert decide() == 1
    assert codes(lease) == "U10 I10 P10 N10 U20", "a gap is no idleness, and twenty minutes are not hung yet"
    row = UsageHour.objects.get()
    assert (row.held_seconds, row.used_seconds, row.samples, row.rule_version) == (3600, 1800, 300, RULE.version)


def test_half_an_hour_at_full_load_without_activity_is_hung_across_hours(devices: list[Device]) -> None:
    lease = held(devices[:1], start=NOON + 40 * MINUTE, end=NOON + 2 * HOUR)
    Device.objects.update(power_limit_watts=700)
    measured(devices[0], NOON + 45 * MINUTE, 30, **HANGING)
    measured(devices[0], NOON + 75 * MINUTE, 29, **HANGING | {"power_watts": 400})
    decide()
    assert codes(lease) == "N5 H15 H15 U29 N16".replace("H15 H15", "H30")


def test_power_says_idle_only_below_what_its_kind_draws_alone(devices: list[Device]) -> None:
    lease = held(devices[:1], end=NOON + HOUR)
    IdlePower.objects.create(gpu_class=devices[0].gpu_class, watts=60, samples=600, learned_at=NOON)
    measured(devices[0], NOON, 30, **QUIET)
    measured(devices[0], NOON + 30 * MINUTE, 30, **QUIET | {"power_watts": 76})
    decide()
    assert codes(lease) == "I30 U30"


def test_an_open_context_that_sleeps_is_no_use_and_work_that_no_counter_sees_is(devices: list[Device]) -> None:
    """A program that has a GPU open raises its clocks, and nothing runs: the watts are those of an H200."""
    lease = held(devices[:1], end=NOON + HOUR)
    IdlePower.objects.create(gpu_class=devices[0].gpu_class, watts=79.4, samples=600, learned_at=NOON)
    asleep = QUIET | {"power_watts": 120.5, "process_count": 1}
    measured(devices[0], NOON, 20, **asleep, memory_used_mib=40_000)
    measured(devices[0], NOON + 20 * MINUTE, 20, **asleep, memory_used_mib=600)
    measured(devices[0], NOON + 40 * MINUTE, 20, **asleep | {"power_watts": 160}, memory_used_mib=40_000)
    decide()
    assert codes(lease) == "P20 I20 U20"
    assert UsageHour.objects.get().rule_version == RULE.version


def test_before_a_late_handover_and_after_a_loss_it_is_the_providers_fault(devices: list[Device]) -> None:
    lease = held(devices[:1], end=NOON + HOUR, active_at=NOON + 20 * MINUTE)
    measured(devices[0], NOON, 60, **BUSY)
    DeviceEvent.objects.create(node=devices[0].node, device=devices[0], kind="lost", at=NOON + 50.5 * MINUTE)
    decide()
    assert codes(lease) == "F20 U30 F10"


def test_maintenance_is_no_idleness_and_work_in_it_is_work(devices: list[Device]) -> None:
    lease = held(devices[:1], end=NOON + HOUR)
    window = {"node": devices[0].node, "starts_at": NOON, "reason": "fans", "announced_by": "op"}
    MaintenanceWindow.objects.create(ends_at=NOON + 30 * MINUTE, **window)
    MaintenanceWindow.objects.create(ends_at=NOON + HOUR, cancelled_at=NOON - HOUR, **window)
    measured(devices[0], NOON, 10, **BUSY)
    measured(devices[0], NOON + 10 * MINUTE, 10, **QUIET)
    decide()
    assert codes(lease) == "U10 M20 N30"


def test_a_part_of_a_minute_counts_its_seconds(devices: list[Device]) -> None:
    start, end = NOON + timedelta(seconds=20.7), NOON + timedelta(minutes=2, seconds=10.9)
    lease = held(devices[:1], start=start, end=end)
    measured(devices[0], NOON, 1, **BUSY)
    decide()
    row = UsageHour.objects.get(lease=lease)
    assert (row.codes.rstrip(), row.held_seconds, row.used_seconds, row.no_data_seconds) == ("UNN", 110, 40, 70)


def test_a_device_that_leaves_and_comes_back_has_one_hour_with_a_gap(devices: list[Device]) -> None:
    lease = held(devices[:1], end=NOON + HOUR)
    lease.placements.update(used_until=NOON + 10 * MINUTE, released=True)
    placed(lease, devices[0], used_from=NOON + 30 * MINUTE)
    measured(devices[0], NOON, 60, **BUSY)
    decide()
    row = UsageHour.objects.get(lease=lease)
    assert (row.codes, row.held_seconds) == ("U" * 10 + " " * 20 + "U" * 30, 2400)


def test_an_hour_is_decided_an_hour_after_its_end_and_never_again(devices: list[Device]) -> None:
    held(devices)
    assert deciding.decide(NOON + 2 * HOUR - MINUTE) == 0
    assert deciding.decide(NOON + 2 * HOUR) == 3
    assert deciding.decide(NOON + 2 * HOUR) == 0
    measured(devices[0], NOON, 60, **BUSY)
    assert deciding.decide(NOON + 3 * HOUR) == 3
    assert UsageHour.objects.filter(used_seconds__gt=0).count() == 0
    assert UsageMark.objects.get(name="decided").done_until == NOON + 2 * HOUR


def test_held_hours_lie_in_partitions_of_their_month_that_nobody_rewrites_and_that_are_kept(
    devices: list[Device],
) -> None:
    held(devices[:1])
    decide()  # before there is a partition
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        assert partitions.ensure(NOON) > 0
        cursor.execute("SELECT DISTINCT tableoid::regclass::text FROM allocations_usagehour")
        assert cursor.fetchall() == [("allocations_usagehour_p2026110100",)]
    for statement in ("UPDATE allocations_usagehour_p2026110100 SET samples = 9", "DELETE FROM allocations_usagehour"):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    partitions.drop_expired(NOON + timedelta(days=4000))
    assert UsageHour.objects.count() == 3


@pytest.mark.parametrize(
    "statement", ["UPDATE allocations_usagehour SET samples = 9", "DELETE FROM allocations_usagehour"]
)
def test_the_database_keeps_what_was_decided(devices: list[Device], statement: str) -> None:
    held(devices[:1])
    decide()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_days_are_seouls_and_weigh_a_mig_instance_by_its_share(devices: list[Device]) -> None:
    lease = held(devices[:1], end=NOON + 5 * HOUR, slices=1, slices_of=7)
    measured(devices[0], NOON, 100, **BUSY)
    decide(6)
    days = list(UsageDay.objects.order_by("day").values_list("day", "held_seconds", "used_seconds", "no_data_seconds"))
    assert [(str(day), *rest) for day, *rest in days] == [
        ("2026-11-10", 3 * 3600 // 7, 6000 // 7, 3 * 3600 // 7 - 6000 // 7),
        ("2026-11-11", 7200 // 7, 0, 7200 // 7),
    ]
    assert usage.sums(Lease.objects.filter(pk=lease.pk)).held_seconds == 3 * 3600 // 7 + 7200 // 7


def test_whoever_got_its_gpus_hours_late_has_those_hours_decided_as_well(devices: list[Device]) -> None:
    other = held(devices[1:2], end=NOON + 6 * HOUR)
    lease = held(devices[:1], end=NOON + 6 * HOUR, active_at=None, state="preparing")
    decide(2)
    assert not UsageHour.objects.filter(lease=lease).exists()
    Lease.objects.filter(pk=lease.pk).update(active_at=NOON + 3.5 * HOUR, state="active")
    decide(4)
    assert codes(lease) == "F210 N30" and codes(other) == "N240"
    found = usage.use_of(Lease.objects.get(pk=lease.pk), NOON + 4.5 * HOUR)
    assert (found.decided.held_seconds, found.provisional.held_seconds) == (4 * 3600, 1800)


def test_what_is_not_decided_is_judged_as_it_looks_now(devices: list[Device]) -> None:
    lease = held(devices[:1], end=NOON + 6 * HOUR)
    measured(devices[0], NOON, 150, **BUSY)
    decide(1)
    now = NOON + timedelta(hours=2, minutes=40)
    found = usage.use_of(lease, now)
    assert (found.decided.used_seconds, found.provisional.used_seconds) == (3600, 90 * 60)
    assert found.total.held_seconds == 160 * 60
    rows = usage.minutes(lease, NOON + 55 * MINUTE, now)
    assert [row.code for row in rows] == ["U"] * 95 + ["N"] * 10
    assert [row.provisional for row in rows] == [False] * 5 + [True] * 100
