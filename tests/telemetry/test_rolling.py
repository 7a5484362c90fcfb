"""Minutes, hours and days: what comes late or twice, what the energy counter says, what a killed job leaves."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.utils import timezone

from cluster.models import Device
from telemetry import partitions, selectors, services
from telemetry.models import DeviceDay, DeviceHour, DeviceMinute, LateHour, PoolHour, PoolMinute, RollupMark, Sample
from telemetry.services import rolling
from tests.factories import PoolFactory, make_node

pytestmark = pytest.mark.django_db
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def device() -> Device:
    return make_node(PoolFactory(), 1).devices.get()


def put(
    device: Device, at: datetime, energy_j: int | None = None, utilisation: int | None = 50, **figures: Any
) -> None:
    energy = None if energy_j is None else energy_j * 1000
    Sample.objects.create(device=device, at=at, energy_mj=energy, utilisation_percent=utilisation, **figures)


def deliver(device: Device, sequence: int, *moments: datetime) -> services.Ingested:
    said = [{"uuid": device.uuid, "at": at.timestamp(), "utilisation_percent": 50} for at in moments]
    return services.ingest(node=device.node, boot_id="b", sequence=sequence, samples=said)


def energies() -> list[int | None]:
    return list(DeviceMinute.objects.order_by("minute").values_list("energy_j", flat=True))


def test_energy_is_what_the_counter_gained_and_a_gap_costs_nothing(device: Device) -> None:
    now = timezone.now()
    begin = rolling._floor(now, MINUTE) - 40 * MINUTE
    for minute, joules in ((0, 1_000_000), (1, 1_020_000), (31, 1_620_000), (32, 1_640_000)):
        put(device, begin + minute * MINUTE, joules)
    services.roll_up(now)
    assert energies() == [0, 20_000, 600_000, 20_000]
    for minute in (10, 20):  # the gap is filled later: the sum stays
        put(device, begin + minute * MINUTE, 1_020_000 + 20_000 * minute)
    LateHour.objects.create(node=device.node, hour=rolling._floor(begin, HOUR), noted_at=now)
    services.roll_up(now)
    assert energies() == [0, 20_000, 200_000, 200_000, 200_000, 20_000]


def test_a_counter_that_went_back_or_leapt_is_no_energy(device: Device) -> None:
    now = timezone.now()
    begin = rolling._floor(now, MINUTE) - 10 * MINUTE
    for minute, joules in ((0, 9_000_000), (1, 15_000), (2, 30_000), (3, 10**12), (4, None)):
        put(device, begin + minute * MINUTE, joules)
    services.roll_up(now)
    assert energies() == [0, 15_000, 15_000, 0, None], "set to zero by the driver; a leap that no GPU could draw"


def test_late_samples_make_their_minutes_hours_and_days_anew(device: Device) -> None:
    now = timezone.now()
    minute = rolling._floor(now, MINUTE) - 70 * MINUTE
    services.roll_up(now)
    services.roll_up_hours(now)
    assert deliver(device, 1, minute, minute + timedelta(seconds=10)).accepted == 2
    assert LateHour.objects.filter(rolled_at=None).count() == 1
    assert services.roll_up(now) == 1
    hour, day = DeviceHour.objects.get(), DeviceDay.objects.get()
    assert (hour.samples, hour.minutes, hour.busy_minutes, hour.utilisation_percent) == (2, 1, 1, 50)
    assert (day.samples, day.day) == (2, timezone.localtime(hour.hour).date())
    assert PoolHour.objects.get().used_seconds == 60
    assert [(row.utilisation_percent, row.devices) for row in PoolMinute.objects.all()] == [(50, 1)]
    assert LateHour.objects.filter(rolled_at=now, node=device.node_id, hour=hour.hour).count() == 1
    assert services.roll_up(now) == 0


def test_what_overlaps_what_is_there_counts_once(device: Device) -> None:
    now = timezone.now()
    moments = [now - timedelta(seconds=10 * turn) for turn in range(6)]
    assert deliver(device, 1, *moments[:2]).accepted == 2
    assert deliver(device, 3, *moments).accepted == 4
    assert deliver(device, 2, *moments).accepted == 0
    assert [deliver(device, sequence, now).repeated for sequence in (1, 2, 3, 4)] == [True, True, True, False]
    assert Sample.objects.count() == 6 and selectors.deliveries_taken() == 4


def test_a_flood_is_thinned(device: Device) -> None:
    now = timezone.now()
    assert deliver(device, 1, *(now - timedelta(milliseconds=turn) for turn in range(1000))).accepted <= 3


def test_a_clock_that_was_ahead_does_not_hide_what_comes_after(device: Device) -> None:
    now = timezone.now()
    assert deliver(device, 1, now + timedelta(minutes=9)).accepted == 1
    assert deliver(device, 2, now).accepted == 1
    assert selectors.latest([device])[device.pk].at == now
    assert deliver(device, 3, now + timedelta(minutes=9)).accepted == 0, "it is there"


def test_a_job_that_was_killed_goes_on_where_it_was(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    for minute in range(5, 100, 10):
        put(device, now - minute * MINUTE)
    real, turns = rolling._write, iter(range(10))

    def dies(sql: str, **values: Any) -> int:
        if next(turns) == 6:  # minutes and those of the pools, piece by piece
            raise KeyboardInterrupt
        return real(sql, **values)

    monkeypatch.setattr(rolling, "_write", dies)
    with pytest.raises(KeyboardInterrupt):
        services.roll_up(now)
    monkeypatch.setattr(rolling, "_write", real)
    half, mark = DeviceMinute.objects.count(), RollupMark.objects.get(name="minutes").done_until
    assert 0 < half < 10 and now - 2 * HOUR < mark < now - HOUR
    services.roll_up(now)
    assert DeviceMinute.objects.count() == 10


def test_a_missing_partition_costs_no_row(device: Device) -> None:
    now = timezone.now()
    assert deliver(device, 1, now).accepted == 1
    assert {size.table: size.astray for size in partitions.sizes() if size.astray} == {"telemetry_sample": 1}
    assert partitions.ensure(now) > 5
    assert not any(size.astray for size in partitions.sizes())
    assert partitions.ensure(now) == 0 and Sample.objects.count() == 1
    days = partitions.existing(partitions.tables()[0])
    assert days[0].since <= now < days[0].until and days[-1].until > now + timedelta(days=3)


def test_partitions_of_another_length_fit_beside_the_old_ones(settings: Any) -> None:
    now = datetime(2031, 5, 5, 12, 30, tzinfo=UTC)
    partitions.ensure(now)
    settings.TELEMETRY_PARTITION_HOURS = 1
    partitions.ensure(now + timedelta(days=2))
    parts = partitions.existing(partitions.tables()[0])
    assert all(before.until == after.since for before, after in pairwise(parts))
    assert {part.until - part.since for part in parts} == {timedelta(days=1), HOUR}


def test_processes_are_kept_within_bounds(device: Device) -> None:
    many = [{"pid": pid, "name": "python\x00" * 50, "memory_mib": pid, "user": None} for pid in range(1, 50)]
    said = [{"pid": 0}, {"pid": "7"}, {"pid": True}, "nonsense", *many]
    sample = {"uuid": device.uuid, "at": timezone.now().timestamp(), "power_watts": 0, "utilisation_percent": 90}
    answer = services.ingest(node=device.node, boot_id="b", sequence=1, samples=[{**sample, "processes": said}])
    latest = selectors.latest([device])[device.pk]
    assert [each["pid"] for each in latest.processes] == list(range(49, 17, -1))
    assert {len(each["name"]) for each in latest.processes} == {69}
    assert (answer.bad_values, latest.power_watts) == (1, None), "load without power: the sensor is wrong"
