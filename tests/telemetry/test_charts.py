"""Charts of devices and machines: from each table, with gaps, within spans, and what a node says of its machine."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from cluster.models import Device, DeviceEvent, Node
from telemetry import charts, reading, services
from telemetry.models import DeviceDay, DeviceHour, DeviceMinute, NodeHour, NodeMinute
from telemetry.services.hosts import keep_host
from telemetry.windows import Window, asked_of, window
from tests.factories import PoolFactory, make_node, make_sample

pytestmark = pytest.mark.django_db


@pytest.fixture
def node() -> Node:
    return make_node(PoolFactory(), devices=2)


def device_of(node: Node) -> Device:
    found = node.devices.order_by("index").first()
    assert found
    return found


def values(chart: charts.Chart, line: int = 0) -> list[float]:
    return [value for _at, value in chart["series"][line]["points"] if value is not None]


def shown(key: str, now: datetime) -> Window:
    return window(asked_of({"range": key}, now), now)


def test_every_source_gives_the_same_figures(node: Node) -> None:
    device, now = device_of(node), timezone.now()
    hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    make_sample(device, now - timedelta(minutes=5), 40, sm_active_permille=333)
    figures = {"device": device, "utilisation_percent": 60, "sm_active_percent": 20.0, "energy_j": 7200}
    DeviceMinute.objects.create(minute=hour, samples=6, **figures)
    DeviceHour.objects.create(hour=hour, samples=360, minutes=60, busy_minutes=30, **figures)
    day = (now - timedelta(days=2)).date()
    DeviceDay.objects.create(day=day, samples=9, minutes=60, busy_minutes=9, **figures)
    DeviceDay.objects.create(day=day, samples=9, minutes=20, busy_minutes=9, device=node.devices.last(), energy_j=3600)
    for key, expected in (("1h", 40), ("6h", 60), ("30d", 60), ("1y", 60)):
        chart = charts.device_chart(device, "utilisation", shown(key, now))
        assert values(chart) == [expected], key
        assert values(chart, 1) == [33.3 if key == "1h" else 20.0]
        if key != "1h":
            assert values(charts.device_chart(device, "energy", shown(key, now))) == [2.0]


def test_a_mean_of_hours_weighs_what_was_measured(node: Node) -> None:
    device, now = device_of(node), datetime(2026, 11, 20, 3, 30, tzinfo=UTC)
    for back, minutes, percent in ((3, 60, 100), (2, 20, 0)):
        hour = datetime(2026, 11, 20, 3, tzinfo=UTC) - timedelta(hours=back)
        DeviceHour.objects.create(
            device=device, hour=hour, samples=1, minutes=minutes, busy_minutes=0, utilisation_percent=percent
        )
    assert values(charts.device_chart(device, "utilisation", shown("90d", now))) == [75.0]
    spans = [reading.Span(7, device.pk, now - timedelta(days=1), now)]
    totals = reading.totals(spans, shown("30d", now))[7]
    assert (totals.minutes, totals.means["utilisation"], totals.means["power"]) == (80, 75.0, None)


def test_a_row_that_lies_partly_outside_of_a_span_is_not_told(node: Node) -> None:
    device, now = device_of(node), timezone.now().replace(second=0, microsecond=0)
    for minute in range(10):
        DeviceMinute.objects.create(
            device=device, minute=now - timedelta(minutes=100 - minute), samples=6, utilisation_percent=minute
        )
    since, until = now - timedelta(minutes=98, seconds=30), now - timedelta(minutes=93, seconds=30)
    span = reading.Span(0, device.pk, since, until)
    assert values(charts.devices_chart([("a", "n", span)], "utilisation", shown("6h", now))) == [2, 3, 4, 5]


def test_many_devices_are_a_line_a_node(node: Node) -> None:
    now = timezone.now()
    device, other = node.devices.order_by("index")
    for one, percent in ((device, 10), (other, 30)):
        make_sample(one, now - timedelta(minutes=3), percent)
    span = [reading.Span(0, one.pk, now - timedelta(hours=1), now) for one in (device, other)]
    named = [(f"gpu-{number}", "gpu-a", span[number % 2]) for number in range(charts.DEVICES_ON_A_CHART + 1)]
    chart = charts.devices_chart(named, "nonsense", shown("1h", now))
    assert [line["name"] for line in chart["series"]] == ["gpu-a"] and chart["notes"]
    assert values(chart)[0] in (pytest.approx(19.4), pytest.approx(20.6), 20.0)


def said(now: datetime, **figures: Any) -> dict[str, Any]:
    return {"at": now.timestamp(), "cpu_percent": 50.0, "memory_used_mib": 10, "memory_total_mib": 100} | figures


def test_a_machine_is_told_once_a_minute_and_kept_by_the_hour(node: Node) -> None:
    now = timezone.now().replace(second=31, microsecond=0)
    answer = services.ingest(node=node, boot_id="b", sequence=1, samples=[], host=said(now))
    assert answer.accepted == 0 and NodeMinute.objects.get().cpu_percent == 50
    assert not keep_host(node, said(now, cpu_percent=99), now)  # the same minute
    assert keep_host(node, said(now - timedelta(minutes=1), cpu_percent=0, disk_read_bytes=2**20), now)
    hours = list(NodeHour.objects.all())
    if len(hours) == 1:
        assert (hours[0].samples, hours[0].cpu_percent, hours[0].disk_read_bytes) == (2, 25, 2**20)
    chart = charts.host_chart(node, "cpu", shown("6h", now + timedelta(minutes=2)))
    assert sorted(values(chart)) == [0, 50]
    hidden = [(now - timedelta(minutes=3), now - timedelta(seconds=40))]
    assert values(charts.host_chart(node, "cpu", shown("6h", now + timedelta(minutes=2)), hidden=hidden)) == [50]


@pytest.mark.parametrize(
    "host",
    [None, [], "x", {}, {"at": True}, {"at": 1.0}, {"at": 1e30}, {"at": "now"}],
)
def test_a_statement_without_a_time_is_none(node: Node, host: Any) -> None:
    assert services.ingest(node=node, boot_id="b", sequence=1, samples=[], host=host).accepted == 0
    assert not NodeMinute.objects.exists()


def test_impossible_figures_of_a_machine_are_gaps(node: Node) -> None:
    now = timezone.now()
    wrong = {"cpu_percent": 300, "load": -1, "disk_read_bytes": 10**400, "memory_used_mib": 101, "disk_used_mib": "9"}
    assert keep_host(node, said(now, **wrong, network_sent_bytes=float("nan")), now)
    row = NodeMinute.objects.get()
    assert {row.cpu_percent, row.load, row.disk_read_bytes, row.memory_used_mib, row.network_sent_bytes} == {None}
    assert row.memory_total_mib == 100


def test_marks_of_one_step_are_one(node: Node) -> None:
    from cluster.marks import device_marks, gathered

    device, now = device_of(node), timezone.now()
    for _turn in range(3):
        DeviceEvent.objects.create(node=node, device=device, kind="xid", detail={"xid": 79}, at=now)
    DeviceEvent.objects.create(node=node, device=node.devices.last(), kind="xid", detail={"xid": 13}, at=now)
    DeviceEvent.objects.create(node=node, kind="new_boot", at=now - timedelta(minutes=2))
    marks = device_marks(device.pk, node.pk, now - timedelta(hours=1), now + timedelta(seconds=1))
    rows, left_out = gathered(marks, now - timedelta(hours=1), timedelta(minutes=1))
    assert [row["kind"] for row in rows] == ["other", "xid"] and left_out == 0
    assert "79" in rows[1]["label"] and rows[1]["label"].endswith("(×3)")
