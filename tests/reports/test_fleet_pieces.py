"""A large fleet: the map in pieces, the table and the API in pages, the file as a whole."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from allocations.models import UsageDay
from allocations.services.usage import deciding
from cluster.models import Device, Node
from common.moments import agency_day
from common.tables import csv_blocks, csv_rows
from reports.fleet_table import columns
from reports.selectors import fleet_counts
from reports.selectors.fleet_counts import Asked
from reports.selectors.fleet_screen import picture
from reports.selectors.fleet_sql import Narrowed
from tests.factories import Cast, PoolFactory, make_cast, make_node, make_sample
from tests.reports.test_fleet import hold, sign_in

pytestmark = pytest.mark.django_db
URL, MAP = "/staff/", "/staff/map/"


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[Node]:
    """Five nodes of two GPUs in two pools; six are drawn at once, and pieces are of four."""
    monkeypatch.setattr(fleet_counts, "WHOLE_MAP", 6)
    monkeypatch.setattr(fleet_counts, "PIECE", 4)
    first, second = PoolFactory(name="a-pool"), PoolFactory(name="b-pool")
    pools = [first, first, first, second, second]
    return [make_node(pool, devices=2, name=f"gpu-{place}") for place, pool in enumerate(pools)]


def drawn(answer: Any) -> list[str]:
    """Names of the nodes whose GPUs are on the map."""
    text = answer.content.decode()
    return [f"gpu-{place}" for place in range(9) if f'title="gpu-{place}/0' in text]


def test_a_large_map_comes_in_pieces_that_are_links_without_script(cast: Cast, nodes: list[Node]) -> None:
    client = sign_in(cast.operator)
    page = client.get(URL, {"metric": "power"})
    assert drawn(page) == ["gpu-0", "gpu-1"] and page.context["picture"].total == 10
    bounds = [(piece.begins, piece.ends, piece.gpus, piece.shown) for piece in page.context["picture"].pieces]
    assert bounds == [("gpu-0", "gpu-1", 4, True), ("gpu-2", "gpu-3", 4, False), ("gpu-4", "gpu-4", 2, False)]
    second, third = nodes[2].public_id, nodes[4].public_id
    text = page.content.decode()
    assert f'href="{URL}?metric=power&amp;first={second}#map-{second}"' in text
    assert f'hx-get="{MAP}?metric=power&amp;first={second}&amp;before={third}" hx-trigger="intersect once"' in text
    assert f'hx-get="{MAP}?metric=power&amp;first=&amp;before={second}" hx-trigger="every 10s"' in text
    assert drawn(client.get(URL, {"first": second})) == ["gpu-2", "gpu-3"], "without script: by the link"
    assert drawn(client.get(URL, {"first": nodes[3].public_id})) == ["gpu-2", "gpu-3"], "any node of it"
    for nobody in ("nobody", "\x00", "' OR 1"):
        assert drawn(client.get(URL, {"first": nobody})) == ["gpu-0", "gpu-1"]
    later = (timezone.now() - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")
    for asked, names in (
        ({"first": second, "before": third}, ["gpu-2", "gpu-3"]),
        ({"first": "", "before": second}, ["gpu-0", "gpu-1"]),
        ({"first": third, "before": ""}, ["gpu-4"]),
        ({"first": "nobody", "before": ""}, []),
        ({"first": "\x00", "before": second}, []),
        ({"first": second, "before": third, "at": later}, ["gpu-2", "gpu-3"]),
        ({"first": second, "before": third, "pool": nodes[2].pool.public_id}, ["gpu-2"]),
    ):
        piece = client.get(MAP, asked)
        assert piece.status_code == 200 and drawn(piece) == names, asked
        assert ("every" in piece.content.decode()) == ("at" not in asked)
    assert "heat-waiting" not in client.get(URL, {"pool": nodes[0].pool.public_id}).content.decode(), "six: drawn whole"


def test_a_piece_says_who_holds_what_and_has_the_node_that_came_since(cast: Cast, nodes: list[Node]) -> None:
    hold(nodes[2].devices.order_by("index")[0], cast, since=timezone.now() - timedelta(hours=1))
    make_node(nodes[2].pool, devices=2, name="gpu-1a")
    client, asked = sign_in(cast.operator), {"first": nodes[0].public_id, "before": nodes[2].public_id}
    assert "gpu-1a/1" in client.get(MAP, asked).content.decode(), "pieces lie side by side"
    text = client.get(MAP, {"first": nodes[2].public_id, "before": nodes[4].public_id}).content.decode()
    assert text.count("cell-gap held") == 1 and f"gpu-2/0: – % · {cast.project.organisation.name}" in text


def test_the_table_comes_in_pages_sorted_and_the_file_says_the_same(cast: Cast, nodes: list[Node]) -> None:
    now = timezone.now()
    for place, device in enumerate(Device.objects.order_by("node__name", "index")[:7]):
        make_sample(device, now, 10 * place, power_watts=100.25 + place, temperature_c=40)
    hold(nodes[4].devices.order_by("index")[1], cast, since=now - timedelta(hours=1))
    sorts = ["", "gpu", "-gpu", "pool", "-pool", "part", "health", "utilisation", "-power", "temperature", "-holder"]
    for sort in [*sorts, "until", "nonsense"]:
        file = sign_in(cast.operator).get(URL, {"sort": sort, "format": "csv"}).getvalue().decode("utf-8-sig")
        found = [
            picture(None, Narrowed(), now, Asked(limit=4, offset=offset, sort=sort)) for offset in (0, 4, 8, 4_000_000)
        ]
        assert [gpu.pk for gpu in found[3].rows] == [gpu.pk for gpu in found[2].rows], "past the end: the last page"
        rows = [[column.value(gpu) for column in columns(each)] for each in found[:3] for gpu in each.rows]
        lines = list(csv.reader(io.StringIO(file)))
        assert lines[0] == [str(column.label) for column in columns()]
        assert lines[1:] == [["" if value is None else str(value) for value in row] for row in rows], sort
    (first, *_), power = rows_of(now, "-power"), rows_of(now, "power")
    assert first.power_watts == 106.25 and [gpu.power_watts for gpu in power[-3:]] == [None] * 3, "gaps last"
    assert rows_of(now, "-holder")[0].name == "gpu-4/1" and rows_of(now, "-gpu")[0].name == "gpu-4/1"
    assert [gpu.name for gpu in rows_of(now, "", part="unmeasured")] == ["gpu-4/1"]
    page = sign_in(cast.operator).get(URL, {"page": "99", "sort": "-power"})
    assert page.status_code == 200 and page.context["page_obj"].number == 1


def rows_of(now: Any, sort: str, part: str = "") -> list[Any]:
    return picture(None, Narrowed(), now, Asked(limit=25, sort=sort, part=part)).rows


def test_the_api_gives_devices_in_pages_and_counts_all(cast: Cast, nodes: list[Node]) -> None:
    client, names = sign_in(cast.operator), []
    url: str | None = "/api/v1/fleet/?page_size=4"
    while url:
        answer = client.get(url).json()
        assert answer["count"] == answer["counts"]["total"] == 10
        names += [row["name"] for row in answer["devices"]]
        url = answer["next"]
    assert names == [f"gpu-{node}/{index}" for node in range(5) for index in range(2)]
    assert client.get("/api/v1/fleet/?page_size=4&page=last").json()["devices"] == answer["devices"]
    assert "page=2" in answer["previous"] and client.get("/api/v1/fleet/?page=9").status_code == 404


def test_reservations_with_most_idle_hours_are_sorted_by_what_was_asked(cast: Cast, nodes: list[Node]) -> None:
    now = timezone.now()
    leases = [hold(node.devices.order_by("index")[0], cast, since=now - timedelta(hours=3)) for node in nodes[:3]]
    for lease, used, idle in zip(leases, (1000, 9000, 100), (3000, 4000, 0), strict=True):
        UsageDay.objects.create(
            lease=lease,
            day=agency_day(now),
            held_seconds=used + idle,
            used_seconds=used,
            idle_seconds=idle,
            samples=9,
        )
    deciding.make_totals(lease.pk for lease in leases)
    few, many, _none = (lease.public_id for lease in leases)
    for by, order in (("hours", [many, few]), ("share", [few, many]), ("held", [many, few]), ("x", [many, few])):
        answer = sign_in(cast.operator).get("/api/v1/fleet/", {"idle_by": by}).json()
        assert [row["lease"] for row in answer["most_idle"]] == order, by


def test_a_file_in_blocks_is_the_file_in_lines() -> None:
    rows = [[f"={number}", number, number / 3, None, '"ü,\n', timezone.now()] for number in range(7)]
    blocks = list(csv_blocks(["a", "-b"], rows, 3))
    assert len(blocks) == 4 and "".join(blocks) == "".join(csv_rows(["a", "-b"], rows))
    assert "'=6" in blocks[-1] and "'-b" in blocks[0]


def test_pieces_do_not_exist_for_partners(cast: Cast, nodes: list[Node]) -> None:
    asked = {"first": nodes[0].public_id, "before": nodes[2].public_id}
    assert sign_in(cast.owner).get(MAP, asked).status_code == 404 == sign_in(cast.outsider).get(MAP, asked).status_code
    assert Client().get(reverse("reports:fleet-map"), asked).status_code == 302
