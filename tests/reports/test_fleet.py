"""The fleet dashboard and the machine pages."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from allocations.models import Lease, UsageDay
from allocations.services.usage import deciding
from audit.models import AuditEvent
from cluster.models import Device, DeviceEvent, Handover, IllSpell, MaintenanceWindow, Node, NodeCommand
from cluster.services import devices, inventory
from common.moments import agency_day
from reports.selectors.fleet import device_counts, level_of
from reports.selectors.fleet_metrics import METRICS
from reports.selectors.fleet_parts import Part
from reports.selectors.fleet_rows import when
from reports.selectors.fleet_screen import Picture, picture
from reports.selectors.fleet_sql import Narrowed
from reports.selectors.machines import device_sheet
from reports.templatetags.fleet_words import heat_map
from telemetry import charts
from telemetry.models import DeviceMinute
from telemetry.services import rolling, rollup_sql
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


def now_of() -> Picture:
    return picture(None, Narrowed(), timezone.now())


def shares(found: Picture) -> dict[str, int]:
    return {share.part.value: share.gpus for share in found.shares if share.gpus}


URLS = ("reports:fleet", "reports:fleet-live", "reports:fleet-map", "reports:fleet-series", "reports:nodes")


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
    assert shares(now_of()) == {"free": 6, "ill": 2}, "what only warns can be lent"
    page = sign_in(cast.operator).get(reverse("reports:fleet")).content.decode()
    assert "XID 79" in page and "ecc_volatile" in page


def test_a_cell_shows_the_last_figure_and_a_stale_one_as_a_gap(node: Node) -> None:
    now = timezone.now()
    first, second, third = node.devices.order_by("index")[:3]
    sample(first, 96, now - timedelta(seconds=5))
    sample(second, 50, now - timedelta(minutes=5))
    sample(third, None, now)
    shown = [METRICS["utilisation"].shown(gpu) for gpu in now_of().gpus[:3]]
    assert shown == [("full", "96"), ("gap", "–"), ("gap", "–")]


def test_levels_meet_their_legend() -> None:
    assert [level_of(value) for value in (None, 0, 2, 3, 30, 31, 60, 61, 90, 91, 100)] == [
        "gap", "idle", "idle", "low", "low", "mid", "mid", "high", "high", "full", "full",
    ]  # fmt: skip


def test_every_gpu_is_one_of_seven_and_idle_means_quiet_for_ten_measured_minutes(cast: Cast, node: Node) -> None:
    now = timezone.now()
    quiet, busy, silent, dark, coming, free, warn, out = node.devices.order_by("index")
    for device in (quiet, busy, silent, dark):
        hold(device, cast, since=now - timedelta(hours=2))
    Lease.objects.filter(pk=hold(coming, cast, since=now - timedelta(minutes=1)).pk).update(
        state="preparing", active_at=None
    )
    for device in (quiet, busy, silent, free):
        sample(device, 0, now)
    measure(quiet, [80.0] * 5 + [1.0] * 15, now)
    measure(busy, [0.0] * 12 + [50.0] + [0.0] * 2, now)
    measure(silent, [0.0] * 2 + [None] * 12, now)
    measure(free, [0.0] * 20, now)
    Device.objects.filter(pk=warn.pk).update(awaiting_confirmation=True)
    Device.objects.filter(pk=out.pk).update(state="offline")
    found = now_of()
    assert {gpu.pk: gpu.part for gpu in found.gpus} == {
        quiet.pk: Part.IDLE,
        busy.pk: Part.USED,
        silent.pk: Part.USED,
        dark.pk: Part.UNMEASURED,
        coming.pk: Part.BOOKED,
        free.pk: Part.FREE,
        warn.pk: Part.MAINTENANCE,
        out.pk: Part.ILL,
    }
    assert found.total == 8 and sum(share.gpus for share in found.shares) == 8
    MaintenanceWindow.objects.create(
        node=node, starts_at=now - timedelta(hours=1), ends_at=now + timedelta(hours=1), announced_by="x", reason="fans"
    )
    assert shares(now_of()) == {"used": 2, "idle": 1, "unmeasured": 1, "maintenance": 3, "ill": 1}


def test_the_time_machine_shows_who_held_what_then(cast: Cast, node: Node) -> None:
    now = timezone.now()
    first, second = node.devices.order_by("index")[:2]
    lease = hold(first, cast, since=now - timedelta(hours=5), hours=2)
    Lease.objects.filter(pk=lease.pk).update(state="ended", drained_at=now - timedelta(hours=3))
    hold(second, cast, since=now - timedelta(hours=1))
    then = (now - timedelta(hours=4)).replace(second=0, microsecond=0)
    for device, percent in ((first, 70.0), (second, 0.0)):
        DeviceMinute.objects.create(device=device, minute=then, samples=6, utilisation_percent=percent)
    found = picture(then, Narrowed(), now)
    assert (found.when.source, found.when.at) == ("minutes", then)
    assert shares(found) == {"used": 1, "free": 1, "ill": 6}, "the others said nothing then"
    assert found.gpus[0].utilisation_percent == 70 and found.holding(found.gpus[0]).public_id == lease.public_id  # type: ignore[union-attr]
    client, url = sign_in(cast.operator), reverse("reports:fleet")
    page = client.get(url, {"at": timezone.localtime(then).strftime("%Y-%m-%dT%H:%M")}).content.decode()
    assert 'hx-trigger="every' not in page and lease.public_id in page
    answer = client.get("/api/v1/fleet/", {"at": then.isoformat()}).json()
    assert answer["resolution"] == "minutes" and answer["counts"]["used"] == 1


def test_the_past_tells_who_was_ill_then_and_what_is_well_again_is_well(cast: Cast, node: Node) -> None:
    now, (first, second, third) = timezone.now(), node.devices.order_by("index")[:3]
    for device in (first, second, third):
        measure(device, [0.0] * 300, now)
    devices.quarantine(actor=cast.operator, devices=[first.pk, second.pk], reason="XID 79")
    devices.clean(actor=cast.operator, devices=[second.pk], reason="a new board")
    inventory.take_health(node=node, reports=[{"uuid": third.uuid, "health": "warn", "reasons": ["hot"]}])
    inventory.take_health(node=node, reports=[{"uuid": third.uuid, "health": "warn", "reasons": ["hotter"]}])
    assert list(IllSpell.objects.order_by("device").values_list("state", "health")) == [
        ("quarantined", "ok"),
        ("quarantined", "ok"),
        ("", "warn"),
    ]
    IllSpell.objects.update(began_at=now - timedelta(hours=4))
    assert IllSpell.objects.exclude(ended_at=None).update(ended_at=now - timedelta(hours=2)) == 1
    found = {hours: picture(now - timedelta(hours=hours), Narrowed(), now) for hours in (1, 3, 5)}
    assert {hours: shares(each)["ill"] for hours, each in found.items()} == {1: 6, 3: 7, 5: 5}
    assert [gpu.name for gpu in found[3].ill_gpus] == [f"gpu-a/{place}" for place in range(3)]
    assert [gpu.name for gpu in found[1].ill_gpus] == ["gpu-a/0", "gpu-a/2"] and not found[5].ill_gpus
    at = timezone.localtime(now - timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M")
    page = sign_in(cast.operator).get(reverse("reports:fleet"), {"at": at, "metric": "health"}).content.decode()
    assert "GPUs that were ill" in page and page.count("cell-out") == 3


def test_the_past_has_no_gpu_that_joined_later(node: Node) -> None:
    now = timezone.now()
    first = node.devices.order_by("index")[0]
    measure(first, [0.0] * 150, now)
    Device.objects.filter(node=node).exclude(pk=first.pk).update(joined_at=now - timedelta(hours=1))
    before = picture(now - timedelta(hours=2), Narrowed(), now)
    assert shares(before) == {"free": 1} and [gpu.pk for gpu in before.gpus] == [first.pk]
    assert shares(picture(now - timedelta(minutes=30), Narrowed(), now)) == {"free": 1, "ill": 7}
    assert now_of().total == 8


def test_the_past_is_minutes_then_hours_and_no_older_than_what_is_kept(settings: Any) -> None:
    now = timezone.now()
    settings.TELEMETRY_KEEP_MINUTES_DAYS, settings.TELEMETRY_KEEP_HOURS_DAYS = 90, 1095
    assert [when(now - timedelta(days=days), now).source for days in (0, 1, 91)] == ["now", "minutes", "hours"]
    assert when(now + timedelta(days=9), now).at == now
    oldest = when(now - timedelta(days=4000), now)
    assert oldest.at == oldest.kept_since and oldest.at.minute == 0


def test_filters_narrow_bar_map_and_table_to_who_holds_what(cast: Cast, node: Node) -> None:
    now = timezone.now()
    first = node.devices.order_by("index")[0]
    lease = hold(first, cast, since=now - timedelta(hours=2))
    sample(first, 55, now)
    organisation = cast.project.organisation
    found = picture(None, Narrowed(organisation=organisation.public_id), now)
    assert [gpu.pk for gpu in found.gpus] == [first.pk] and found.total == 1
    client, url = sign_in(cast.operator), reverse("reports:fleet")
    for asked, count in (
        ({"pool": node.pool.public_id}, 8),
        ({"gpu_class": first.gpu_class.code}, 8),
        ({"organisation": organisation.public_id, "metric": "temperature"}, 1),
        ({"pool": node.pool.public_id, "part": "used", "metric": "health"}, 1),
    ):
        answer = client.get(url, asked | {"format": "csv"})
        assert answer["Content-Type"] == "text/csv" and len(answer.getvalue().decode().splitlines()) == count + 1, asked
        assert client.get(url, asked).status_code == 200
    assert lease.public_id in client.get(url, {"sort": "-utilisation"}).content.decode()
    assert client.get(url, {"pool": "nowhere"}).status_code == 422
    assert client.get("/api/v1/fleet/", {"pool": "nowhere"}).status_code == 400


def test_lists_are_sorted_by_what_was_asked(cast: Cast, node: Node) -> None:
    now = timezone.now()
    first, second = node.devices.order_by("index")[:2]
    make_sample(first, now, 10, temperature_c=80, power_watts=100.0)
    make_sample(second, now, 90, temperature_c=70, power_watts=600.0)
    for device, xids in ((first, 1), (second, 3)):
        for number in range(xids):
            DeviceEvent.objects.create(node=node, device=device, kind="xid", detail={"xid": 48 + number}, at=now)
    lease = hold(first, cast, since=now - timedelta(hours=2))
    UsageDay.objects.create(
        lease=lease, day=agency_day(now), held_seconds=7200, used_seconds=1800, idle_seconds=5400, samples=9
    )
    deciding.make_totals([lease.pk])
    client = sign_in(cast.operator)
    answer = client.get("/api/v1/fleet/").json()
    assert [row["device"] for row in answer["hottest"]] == [first.public_id, second.public_id]
    assert [(row["device"], row["total"]) for row in answer["most_errors"]] == [
        (second.public_id, 3),
        (first.public_id, 1),
    ]
    (idle,) = answer["most_idle"]
    assert (idle["lease"], idle["idle_seconds"], idle["idle_percent"]) == (lease.public_id, 5400, 75.0)
    assert (answer["held_seconds"], answer["used_seconds"]) == (7200, 1800)
    by_power = client.get("/api/v1/fleet/", {"hot_by": "power"}).json()["hottest"]
    assert [row["device"] for row in by_power] == [second.public_id, first.public_id]


def test_a_large_fleet_is_drawn_in_squares_with_figures_for_pointer_and_reader(cast: Cast, node: Node) -> None:
    device = node.devices.order_by("index")[0]
    hold(device, cast, since=timezone.now() - timedelta(hours=2))
    sample(device, 96, timezone.now())
    shown = heat_map(now_of().heat, METRICS["utilisation"], dense=True)
    assert 'aria-label="gpu-a: 96 – – – – – – – %"' in shown
    assert f'<i class="cell-full held" title="gpu-a/0: 96 % · {cast.project.organisation.name}"></i>' in shown


@pytest.mark.parametrize("dense", [True, False])
def test_no_name_of_a_machine_breaks_out_of_the_map(cast: Cast, node: Node, dense: bool) -> None:
    Node.objects.filter(pk=node.pk).update(name='"><script>')
    shown = heat_map(now_of().heat, METRICS["utilisation"], dense=dense)
    assert "<script>" not in shown and "&quot;&gt;&lt;script&gt;" in shown


def test_the_screen_refreshes_itself_until_it_is_paused(cast: Cast, node: Node) -> None:
    client = sign_in(cast.operator)
    for name in ("reports:fleet", "reports:fleet-live", "reports:fleet-map"):
        assert 'hx-trigger="every 10s"' in client.get(reverse(name), {"metric": "power"}).content.decode()
        assert 'hx-trigger="every' not in client.get(reverse(name), {"paused": "1"}).content.decode()
    wall = client.get(reverse("reports:fleet"), {"wall": "1"}).content.decode()
    assert "navbar" not in wall and "every 10s" in wall


def test_the_chart_leaves_gaps_as_gaps(cast: Cast, node: Node) -> None:
    device = node.devices.first()
    assert device
    measure(device, [10.0, None, 30.0], timezone.now())
    chart = sign_in(cast.operator).get(reverse("reports:fleet-series"), {"range": "1h"}).json()
    assert chart["unit"] == "%" and [series["name"] for series in chart["series"]] == ["gpu-a"]
    values = [value for _at, value in chart["series"][0]["points"]]
    assert len(values) >= 60 and sorted(value for value in values if value is not None) == [10.0, 30.0]
    page = sign_in(cast.operator).get(reverse("reports:fleet"), {"metric": "power"}).content.decode()
    assert "?metric=power&amp;range=6h" in page, "a range keeps what else was chosen"
    before = f"{timezone.localtime() - timedelta(hours=3):%Y-%m-%dT%H:%M}"
    past = sign_in(cast.operator).get(reverse("reports:fleet"), {"at": before}).content.decode()
    assert f'range=1h&amp;at={before.replace(":", "%3A")}"' in past, "the past's screen has the past's chart"
    asked = {"range": "1h", "at": before}
    assert not sign_in(cast.operator).get(reverse("reports:fleet-series"), asked).json()["series"]
    for metric, unit in (("memory", "MiB"), ("power", "W"), ("temperature", "°C"), ("nonsense", "%")):
        url = reverse("reports:device-series", args=[device.public_id])
        assert sign_in(cast.operator).get(url, {"metric": metric, "range": "x"}).json()["unit"] == unit


def test_the_chart_of_a_large_fleet_has_a_line_a_pool_weighed_by_its_gpus(monkeypatch: Any, node: Node) -> None:
    monkeypatch.setattr(charts, "NODES_ON_A_CHART", 0)
    now, (first, second) = timezone.now(), node.devices.order_by("index")[:2]
    measure(first, [90.0, 60.0], now)
    measure(second, [30.0, None], now)
    rolling._write(rollup_sql.POOL_MINUTES, since=now - timedelta(hours=1), until=now)
    (line,) = charts.fleet_series(charts.SPANS["1h"], now)["series"]
    assert line["name"] == "h100-a" and [value for _at, value in line["points"]][-2:] == [60.0, 60.0]


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
    counts = device_counts(now)
    assert (counts.total, counts.free, counts.turning) == (3, 2, 1)
    assert shares(now_of()) == {"free": 2, "maintenance": 1}


def test_a_device_shows_what_it_counted_at_its_last_two_checks(cast: Cast, node: Node) -> None:
    device, now = node.devices.all()[0], timezone.now()
    url = reverse("reports:device", args=[device.public_id])
    client = sign_in(cast.operator)
    assert device_sheet(device, now).counters is None and "PCIe" not in client.get(url).content.decode()
    readings = [
        {"remap_correctable": count, "pcie_replay": 7, "nvlink_replay": None, "nvlink_recovery": 0} for count in (1, 3)
    ]
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
    assert counters.rows == [("remap_correctable", 3, 1), ("nvlink_recovery", 0, 0), ("pcie_replay", 7, 7)]
    assert counters.told == [counters.rows[0], counters.rows[2]] and counters.zeros == ["nvlink_recovery"]
    assert "<strong>3</strong>" in client.get(url).content.decode()
