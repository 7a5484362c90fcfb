"""The fleet dashboard and the machine pages."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from allocations.models import Lease
from audit.models import AuditEvent
from cluster.models import Device, DeviceEvent, Handover, Node, NodeCommand
from reports.selectors.fleet import device_counts, fleet, held_seconds, level_of
from reports.selectors.machines import device_sheet
from telemetry.models import DeviceMinute
from tests.factories import AllocationFactory, Cast, LeaseFactory, PoolFactory, make_cast, make_node, make_sample
from tests.factories.allocations import PlacementFactory
from tests.queries import MOST_A_PAGE, queries_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def node() -> Node:
    return make_node(PoolFactory(name="h100-a"), name="gpu-a")


def sign_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def hold(device: Device, cast: Cast, *, since: datetime, hours: int = 4) -> Lease:
    lease: Lease = LeaseFactory(
        allocation=AllocationFactory(project=cast.project, pool=device.node.pool),
        booked_by=cast.owner,
        device_count=1,
        starts_at=since,
        active_at=since,
        ends_at=since + timedelta(hours=hours),
        state="active",
    )
    PlacementFactory(lease=lease, device=device)
    return lease


def measure(device: Device, percents: list[float | None], now: datetime) -> None:
    """One minute a figure, the last one the minute before this; None leaves a gap."""
    minute = now.replace(second=0, microsecond=0)
    DeviceMinute.objects.bulk_create(
        DeviceMinute(
            device=device,
            minute=minute - timedelta(minutes=len(percents) - place),
            samples=6,
            utilisation_percent=value,
        )
        for place, value in enumerate(percents)
        if value is not None
    )


def sample(device: Device, percent: int | None, at: datetime) -> None:
    make_sample(device, at, percent)


URLS = ("reports:fleet", "reports:fleet-live", "reports:fleet-series", "reports:nodes")


@pytest.mark.parametrize("name", URLS)
def test_machine_pages_do_not_exist_for_partners(cast: Cast, node: Node, name: str) -> None:
    for user in (cast.owner, cast.outsider, cast.reviewer):
        assert sign_in(user).get(reverse(name)).status_code == 404
    for user in (cast.operator, cast.officer, cast.auditor):
        assert sign_in(user).get(reverse(name)).status_code == 200
    assert Client().get(reverse(name)).status_code == 302


def test_a_node_and_a_device_do_not_exist_for_partners(cast: Cast, node: Node) -> None:
    device = node.devices.first()
    assert device
    for url in (
        node.get_absolute_url(),
        device.get_absolute_url(),
        reverse("reports:device-series", args=[device.public_id]),
        reverse("reports:node-drain", args=[node.public_id]),
    ):
        assert sign_in(cast.owner).get(url).status_code == 404
        assert sign_in(cast.operator).get(url).status_code == 200


def test_the_api_answers_the_same_question_for_staff_alone(cast: Cast, node: Node) -> None:
    assert sign_in(cast.owner).get("/api/v1/fleet/").status_code == 404
    answer = sign_in(cast.operator).get("/api/v1/fleet/").json()
    assert answer["counts"]["total"] == 8 and len(answer["devices"]) == 8
    assert answer["devices"][0]["utilisation_percent"] is None


def test_counts_and_the_ill_list_name_state_and_reason(cast: Cast, node: Node) -> None:
    first, second, third = node.devices.order_by("index")[:3]
    Device.objects.filter(pk=first.pk).update(state="quarantined", state_reason="XID 79")
    Device.objects.filter(pk=second.pk).update(state="offline")
    Device.objects.filter(pk=third.pk).update(health="warn", health_reasons=["ecc_volatile"])
    found = fleet(timezone.now())
    assert (found.counts.free, found.counts.quarantined, found.counts.offline, found.counts.ill) == (6, 1, 1, 3)
    page = sign_in(cast.operator).get(reverse("reports:fleet")).content.decode()
    assert "XID 79" in page and "ecc_volatile" in page


def test_a_cell_shows_the_last_figure_and_a_stale_one_as_a_gap(node: Node) -> None:
    now = timezone.now()
    first, second, third = node.devices.order_by("index")[:3]
    sample(first, 96, now - timedelta(seconds=5))
    sample(second, 50, now - timedelta(minutes=5))
    sample(third, None, now)
    (row,) = fleet(now).nodes
    assert [cell.utilisation_percent for cell in row.cells[:3]] == [96, None, None]
    assert [cell.level for cell in row.cells[:3]] == ["full", "gap", "gap"]
    assert row.mean_percent == 96


def test_levels_meet_their_legend() -> None:
    assert [level_of(value) for value in (None, 0, 2, 3, 30, 31, 60, 61, 90, 91, 100)] == [
        "gap", "idle", "idle", "low", "low", "mid", "mid", "high", "high", "full", "full",
    ]  # fmt: skip


def test_idle_means_held_measured_and_quiet_for_ten_minutes(cast: Cast, node: Node) -> None:
    now = timezone.now()
    quiet, busy, silent, fresh, free = node.devices.order_by("index")[:5]
    lease = hold(quiet, cast, since=now - timedelta(hours=2))
    hold(busy, cast, since=now - timedelta(hours=2))
    hold(silent, cast, since=now - timedelta(hours=2))
    hold(fresh, cast, since=now - timedelta(minutes=5))
    measure(quiet, [80.0] * 5 + [1.0] * 15, now)
    measure(busy, [0.0] * 12 + [50.0] + [0.0] * 2, now)
    measure(silent, [0.0] * 2 + [None] * 12, now)
    measure(fresh, [0.0] * 20, now)
    measure(free, [0.0] * 20, now)
    (row,) = fleet(now).idle
    assert row.device == quiet and row.lease == lease
    assert 15 * 60 <= row.idle_seconds < 17 * 60


def test_held_hours_count_only_what_lies_in_the_window(cast: Cast, node: Node) -> None:
    now = timezone.now()
    device = node.devices.first()
    assert device
    hold(device, cast, since=now - timedelta(hours=30), hours=40)
    LeaseFactory(allocation=AllocationFactory(project=cast.project), booked_by=cast.owner, state="scheduled")
    assert held_seconds(now - timedelta(hours=24), now) == 24 * 3600


def test_the_chart_leaves_gaps_as_gaps(cast: Cast, node: Node) -> None:
    device = node.devices.first()
    assert device
    measure(device, [10.0, None, 30.0], timezone.now())
    chart = sign_in(cast.operator).get(reverse("reports:fleet-series"), {"range": "1h"}).json()
    assert chart["unit"] == "%" and [series["name"] for series in chart["series"]] == ["gpu-a"]
    values = [value for _at, value in chart["series"][0]["points"]]
    assert len(values) >= 60 and sorted(value for value in values if value is not None) == [10.0, 30.0]
    for metric, unit in (("memory", "MiB"), ("power", "W"), ("temperature", "°C"), ("nonsense", "%")):
        url = reverse("reports:device-series", args=[device.public_id])
        assert sign_in(cast.operator).get(url, {"metric": metric, "range": "x"}).json()["unit"] == unit


def test_a_partner_sees_the_chart_of_the_own_reservation_only_while_it_was_theirs(cast: Cast, node: Node) -> None:
    device = node.devices.first()
    assert device
    now = timezone.now()
    lease = hold(device, cast, since=now - timedelta(minutes=10))
    measure(device, [99.0] * 20 + [11.0] * 8, now)
    url = reverse("allocations:lease-series", args=[lease.public_id])
    chart = sign_in(cast.viewer).get(url).json()
    assert {value for _at, value in chart["series"][0]["points"]} <= {11.0, 99.0, None}
    assert sum(value == 99.0 for _at, value in chart["series"][0]["points"]) <= 3
    assert sign_in(cast.outsider).get(url).status_code == 404


def test_an_operator_drains_and_resumes_a_node_with_a_reason(cast: Cast, node: Node) -> None:
    drain, resume = (reverse(f"reports:node-{verb}", args=[node.public_id]) for verb in ("drain", "resume"))
    operator = sign_in(cast.operator)
    assert operator.post(drain, {"reason": ""}).status_code == 422
    assert sign_in(cast.officer).post(drain, {"reason": "curious"}).status_code == 422
    assert operator.post(drain, {"reason": "fan replacement"}).status_code == 302
    node.refresh_from_db()
    assert node.state == "draining"
    assert AuditEvent.objects.filter(target_id=node.public_id).exists()
    assert operator.post(drain, {"reason": "again"}).status_code == 422
    assert operator.post(resume, {"reason": "done"}).status_code == 302
    node.refresh_from_db()
    assert node.state == "ready"


def test_machine_pages_cost_the_same_with_one_row_and_with_fifty(cast: Cast) -> None:
    now = timezone.now()
    pool = PoolFactory()

    def grow(name: str) -> Node:
        node = make_node(pool, devices=1, name=name)
        device = node.devices.get()
        lease = hold(device, cast, since=now - timedelta(hours=1))
        sample(device, 40, now)
        measure(device, [0.0] * 15, now)
        Device.objects.filter(pk=device.pk).update(health="warn")
        NodeCommand.objects.create(node=node, verb="verify", lease_ref=lease.public_id, generation=1, deadline_at=now)
        return node

    node = grow("gpu-first")
    device = node.devices.get()
    client = sign_in(cast.operator)
    urls = [reverse(name) for name in URLS] + [
        node.get_absolute_url(),
        device.get_absolute_url(),
        reverse("home"),
        "/api/v1/fleet/",
    ]
    before = [queries_of(lambda url=url: client.get(url)) for url in urls]  # type: ignore[misc]
    for number in range(50):
        grow(f"gpu-{number}")
        NodeCommand.objects.create(node=node, verb="grant", lease_ref=f"l-{number}", generation=1, deadline_at=now)
        DeviceEvent.objects.create(node=node, device=device, kind="xid", detail={"xid": number}, at=now)
    after = [queries_of(lambda url=url: client.get(url)) for url in urls]  # type: ignore[misc]
    for url, few, many in zip(urls, before, after, strict=True):
        assert len(many) <= MOST_A_PAGE, f"{url}: {len(many)}\n" + "\n".join(many)
        assert abs(len(few) - len(many)) <= 1, f"{url}: {len(few)} -> {len(many)}"


def test_a_gpu_that_nobody_confirmed_is_not_free() -> None:
    node = make_node(PoolFactory(), devices=3)
    Device.objects.filter(pk=node.devices.order_by("index")[0].pk).update(awaiting_confirmation=True)
    now = timezone.now()
    for counts in (device_counts(now), fleet(now).counts):
        assert (counts.total, counts.free, counts.turning) == (3, 2, 1)


def test_a_device_shows_what_it_counted_at_its_last_two_checks(cast: Cast, node: Node) -> None:
    device, now = node.devices.all()[0], timezone.now()
    url = reverse("reports:device", args=[device.public_id])
    client = sign_in(cast.operator)
    assert device_sheet(device, now).counters is None and "PCIe" not in client.get(url).content.decode()
    readings = [{"remap_correctable": count, "pcie_replay": 7, "nvlink_replay": None} for count in (1, 3)]
    device.inspections.create(at=now - timedelta(days=7), passed=True, checks=[], reading=readings[0])
    at = now - timedelta(days=1)
    Handover.objects.create(
        lease_ref="L-1",
        device=device,
        moment="end",
        generation=1,
        passed=True,
        checks=[],
        reading=readings[1],
        taken_at=at,
    )
    device.inspections.create(at=now, passed=False, checks=[], reading=None)
    counters = device_sheet(device, now).counters
    assert counters is not None and counters.at == at
    assert counters.rows == [("remap_correctable", 3, 1), ("pcie_replay", 7, 7)]
    assert "<strong>3</strong>" in client.get(url).content.decode()
