"""The page of a reservation's measurements: the GPUs side by side, the machine, the processes, and who sees them."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from allocations.measuring import compare
from allocations.models import Allocation, Lease
from cluster.models import DeviceEvent, Handover, NodeCommand
from telemetry.models import DeviceMinute, LatestSample, NodeMinute
from tests.allocations.test_api import client as api_of
from tests.allocations.test_views import running, sign_in
from tests.factories import AllocationFactory, Cast, LeaseFactory, PoolFactory, make_cast, make_node, make_sample
from tests.factories.allocations import PlacementFactory
from tests.queries import MOST_A_PAGE, queries_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def lease(cast: Cast) -> Lease:
    """Two GPUs of a node of eight, for an hour so far."""
    allocation: Allocation = AllocationFactory(project=cast.project, pool=PoolFactory())
    make_node(allocation.pool)
    return running(allocation, cast.owner)


def minutes(lease: Lease, place: int, percent: float, count: int = 20) -> None:
    now = timezone.now().replace(second=0, microsecond=0)
    device = lease.placements.order_by("device__index")[place].device
    DeviceMinute.objects.bulk_create(
        DeviceMinute(
            device=device, minute=now - timedelta(minutes=n), samples=6, utilisation_percent=percent, energy_j=60_000
        )
        for n in range(1, count + 1)
    )


@pytest.mark.parametrize(
    ("used", "verdict"),
    [((95.0, 0.5), "some"), ((0.0, 1.0), "idle"), ((90.0, 85.0), "even"), ((90.0, 12.0), "uneven")],
)
def test_the_comparison_says_who_took_part(lease: Lease, used: tuple[float, float], verdict: str) -> None:
    for place, percent in enumerate(used):
        minutes(lease, place, percent)
    found = compare(lease, {"range": "6h"}, timezone.now())
    assert (found.verdict, len(found.rows)) == (verdict, 2) and found.words
    assert found.rows[0].energy_kwh == pytest.approx(20 * 60_000 / 3_600_000)


def test_too_little_is_no_verdict(lease: Lease) -> None:
    minutes(lease, 0, 0.0, count=9)
    assert compare(lease, {}, timezone.now()).verdict == "too_little"


def url_of(lease: Lease, name: str) -> str:
    return reverse(f"allocations:{name}", args=[lease.public_id])


def test_marks_are_of_the_reservation_alone(cast: Cast, lease: Lease) -> None:
    now, device = timezone.now(), lease.placements.order_by("device__index")[0].device
    stranger = device.node.devices.order_by("index").last()
    for at, whose in ((now - timedelta(minutes=5), device), (now - timedelta(hours=2), device), (now, stranger)):
        DeviceEvent.objects.create(node=device.node, device=whose, kind="xid", detail={"xid": 31}, at=at)
    for ref in (lease.public_id, "lease-other"):
        Handover.objects.create(
            lease_ref=ref, device=device, moment="start", generation=1, passed=True, taken_at=now - timedelta(minutes=9)
        )
        NodeCommand.objects.create(
            node=device.node,
            verb="extend",
            lease_ref=ref,
            generation=9,
            deadline_at=now,
            finished_at=now - timedelta(minutes=3),
        )
    chart = sign_in(cast.viewer).get(url_of(lease, "lease-series"), {"metric": "power", "range": "6h"}).json()
    assert [event["kind"] for event in chart["events"]] == ["handover", "xid", "driver"]
    assert all("lease-other" not in event["label"] for event in chart["events"])
    assert chart["unit"] == "W" and len(chart["series"]) == 2
    api = api_of(cast.viewer).get(f"/api/v1/leases/{lease.public_id}/series/", {"metric": "power", "range": "6h"}).data
    assert [event["at"] for event in api["events"]] == [event["at"] for event in chart["events"]]


def test_values_come_as_a_csv_that_no_spreadsheet_runs(cast: Cast, lease: Lease) -> None:
    make_sample(lease.placements.get(device__index=0).device, timezone.now() - timedelta(minutes=2), 50)
    type(lease.placements.get(device__index=0).device.node).objects.update(name="=cmd")
    answer = sign_in(cast.owner).get(url_of(lease, "lease-series"), {"range": "6h", "format": "csv"})
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    assert answer["Content-Type"].startswith("text/csv") and "'=cmd/0" in text and ",50.0," in text


def host(lease: Lease, at: datetime, percent: float) -> None:
    node = lease.placements.order_by("device__index")[0].device.node
    NodeMinute.objects.create(node=node, minute=at.replace(second=0, microsecond=0), cpu_percent=percent)


def cpu(user: Any, lease: Lease, **query: str) -> list[float]:
    chart = sign_in(user).get(url_of(lease, "lease-host-series"), {"metric": "cpu", "range": "6h"} | query).json()
    return [value for _at, value in chart["series"][0]["points"] if value is not None]


def test_the_machine_is_told_only_while_nobody_else_was_on_it(cast: Cast, lease: Lease) -> None:
    now = timezone.now()
    node = lease.placements.order_by("device__index")[0].device.node
    for back, percent in ((200, 11.0), (40, 22.0), (10, 33.0)):
        host(lease, now - timedelta(minutes=back), percent)
    assert cpu(cast.owner, lease) == [22.0, 33.0]  # nothing of before the handover
    other = LeaseFactory(
        allocation=lease.allocation,
        starts_at=now - timedelta(minutes=45),
        ends_at=now - timedelta(minutes=20),
        active_at=now - timedelta(minutes=45),
        state="ended",
    )
    PlacementFactory(lease=other, device=node.devices.get(index=7), released=True)
    assert cpu(cast.owner, lease, node=node.name) == [33.0]
    assert cpu(cast.operator, lease) == [22.0, 33.0]
    assert sign_in(cast.owner).get(url_of(lease, "lease-host-series"), {"node": "another"}).status_code == 404


def test_processes_are_named_to_those_who_may_get_in_and_to_operators(cast: Cast, lease: Lease) -> None:
    device = lease.placements.order_by("device__index")[0].device
    make_sample(device, timezone.now(), 90)
    running_now = [{"pid": 4242, "name": "train-llm", "memory_mib": 70_000, "user": "l-abc"}]
    LatestSample.objects.filter(device=device).update(processes=running_now)
    url = f"/api/v1/leases/{lease.public_id}/processes/"
    for user in (cast.owner, cast.operator):
        assert "train-llm" in sign_in(user).get(url_of(lease, "lease-measured")).content.decode()
        assert [row["name"] for row in api_of(user).get(url).data] == ["train-llm"]
    for user in (cast.viewer, cast.officer, cast.auditor):
        assert "train-llm" not in sign_in(user).get(url_of(lease, "lease-measured")).content.decode()
        assert api_of(user).get(url).status_code == 403
    assert api_of(cast.outsider).get(url).status_code == 404
    Lease.objects.filter(pk=lease.pk).update(active_at=timezone.now() + timedelta(seconds=1))
    assert api_of(cast.owner).get(url).data == []  # it was measured before the handover


def test_the_page_costs_the_same_however_many_gpus(cast: Cast, lease: Lease) -> None:
    client, url = sign_in(cast.owner), url_of(lease, "lease-measured")
    few = len(queries_of(lambda: client.get(url)))
    node = lease.placements.order_by("device__index")[0].device.node
    for device in node.devices.filter(index__gte=2):
        PlacementFactory(lease=lease, device=device)
        make_sample(device, timezone.now(), 1)
    assert len(queries_of(lambda: client.get(url))) == few <= MOST_A_PAGE


def test_before_the_handover_there_is_nothing(cast: Cast, lease: Lease) -> None:
    Lease.objects.filter(pk=lease.pk).update(active_at=None, state="scheduled")
    client, api = sign_in(cast.owner), api_of(cast.owner)
    assert client.get(url_of(lease, "lease-measured")).status_code == 200
    assert client.get(url_of(lease, "lease-host-series")).json()["series"] == []
    assert api.get(f"/api/v1/leases/{lease.public_id}/comparison/").data["devices"] == []
