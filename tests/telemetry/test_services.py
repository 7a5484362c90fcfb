"""Samples: taken once, judged one by one, rolled up as often as one likes."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from cluster.models import Device
from telemetry import partitions, selectors, services
from telemetry.models import DeviceMinute, Sample, SampleFeed
from telemetry.services import tidying
from tests.factories import PoolFactory, make_node

pytestmark = pytest.mark.django_db


@pytest.fixture
def device() -> Device:
    return make_node(PoolFactory(), 1).devices.get()


def sample(device: Device, at: datetime, **values: Any) -> dict[str, Any]:
    return {"uuid": device.uuid, "at": at.timestamp(), "utilisation_percent": 50, "memory_used_mib": 1000} | values


def ingest(device: Device, *samples: Any, sequence: int = 1) -> services.Ingested:
    return services.ingest(node=device.node, boot_id="b", sequence=sequence, samples=list(samples))


def test_a_delivery_counts_once(device: Device) -> None:
    at = timezone.now()
    assert ingest(device, sample(device, at)) == services.Ingested(accepted=1, repeated=False)
    assert ingest(device, sample(device, at)) == services.Ingested(accepted=0, repeated=True)
    assert ingest(device, sample(device, at), sequence=2).accepted == 0
    assert Sample.objects.count() == 1
    latest = selectors.latest([device])[device.pk]
    assert latest.utilisation_percent == 50 and abs((latest.at - at).total_seconds()) < 0.001


def test_an_older_delivery_does_not_turn_the_clock_back(device: Device) -> None:
    now = timezone.now()
    ingest(device, sample(device, now))
    ingest(device, sample(device, now - timedelta(minutes=1)), sequence=2)
    assert abs((selectors.latest([device])[device.pk].at - now).total_seconds()) < 0.001


def test_rows_that_cannot_be_are_refused_and_counted(device: Device) -> None:
    now = timezone.now()
    stranger = make_node(device.node.pool, 1).devices.get()
    result = ingest(
        device,
        sample(device, now),
        sample(stranger, now),
        sample(device, now, uuid="GPU-nobody"),
        sample(device, now + timedelta(minutes=11)),
        sample(device, now - timedelta(minutes=121)),
        sample(device, now) | {"at": "yesterday"},
        "nonsense",
        None,
    )
    assert result == services.Ingested(
        accepted=1, repeated=False, unknown_devices=2, bad_times=3, malformed=2, bad_values=0
    )


@pytest.mark.parametrize("value", [101, -1, float("nan"), float("inf"), "50", True, [], 10**40])
def test_an_impossible_value_is_a_gap(device: Device, value: Any) -> None:
    result = ingest(device, sample(device, timezone.now(), utilisation_percent=value))
    assert (result.accepted, result.bad_values) == (1, 1)
    row = Sample.objects.get()
    assert (row.utilisation_percent, row.memory_used_mib) == (None, 1000)


def test_minutes_may_be_made_again_and_take_late_samples_in(device: Device) -> None:
    minute = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=3)
    ingest(
        device, *(sample(device, minute + timedelta(seconds=s), utilisation_percent=u) for s, u in ((0, 10), (10, 30)))
    )
    assert services.roll_up(timezone.now()) == 1
    assert services.roll_up(timezone.now()) == 0
    ingest(device, sample(device, minute + timedelta(seconds=20), utilisation_percent=80), sequence=2)
    assert services.roll_up(timezone.now()) == 1
    row = DeviceMinute.objects.get()
    assert (row.samples, row.utilisation_percent, row.minute) == (3, 40.0, minute)


def test_a_series_has_no_point_where_nothing_was_measured(device: Device) -> None:
    start = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=10)
    for offset, utilisation in ((0, 90.0), (1, 2.0), (3, 50.0)):
        DeviceMinute.objects.create(
            device=device, minute=start + timedelta(minutes=offset), samples=6, utilisation_percent=utilisation
        )
    points = selectors.series([device.pk], start, start + timedelta(minutes=5), 60)
    assert [point.at for point in points] == [start + timedelta(minutes=m) for m in (0, 1, 3)]


def test_old_rows_go_and_young_ones_stay(device: Device) -> None:
    now = timezone.now()
    for days in (0, 6, 9):
        Sample.objects.create(device=device, at=now - timedelta(days=days))
    assert partitions.ensure(now - timedelta(days=9)) > 3
    assert services.tidy(now) >= 1
    assert Sample.objects.count() == 2 and not [size for size in partitions.sizes() if size.astray]


def test_of_a_node_that_boots_with_every_delivery_the_newest_feeds_are_kept(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidying, "BOOTS_KEPT", 2)
    for boot in ("a", "b", "c", "d"):
        services.ingest(node=device.node, boot_id=boot, sequence=1, samples=[])
    assert services.tidy(timezone.now()) == 2
    assert set(SampleFeed.objects.values_list("boot_id", flat=True)) == {"c", "d"}
