"""A partner sees what was measured for their own reservation and never for another's: page, chart, API, statement."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from allocations.models import Allocation, Lease
from allocations.selectors.leases import lease_devices, placements_of
from allocations.selectors.usage import use_of
from allocations.services import reconcile
from cluster.models import Device
from telemetry.models import DeviceMinute
from tests.allocations.conftest import Stage
from tests.allocations.nodes import answer as node_answers
from tests.allocations.test_api import client as api_of
from tests.allocations.test_reconcile import brought_back, go, started
from tests.allocations.test_views import running, sign_in
from tests.factories import AllocationFactory, Cast, PoolFactory, make_cast, make_node, make_sample

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def allocation(cast: Cast) -> Allocation:
    allocation: Allocation = AllocationFactory(project=cast.project, pool=PoolFactory())
    make_node(allocation.pool)
    return allocation


def measure(device: Device, at: Any, percent: int) -> None:
    """The device's newest sample."""
    make_sample(device, at, percent, memory_used_mib=40_000)


def both_skins(lease: Lease, user: Any) -> list[int | None]:
    """Utilisation of each device as the page shows it, after the API has said the same."""
    page = [row.figures.utilisation_percent for row in sign_in(user).get(lease.get_absolute_url()).context["rows"]]
    answer = api_of(user).get(f"/api/v1/leases/{lease.public_id}/devices/").data
    assert [row["sample"] and row["sample"]["utilisation_percent"] for row in answer] == page
    assert all(row["last_sample_at"] is None for row in answer if row["sample"] is None)
    return page


def test_what_is_measured_while_it_runs_is_shown(cast: Cast, allocation: Allocation) -> None:
    lease = running(allocation, cast.owner)
    for device in (placement.device for placement in lease.placements.all()):
        measure(device, timezone.now() - timedelta(seconds=5), 87)
    assert both_skins(lease, cast.owner) == [87, 87]


def test_what_was_measured_before_the_handover_is_not(cast: Cast, allocation: Allocation) -> None:
    lease = running(allocation, cast.owner)
    now = timezone.now()
    Lease.objects.filter(pk=lease.pk).update(active_at=now - timedelta(seconds=10))
    for device in (placement.device for placement in lease.placements.all()):
        measure(device, now - timedelta(seconds=20), 99)
    assert both_skins(lease, cast.owner) == [None, None]


@pytest.mark.parametrize("state", ["scheduled", "preparing", "prepare_stuck", "failed", "cancelled"])
def test_a_lease_that_was_not_handed_over_shows_nothing(cast: Cast, allocation: Allocation, state: str) -> None:
    lease = running(allocation, cast.owner)
    Lease.objects.filter(pk=lease.pk).update(active_at=None, state=state)
    for device in (placement.device for placement in lease.placements.all()):
        measure(device, timezone.now(), 99)
    assert both_skins(lease, cast.owner) == [None, None]


@pytest.mark.parametrize("state", ["draining", "reclaiming", "reclaim_stuck", "ended"])
def test_what_was_measured_after_the_end_of_use_is_not(cast: Cast, allocation: Allocation, state: str) -> None:
    lease = running(allocation, cast.owner)
    now = timezone.now()
    Lease.objects.filter(pk=lease.pk).update(drained_at=now - timedelta(seconds=30), state=state)
    for device in (placement.device for placement in lease.placements.all()):
        measure(device, now - timedelta(seconds=1), 99)
    assert both_skins(lease, cast.owner) == [None, None]


def test_a_stale_sample_is_a_gap_in_both_skins(cast: Cast, allocation: Allocation) -> None:
    lease = running(allocation, cast.owner)
    device = lease.placements.first().device
    measure(device, timezone.now() - timedelta(minutes=5), 40)
    row = next(row for row in lease_devices(lease, timezone.now()) if row.device == device)
    assert row.sample is None and row.last_at is not None
    answer = api_of(cast.owner).get(f"/api/v1/leases/{lease.public_id}/devices/").data
    assert [
        (found["sample"], bool(found["last_sample_at"])) for found in answer if found["id"] == device.public_id
    ] == [(None, True)]


def test_before_a_lease_is_prepared_its_devices_are_others(cast: Cast, allocation: Allocation) -> None:
    lease = running(allocation, cast.owner)
    device = lease.placements.first().device
    Device.objects.filter(pk=device.pk).update(state="in_use", health="drain")
    for state, told in (("scheduled", None), ("preparing", "in_use")):
        Lease.objects.filter(pk=lease.pk).update(state=state)
        lease.refresh_from_db()
        row = next(row for row in lease_devices(lease, timezone.now()) if row.device == device)
        assert (row.state, row.health, row.ill) == (told, told and "drain", told is not None)
        answer = api_of(cast.owner).get(f"/api/v1/leases/{lease.public_id}/devices/").data
        assert [found["state"] for found in answer if found["id"] == device.public_id] == [told]


def test_a_device_that_was_replaced_before_the_handover_belongs_to_somebody_else(stage: Stage) -> None:
    lease = stage.book(2)
    first = lease.placements.order_by("device_id").first().device
    Device.objects.filter(pk=first.pk).update(state="offline")
    go(lease, lease.starts_at - timedelta(minutes=5))
    assert first.pk not in {row.device_id for row in lease.placements.filter(released=False)}
    lease = _through(lease)
    assert lease.state == "active"
    assert first not in [row.device for row in placements_of(lease)]
    lease = brought_back(go(lease, lease.ends_at), lease.ends_at)
    assert lease.state == "ended" and len(placements_of(lease)) == 2
    assert first not in [row.device for row in placements_of(lease)]


