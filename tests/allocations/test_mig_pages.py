"""MIG instances on the pages and in the API: asked for, shown apart from GPUs, and cut by operators."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from allocations.models import Lease
from allocations.selectors.occupancy import by_node, occupancy
from cluster.models import Device, NodeCommand
from reports.selectors.fleet import device_counts
from reports.selectors.fleet_screen import picture
from reports.selectors.fleet_sql import Narrowed
from reports.selectors.health import pools
from reports.selectors.machines import nodes_with_counts
from tests.allocations.conftest import Stage
from tests.allocations.test_api import client as api_of
from tests.allocations.test_reconcile import started
from tests.allocations.test_views import sign_in
from tests.factories import cut, make_sample
from tests.html import Reading

SMALL, HALF = "1g.10gb", "3g.40gb"


@pytest.fixture
def parts(stage: Stage) -> list[Device]:
    return cut(stage.big.devices.get(index=0), HALF, *[SMALL] * 3)


def fields(answer: Any) -> set[str]:
    return {each.name for form in Reading(answer.content.decode()).forms for each in form.inputs}


def test_the_form_asks_what_only_where_there_is_a_choice(stage: Stage) -> None:
    client, address = sign_in(stage.cast.owner), reverse("allocations:book", args=[stage.allocation.public_id])
    assert "profile" not in fields(client.get(address))
    cut(stage.big.devices.get(index=0), HALF)
    assert "profile" in fields(client.get(address))
    assert "profile" in fields(client.get(reverse("allocations:find")))


def test_instances_are_booked_and_changed_by_form(stage: Stage, parts: list[Device]) -> None:
    client, address = sign_in(stage.cast.owner), reverse("allocations:book", args=[stage.allocation.public_id])
    asked = {"profile": SMALL, "device_count": "2", "length": "3600", "shape": "any"}
    shown = client.get(address, asked).content.decode()
    assert "MIG" in shown and SMALL in shown and 'data-check="free"' in shown
    taken = client.get(address, asked | {"device_count": "4"})
    assert 'data-check="taken"' in taken.content.decode()
    answer = client.post(address, asked)
    lease = Lease.objects.get()
    assert answer.status_code == 302 and (lease.profile, lease.device_count) == (SMALL, 2)
    assert f"2 × {SMALL}" in client.get(lease.get_absolute_url()).content.decode()
    refused = client.post(address, asked | {"shape": "nvlink"})
    assert refused.status_code == 422 and Reading(refused.content.decode()).errors
    later = stage.book(1, profile=SMALL, start=30)
    change = reverse("allocations:lease-change", args=[later.public_id])
    window = {
        "starts_at": timezone.localtime(later.starts_at + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M"),
        "ends_at": timezone.localtime(later.ends_at + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M"),
    }
    assert client.post(change, window | {"device_count": "1", "shape": "any", "profile": HALF}).status_code == 302
    later.refresh_from_db()
    assert later.profile == HALF


def test_instances_are_booked_through_the_api(stage: Stage, parts: list[Device]) -> None:
    client, start = api_of(stage.cast.owner), stage.now + timedelta(hours=1)
    window = {"starts_at": start.isoformat(), "ends_at": (start + timedelta(hours=2)).isoformat()}
    asked = {"allocation": stage.allocation.public_id, "device_count": 1, "profile": HALF, **window}
    made = client.post("/api/v1/leases/", asked, format="json")
    assert made.status_code == 201 and made.data["profile"] == HALF
    refused = client.post("/api/v1/leases/", asked | {"profile": "9g.90gb"}, format="json")
    assert refused.status_code == 422 and refused.json()["code"] == "profile"
    path = f"/api/v1/leases/{made.data['id']}/"
    changed = client.post(path + "change/", {"device_count": 1, **window}, format="json")
    assert changed.status_code == 200 and changed.data["profile"] == HALF, "what is not said stays"
    (row,) = client.get(path + "devices/").data
    assert row["profile"] == HALF and row["uuid"].startswith("MIG-")
    query = {"pool": stage.pool.name, "from": window["starts_at"], "until": window["ends_at"]}
    told = client.get("/api/v1/availability/", query | {"profile": SMALL, "gpus": 3}).data
    assert (told["devices"], told["free"], told["profiles"]) == (3, 3, [SMALL, HALF])
    whole = client.get("/api/v1/availability/", query).data
    assert (whole["devices"], whole["bookable"], whole["free"]) == (12, 11, 11)
    slots = client.get(
        "/api/v1/availability/slots/",
        {**query, "until": (start + timedelta(days=1)).isoformat(), "profile": HALF, "duration_seconds": 3600},
    ).data
    assert slots[0]["profile"] == HALF and slots[0]["hold_device_seconds"] == 1800


def test_the_calendar_draws_instances_and_counts_no_gpu_twice(stage: Stage, parts: list[Device]) -> None:
    lease = stage.book(2, profile=SMALL)
    span = (lease.starts_at, lease.ends_at)
    rows = occupancy(stage.pool, *span, stage.cast.owner)
    assert len(rows) == 11 + 4 and sum(row.parts for row in rows) == 4
    assert rows[0].name == f"{stage.big.name}/0:0 {HALF}" and not rows[0].stretches
    assert [len(row.stretches) for row in rows[1:4]] == [1, 1, 0]
    found = {row.name: row for row in by_node(rows, *span)}
    assert {name: row.devices for name, row in found.items()} == {
        stage.big.name: 7,
        f"{stage.big.name} MIG": 4,
        stage.small.name: 4,
    }
    (stretch,) = found[f"{stage.big.name} MIG"].stretches
    assert (stretch.taken, stretch.lease) == (2, lease.public_id)
    page = sign_in(stage.cast.owner).get(reverse("allocations:calendar"), {"pool": stage.pool.public_id})
    assert f"0:0 {HALF}" in page.content.decode()


def test_figures_count_gpus_and_instances_apart(stage: Stage, parts: list[Device]) -> None:
    Device.objects.filter(pk=parts[1].pk).update(state="in_use")
    Device.objects.filter(pk=parts[2].pk).update(state="quarantined")
    now = timezone.now()
    counts = device_counts(now)
    assert (counts.total, counts.free, counts.cut, counts.in_use, counts.ill) == (12, 11, 1, 0, 0)
    assert (counts.instances, counts.instances_in_use) == (4, 1)
    found = picture(None, Narrowed(), now)
    shares = {share.part.value: share.gpus for share in found.shares if share.gpus}
    assert shares == {"booked": 1, "free": 11}, "a GPU that is cut up counts once, by the busiest of its instances"
    assert [gpu.pk for gpu in found.ill_gpus] == [parts[2].pk], "ill by itself: named"
    node = nodes_with_counts().get(pk=stage.big.pk)
    assert (node.device_total, node.device_in_use, node.device_ill) == (8, 0, 0)
    pool: Any = pools().get(pk=stage.pool.pk)
    assert (pool.device_total, pool.device_free) == (12, 11)
    Device.objects.filter(parent=parts[0].parent).update(health="fail")
    Device.objects.filter(pk=parts[0].parent_id).update(health="fail")
    ill = picture(None, Narrowed(), now).ill_gpus
    assert [gpu.pk for gpu in ill] == [parts[0].parent_id], "as ill as its GPU: not named beside it"


def test_a_partner_sees_the_samples_of_his_own_instance(stage: Stage, parts: list[Device]) -> None:
    lease = started(stage, count=1, profile=SMALL, devices=[parts[1]])
    Lease.objects.filter(pk=lease.pk).update(
        starts_at=timezone.now() - timedelta(minutes=2), active_at=timezone.now() - timedelta(minutes=1)
    )
    for device, percent in ((parts[1], 70), (parts[2], 20), (parts[1].parent, 90)):
        at = timezone.now() - timedelta(seconds=5)
        assert device is not None
        make_sample(device, at, percent, memory_used_mib=10)
    (row,) = api_of(stage.cast.owner).get(f"/api/v1/leases/{lease.public_id}/devices/").data
    assert row["sample"]["utilisation_percent"] == 70
    stage.proved = False


def test_operators_cut_a_gpu_by_form_and_by_api(stage: Stage) -> None:
    device = stage.big.devices.get(index=0)
    client, address = sign_in(stage.cast.operator), reverse("reports:device-partition", args=[device.public_id])
    assert address in client.get(device.get_absolute_url()).content.decode()
    for wrong in ("2g.20gb and more", f"8 x {SMALL}", "9g.90gb"):
        answer = client.post(address, {"instances": wrong, "reason": "small jobs"})
        assert answer.status_code == 422 and wrong in answer.content.decode(), wrong
    lease = stage.book(1, devices=[device])
    answer = client.post(address, {"instances": f"{HALF}, 2 x {SMALL}", "reason": "small jobs"})
    assert answer.status_code == 422 and lease.public_id in answer.content.decode()
    plan = {f"plan-{lease.public_id}": "move", "force": "on"}
    answer = client.post(address, {"instances": f"{HALF}, 2 x {SMALL}", "reason": "small jobs", **plan})
    assert answer.status_code == 302
    command = NodeCommand.objects.get(verb="partition")
    assert command.payload["layout"] == [[HALF, 0], [SMALL, 4], [SMALL, 5]]
    other = stage.big.devices.get(index=5)
    path = f"/api/v1/devices/{other.public_id}/partition/"
    said = api_of(stage.cast.operator).post(path, {"instances": [HALF, HALF], "reason": "two halves"}, format="json")
    assert said.status_code == 200 and said.data["layout"] == [[HALF, 0], [HALF, 4]] and said.data["set_aside"]
    again = api_of(stage.cast.operator).post(path, {"instances": [], "reason": "not after all"}, format="json")
    assert again.status_code == 409 and again.json()["code"] == "layout_pending"
    assert api_of(stage.cast.officer).post(path, {"instances": [], "reason": "x"}, format="json").status_code == 403


def test_the_pages_of_a_gpu_and_an_instance_know_each_other(stage: Stage, parts: list[Device]) -> None:
    client, board = sign_in(stage.cast.operator), parts[0].parent
    assert board is not None
    shown = client.get(board.get_absolute_url()).content.decode()
    assert all(each.get_absolute_url() in shown for each in parts)
    shown = client.get(parts[0].get_absolute_url()).content.decode()
    assert board.get_absolute_url() in shown and HALF in shown
    assert client.get(stage.big.get_absolute_url()).status_code == 200
    data = api_of(stage.cast.operator).get(f"/api/v1/devices/{parts[0].public_id}/").data
    assert (data["part_of"], data["profile"], data["slices"]) == (board.public_id, HALF, [0, 4])
