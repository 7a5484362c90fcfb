"""The charts of nodes and devices on the machines' pages and in the API; whose business processes are."""

import pytest
from django.urls import reverse
from django.utils import timezone

from cluster.models import Node
from telemetry.models import LatestSample
from tests.allocations.test_api import client as api_of
from tests.allocations.test_views import sign_in
from tests.factories import Cast, PoolFactory, make_cast, make_node, make_sample

pytestmark = pytest.mark.django_db


@pytest.fixture
def node() -> Node:
    return make_node(PoolFactory(), devices=2, name="gpu-a")


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def test_page_and_api_draw_the_same_chart(cast: Cast, node: Node) -> None:
    device = node.devices.order_by("index")[0]
    make_sample(device, timezone.now(), 77, power_watts=600)
    for page, api in (
        (reverse("reports:device-series", args=[device.public_id]), f"/api/v1/devices/{device.public_id}/series/"),
        (reverse("reports:node-series", args=[node.public_id]), f"/api/v1/nodes/{node.public_id}/series/"),
        (reverse("reports:node-host-series", args=[node.public_id]), f"/api/v1/nodes/{node.public_id}/host-series/"),
    ):
        assert sign_in(cast.owner).get(page).status_code == 404 == api_of(cast.owner).get(api).status_code
        drawn, told = sign_in(cast.officer).get(page).json(), api_of(cast.officer).get(api).data
        assert [line["points"] for line in drawn["series"]] == [
            [list(point) for point in line["points"]] for line in told["series"]
        ]
        assert drawn["unit"] == told["unit"] == "%"
    zoomed = {"metric": "power", "from": "2026-11-01T00:00", "range": "24h"}
    page = sign_in(cast.officer).get(node.get_absolute_url(), zoomed).content.decode()
    assert "from=2026-11-01T00%3A00" in page and "metric=power" in page
    ranges = page.split("data-chart-ranges", 1)[1].split("</nav>")[0]
    assert 'data-range="24h"' in ranges and "aria-current" not in ranges, "a stretch of one's own is none of the ranges"


def test_processes_of_a_device_are_the_operators_business(cast: Cast, node: Node) -> None:
    device = node.devices.order_by("index")[0]
    make_sample(device, timezone.now(), 77)
    LatestSample.objects.update(processes=[{"pid": 1, "name": "python-secret", "memory_mib": 1, "user": "u"}])
    api = f"/api/v1/devices/{device.public_id}/processes/"
    for url in (node.get_absolute_url(), device.get_absolute_url()):
        assert "python-secret" in sign_in(cast.operator).get(url).content.decode()
        assert "python-secret" not in sign_in(cast.officer).get(url).content.decode()
    assert api_of(cast.operator).get(api).data[0]["name"] == "python-secret"
    assert api_of(cast.officer).get(api).status_code == 403
