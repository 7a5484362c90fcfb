"""An organisation sees what it holds, how long it lasts, and hints that rest on what was measured."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from allocations.models import Lease, UsageHour, UsageMark
from allocations.selectors.balances import balance, forecast, outlooks
from allocations.usage_classes import UsageClass
from telemetry import partitions
from telemetry.models import DeviceHour, NodeHour, NodeMinute
from tests.allocations.conftest import Stage
from tests.allocations.test_api import client as api_of
from tests.allocations.test_views import sign_in
from tests.allocations.usage.measuring import held
from tests.queries import MOST_A_PAGE, queries_of
from tests.usage.conftest import HOUR, hours_of
from usage.hint_rules import HINT_RULE
from usage.selectors.hints import Hint, hints

pytestmark = pytest.mark.django_db
LONG = 30 * HOUR


@pytest.fixture
def running(stage: Stage) -> Lease:
    """Eight GPUs of one node, handed over thirty hours ago."""
    now = timezone.now()
    stage.proved = False  # made past the ledger
    partitions.ensure(now, since=now - 2 * LONG)
    devices = stage.big.devices.order_by("pk")
    times = {"start": now - LONG, "end": now + LONG}
    return held(devices, **times, allocation=stage.allocation, booked_by=stage.cast.owner)


def measured(lease: Lease, hours: int, devices: Any = None, **figures: Any) -> None:
    first = lease.starts_at.replace(minute=0, second=0, microsecond=0) + HOUR
    keys = devices or lease.placements.values_list("device_id", flat=True)
    DeviceHour.objects.bulk_create(
        DeviceHour(device_id=key, hour=first + n * HOUR, samples=360, minutes=60, busy_minutes=0, **figures)
        for key in keys
        for n in range(hours)
    )


def machine(lease: Lease, hours: int, **figures: Any) -> None:
    first = lease.starts_at.replace(minute=0, second=0, microsecond=0) + HOUR
    node = lease.placements.first().node_id
    NodeHour.objects.bulk_create(
        NodeHour(node_id=node, hour=first + n * HOUR, samples=60, **figures) for n in range(hours)
    )


def said(lease: Lease) -> dict[str, Hint]:
    now = timezone.now()
    return {hint.kind: hint for hint in hints(Lease.objects.filter(pk=lease.pk), now - 2 * LONG, now).rows}


def test_one_gpu_of_eight(running: Lease) -> None:
    devices = [row.device_id for row in running.placements.order_by("device_id")]
    hours_of(running, running.starts_at, 20, "used", devices[:1])
    hours_of(running, running.starts_at, 20, "idle", devices[1:])
    found = said(running)
    assert set(found) == {"few"} and found["few"].seconds == 7 * 20 * 3600
    assert [(fact.value, fact.unit) for fact in found["few"].facts] == [(1, "GPU"), (8, "GPU")]


def test_waiting_for_data_is_told_from_idleness_by_the_machine(running: Lease) -> None:
    hours_of(running, running.starts_at, 10, "idle")
    measured(running, 10, utilisation_percent=1)
    assert set(said(running)) == {"idle"}
    machine(running, 6, cpu_percent=HINT_RULE.loading_cpu, disk_read_bytes=100_000_000)
    found = said(running)
    assert found["loading"].seconds == 8 * 6 * 3600 and found["idle"].seconds == 8 * 4 * 3600
    assert [(fact.value, fact.unit) for fact in found["loading"].facts] == [(1, "%"), (60, "%"), (100, "MB/s")]


def test_what_a_machine_did_is_not_told_of_hours_in_which_others_were_on_it(stage: Stage, running: Lease) -> None:
    hours_of(running, running.starts_at, 10, "idle")
    measured(running, 10, utilisation_percent=1)
    machine(running, 10, cpu_percent=95, disk_read_bytes=900_000_000)
    assert said(running)["loading"].seconds == 8 * 10 * 3600
    first = running.starts_at.replace(minute=0, second=0, microsecond=0) + HOUR
    running.placements.filter(device=stage.big.devices.last()).delete()
    times = {"start": first + 4 * HOUR, "end": running.ends_at}
    held([stage.big.devices.last()], **times, allocation=stage.allocation, booked_by=stage.cast.owner)
    assert said(running)["loading"].seconds == 8 * 4 * 3600, "of the six hours that were shared nothing is told"


def test_waiting_for_data_is_seen_by_the_minute(running: Lease) -> None:
    """Twenty minutes of an hour of which GPUs worked for the rest: in its means neither is to be seen."""
    first = running.starts_at.replace(minute=0, second=0, microsecond=0) + HOUR
    codes = UsageClass.USED.letter * 30 + UsageClass.IDLE.letter * 20 + UsageClass.PARKED.letter * 10
    seconds = {"used_seconds": 1800, "idle_seconds": 1200, "parked_seconds": 600}
    seconds |= dict.fromkeys(("hung_seconds", "no_data_seconds", "fault_seconds", "maintenance_seconds"), 0)
    UsageHour.objects.bulk_create(
        UsageHour(
            lease=running,
            device_id=key,
            hour=first + n * HOUR,
            codes=codes,
            held_seconds=3600,
            rule_version=1,
            **seconds,
        )
        for key in running.placements.values_list("device_id", flat=True)
        for n in range(10)
    )
    measured(running, 10, utilisation_percent=80, sm_active_percent=60, tensor_active_percent=40)
    machine(running, 10, cpu_percent=40)
    node = running.placements.first().node_id
    busy = {"node_id": node, "disk_read_bytes": 0}
    NodeMinute.objects.bulk_create(
        NodeMinute(minute=first + n * HOUR + timedelta(minutes=at), cpu_percent=90 if at >= 40 else 20, **busy)
        for n in range(10)
        for at in range(60)
    )
    found = said(running)
    assert found["loading"].seconds == 8 * 10 * (600 + 600)
    assert [(fact.value, fact.unit) for fact in found["loading"].facts] == [(90, "%"), (0, "MB/s")]
    assert found["idle"].seconds == 8 * 10 * 600 and "parked" not in found


def test_a_gap_makes_no_hint_and_neither_does_a_little(running: Lease) -> None:
    hours_of(running, running.starts_at, 20, "no_data")
    assert said(running) == {}
    devices = [row.device_id for row in running.placements.order_by("device_id")]
    hours_of(running, running.starts_at + 20 * HOUR, 1, "idle", devices[:1])
    assert said(running) == {}  # an hour is less than two


@pytest.mark.parametrize("kind", ["hung", "parked"])
def test_hung_and_parked_come_from_the_evidence(running: Lease, kind: str) -> None:
    hours_of(running, running.starts_at, 3, kind)
    found = said(running)[kind]
    assert found.seconds == 3 * 8 * 3600 and found.facts[0].value == 24
    assert found.threshold and str(found.mend)


@pytest.mark.parametrize(
    ("figures", "kinds"),
    [
        ({"utilisation_percent": 99, "sm_active_percent": 12, "tensor_active_percent": 5}, {"waiting"}),
        ({"utilisation_percent": 80, "sm_active_percent": 60, "tensor_active_percent": 0.2}, {"plain"}),
        ({"utilisation_percent": 80, "sm_active_percent": 60, "tensor_active_percent": None}, set()),
        ({"utilisation_percent": 95, "sm_active_percent": 70, "tensor_active_percent": 40}, set()),
    ],
)
def test_busy_is_not_yet_computing(running: Lease, figures: dict[str, Any], kinds: set[str]) -> None:
    hours_of(running, running.starts_at, 5, "used")
    measured(running, 5, **figures)
    assert set(said(running)) == kinds


def test_page_api_and_file_say_the_same_in_a_fixed_number_of_queries(stage: Stage, running: Lease) -> None:
    hours_of(running, running.starts_at, 5, "parked")
    organisation = stage.cast.organisation.public_id
    address = reverse("usage:figures-of", args=[organisation])
    client = sign_in(stage.cast.owner)
    assert client.get(reverse("usage:figures")).headers["Location"] == address
    page = client.get(address)
    assert page.status_code == 200 and b"data-chart-json" in page.content
    figures = page.context["figures"]
    assert figures.total.parked_seconds == 8 * 5 * 3600 == figures.people[0].sums.held_seconds
    answer = api_of(stage.cast.owner).get(f"/api/v1/organisations/{organisation}/figures/").json()
    assert answer["total"]["parked_seconds"] == figures.total.parked_seconds and answer["total"]["idle_share"] == 1
    assert answer["hints"]["rows"][0]["kind"] == "parked" and answer["allocations"][0]["left_seconds"] > 0
    assert answer["people"][0]["name"] == str(stage.cast.owner)
    file = b"".join(client.get(f"{address}?format=csv").streaming_content).decode()
    assert running.allocation.project.title in file
    asked = queries_of(lambda: client.get(address))
    assert len(asked) <= 15, "\n".join(str(each)[:150] for each in asked)
    assert client.get(f"{address}?since=2026-02-30").status_code == 200
    assert api_of(stage.cast.owner).get(f"/api/v1/organisations/{organisation}/figures/?since=x").status_code == 400
    assert sign_in(stage.cast.outsider).get(address).status_code == 404


def test_many_outlooks_are_what_each_one_says(stage: Stage) -> None:
    stage.book(count=4, hours=100)
    later = stage.now + timedelta(hours=1)
    found = outlooks([stage.allocation], later)[stage.allocation.pk]
    alone = balance(stage.allocation)
    assert found == (alone, forecast(stage.allocation, alone.left, later)) and found[1].pace_seconds_a_day > 0


def test_the_page_of_a_project_says_what_it_holds_and_what_was_made_of_it(stage: Stage, running: Lease) -> None:
    until = hours_of(running, running.starts_at, 5, kind="used", devices=[running.placements.first().device_id])
    UsageMark.objects.update_or_create(name="decided", defaults={"done_until": until})
    project = stage.allocation.project
    said = api_of(stage.cast.owner).get(f"/api/v1/projects/{project.public_id}/use/").data
    assert (said["total"]["held_seconds"], said["total"]["used_seconds"]) == (5 * 3600, 5 * 3600)
    assert said["allocations"][0]["left_seconds"] == balance(stage.allocation).left
    client = sign_in(stage.cast.viewer)
    page = client.get(project.get_absolute_url()).content.decode()
    assert 'data-figure="held">5.00' in page and stage.allocation.get_absolute_url() in page
    asked = queries_of(lambda: client.get(project.get_absolute_url()))
    assert len(asked) <= MOST_A_PAGE, "\n".join(str(each)[:150] for each in asked)
    assert api_of(stage.cast.outsider).get(f"/api/v1/projects/{project.public_id}/use/").status_code == 404