def _through(lease: Lease) -> Lease:
    node_answers(lease, "verify")
    go(lease, lease.starts_at)
    node_answers(lease, "grant")
    return go(lease, lease.starts_at + timedelta(seconds=5))


def test_use_before_a_late_handover_is_not_counted_as_this_leases_use(stage: Stage) -> None:
    lease = started(stage, count=1)
    late = lease.starts_at + timedelta(minutes=30)
    Lease.objects.filter(pk=lease.pk).update(active_at=late)
    lease.refresh_from_db()
    device = lease.placements.get().device
    first_minute = lease.starts_at.replace(second=0, microsecond=0) + timedelta(minutes=1)
    DeviceMinute.objects.bulk_create(
        DeviceMinute(device=device, minute=first_minute + timedelta(minutes=n), samples=6, utilisation_percent=90)
        for n in range(20)
    )
    usage = use_of(lease, lease.ends_at).total
    assert (usage.used_seconds, usage.held_seconds) == (0, 2 * 3600)
    lease = brought_back(go(lease, lease.ends_at), lease.ends_at)
    assert lease.used_seconds == 0


def test_the_chart_begins_with_the_handover(cast: Cast, allocation: Allocation) -> None:
    lease = running(allocation, cast.owner, count=1)
    now = timezone.now().replace(second=0, microsecond=0)
    began = now - timedelta(hours=3, seconds=30)  # three hours are drawn in steps of five minutes
    Lease.objects.filter(pk=lease.pk).update(starts_at=began, active_at=began, ends_at=now + timedelta(hours=1))
    device = lease.placements.get().device
    DeviceMinute.objects.bulk_create(
        DeviceMinute(
            device=device,
            minute=now - timedelta(minutes=n),
            samples=6,
            utilisation_percent=100 if now - timedelta(minutes=n) < began else 10,
        )
        for n in range(1, 200)
    )
    answer = sign_in(cast.owner).get(reverse("allocations:lease-series", args=[lease.public_id])).json()
    (line,) = answer["series"]
    assert {value for _at, value in line["points"] if value is not None} == {10} and not answer["notes"]
    years = {"from": "2016-01-01T00:00", "to": "2036-01-01T00:00", "step": "10"}
    answer = sign_in(cast.owner).get(reverse("allocations:lease-series", args=[lease.public_id]), years).json()
    (line,) = answer["series"]
    assert len(line["points"]) <= 720 and timezone.localtime(began).strftime("%Y-%m-%d %H:%M") in answer["notes"][0]


def test_the_series_of_a_lease_never_handed_over_is_empty(stage: Stage) -> None:
    lease = stage.book(1)
    reconcile.reconcile_lease(lease.public_id, now=stage.now)
    answer = sign_in(stage.cast.owner).get(reverse("allocations:lease-series", args=[lease.public_id])).json()
    assert all(not line["points"] for line in answer["series"])


def test_a_young_lease_is_drawn_from_its_samples(cast: Cast, allocation: Allocation) -> None:
    lease = running(allocation, cast.owner, count=1)
    now = timezone.now()
    began = now - timedelta(seconds=45)
    Lease.objects.filter(pk=lease.pk).update(starts_at=began, active_at=began)
    device = lease.placements.get().device
    for seconds, percent in ((60, 100), (35, 40), (25, 40), (5, 40)):  # the first is from before the handover
        measure(device, now - timedelta(seconds=seconds), percent)
    answer = sign_in(cast.owner).get(reverse("allocations:lease-series", args=[lease.public_id])).json()
    (line,) = answer["series"]
    drawn = [value for _at, value in line["points"] if value is not None]
    assert drawn and set(drawn) == {40}


def test_once_it_is_over_page_and_api_show_averages_and_no_state(stage: Stage) -> None:
    lease = started(stage, count=1)
    lease = brought_back(go(lease, lease.ends_at), lease.ends_at)
    back = timedelta(hours=6)  # that was tomorrow's lease; now it is yesterday's
    moved = {name: getattr(lease, name) - back for name in ("starts_at", "active_at", "drained_at", "ends_at")}
    Lease.objects.filter(pk=lease.pk).update(**moved)
    device = placements_of(Lease.objects.get(pk=lease.pk))[0].device
    whole = moved["active_at"].replace(second=0, microsecond=0) + timedelta(minutes=1)
    late = moved["ends_at"].replace(second=0, microsecond=0) + timedelta(minutes=2)
    for minute, percent in ((whole, 20), (whole + timedelta(minutes=1), 60), (late, 100)):  # the last: somebody else's
        DeviceMinute.objects.create(device=device, minute=minute, samples=6, utilisation_percent=percent)
    (row,) = sign_in(stage.cast.owner).get(lease.get_absolute_url()).context["rows"]
    assert row.figures.utilisation_percent == 40
    (told,) = api_of(stage.cast.owner).get(f"/api/v1/leases/{lease.public_id}/devices/").data
    assert told["mean"]["utilisation_percent"] == 40
    assert (told["state"], told["health"], told["sample"]) == (None, None, None)


def test_a_statement_says_its_reasons_in_words(stage: Stage) -> None:
    lease = started(stage, count=1)
    lease = brought_back(go(lease, lease.ends_at), lease.ends_at)
    page = sign_in(stage.cast.owner).get(stage.allocation.get_absolute_url()).content.decode()
    assert "the window ended" in page and "the portal" in page
    assert "system:reconciler" not in page
