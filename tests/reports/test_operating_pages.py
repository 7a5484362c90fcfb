"""The operators' verbs as pages and through the API: the same services, buttons where the state allows them."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from allocations.models import Lease
from allocations.services import booking
from cluster.models import Device, DeviceEvent, JoinToken, MaintenanceWindow, Node
from cluster.services import enrolment
from tests.cluster.site import Speaker
from tests.factories import AllocationFactory, Cast, PoolFactory, make_cast, make_node
from tests.html import Reading

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def node() -> Node:
    return make_node(PoolFactory(name="h100-a"), 2, name="gpu-a")


def sign_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def booked(cast: Cast, node: Node, count: int = 1) -> Lease:
    """A lease on the first devices of the node, tomorrow."""
    start = timezone.now() + timedelta(days=1)
    return booking.book(
        actor=cast.owner,
        allocation=AllocationFactory(project=cast.project, pool=node.pool),
        device_count=count,
        starts_at=start,
        ends_at=start + timedelta(hours=2),
        devices=list(node.devices.order_by("index")[:count]),
    )


def page(name: str, row: Any) -> str:
    return reverse(f"reports:{name}", args=[row.public_id])


def state_of(row: Any) -> str:
    row.refresh_from_db()
    return str(row.state)


def test_buttons_stand_only_where_the_state_allows_and_for_operators(cast: Cast, node: Node) -> None:
    device = node.devices.first()
    shown = sign_in(cast.operator).get(node.get_absolute_url()).content.decode()
    assert page("node-drain", node) in shown and page("node-window", node) in shown
    assert page("node-resume", node) not in shown and page("node-retire", node) not in shown
    shown = sign_in(cast.operator).get(device.get_absolute_url()).content.decode()
    assert page("device-quarantine", device) in shown and page("device-send-back", device) not in shown
    for row in (node, device):
        shown = sign_in(cast.auditor).get(row.get_absolute_url()).content.decode()
        assert page("node-drain", node) not in shown and page("device-quarantine", device) not in shown


def test_a_page_asks_what_becomes_of_each_reservation(cast: Cast, node: Node) -> None:
    lease = booked(cast, node)
    device = node.devices.order_by("index").first()
    client, address = sign_in(cast.operator), page("device-quarantine", device)
    form = Reading(client.get(address).content.decode()).forms[0]
    field = f"plan-{lease.public_id}"
    assert {"reason", field, "force"} <= {entry.name for entry in form.inputs}
    answer = client.post(address, {"reason": "smells", field: "move"})
    assert answer.status_code == 422 and lease.public_id in Reading(answer.content.decode()).errors[0]
    assert state_of(device) == "available"
    assert client.post(address, {"reason": "smells", field: "move", "force": "on"}).status_code == 302
    assert state_of(device) == "quarantined"
    assert lease.placements.get(released=False).device != device


def test_a_drain_names_the_booked_ones_and_leaves_them(cast: Cast, node: Node) -> None:
    lease = booked(cast, node)
    client, address = sign_in(cast.operator), page("node-drain", node)
    assert lease.public_id in client.get(address).content.decode()
    assert client.post(address, {"reason": "fans", f"plan-{lease.public_id}": ""}).status_code == 302
    assert (state_of(node), state_of(lease)) == ("draining", "scheduled")


def test_a_node_through_maintenance_to_the_scrap_yard(cast: Cast, node: Node) -> None:
    client = sign_in(cast.operator)
    for name, after in (
        ("node-drain", "draining"),
        ("node-maintain", "maintenance"),
        ("node-resume", "fenced"),
    ):
        assert client.post(page(name, node), {"reason": "fans"}).status_code == 302, name
        assert state_of(node) == after
    Node.objects.filter(pk=node.pk).update(state="draining")
    assert client.post(page("node-retire", node), {"reason": "sold"}).status_code == 302
    assert state_of(node) == "retired"
    assert client.post(page("node-join-token", node)).status_code == 422


def test_a_window_is_announced_over_a_reservation_only_with_a_plan_and_cancelled(cast: Cast, node: Node) -> None:
    lease = booked(cast, node)
    client, address = sign_in(cast.operator), page("node-window", node)
    said = {
        "starts_at": timezone.localtime(lease.starts_at).strftime("%Y-%m-%dT%H:%M"),
        "ends_at": timezone.localtime(lease.ends_at + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M"),
        "reason": "fans",
    }
    answer = client.post(address, said)
    assert answer.status_code == 422
    field = f"plan-{lease.public_id}"
    assert field in {entry.name for entry in Reading(answer.content.decode()).forms[0].inputs}
    assert client.post(address, {**said, field: "end", "force": "on"}).status_code == 302
    assert state_of(lease) == "cancelled"
    window = MaintenanceWindow.objects.get()
    assert page("window-cancel", window) in client.get(node.get_absolute_url()).content.decode()
    assert client.post(page("window-cancel", window), {"reason": "done"}).status_code == 302
    assert client.post(page("window-cancel", window), {"reason": "done"}).status_code == 422
    assert client.post(address, {**said, "ends_at": said["starts_at"]}).status_code == 422


def test_a_device_to_the_vendor_and_out(cast: Cast, node: Node) -> None:
    device = node.devices.first()
    client = sign_in(cast.operator)
    for name, said, after in (
        ("device-quarantine", {}, "quarantined"),
        ("device-send-back", {"ticket": "R-77"}, "rma"),
        ("device-return", {}, "cleaning"),
        ("device-quarantine", {}, "quarantined"),
        ("device-retire", {}, "retired"),
    ):
        assert client.post(page(name, device), {"reason": "XID 79", **said}).status_code == 302, name
        assert state_of(device) == after
    assert "R-77" in client.get(device.get_absolute_url()).content.decode()


def test_enrolling_shows_the_token_once_and_the_inventory_is_confirmed(cast: Cast) -> None:
    pool, client = PoolFactory(), sign_in(cast.operator)
    said = {"name": "gpu-07", "pool": pool.public_id, "expected_devices": "3"}
    answer = client.post(reverse("reports:node-new"), said)
    assert answer.status_code == 200 and "no-store" in answer["Cache-Control"]
    node = Node.objects.get(name="gpu-07")
    row = JoinToken.objects.get()
    token = next(
        word
        for word in answer.content.decode().replace("<", ">").split(">")
        if enrolment.hash_token(word) == row.token_hash
    )
    assert token not in client.get(node.get_absolute_url()).content.decode()
    assert client.post(reverse("reports:node-new"), said).status_code == 422
    _node, permanent = enrolment.join(token=token)
    speaker = Speaker(node, permanent)
    speaker.hello()
    confirm = page("node-confirm", node)
    assert confirm in client.get(node.get_absolute_url()).content.decode()
    shown = client.get(confirm).content.decode()
    assert all(uuid in shown for uuid in speaker.uuids)
    assert client.post(confirm, {"uuids": speaker.uuids}).status_code == 422, "three were expected"
    answer = client.post(confirm, {"uuids": speaker.uuids, "accept_difference": "on"})
    assert answer.status_code == 302 and state_of(node) == "ready"
    assert confirm not in client.get(node.get_absolute_url()).content.decode()
    answer = client.post(page("node-rotate-token", node), {"reason": "leaked"})
    assert answer.status_code == 200
    assert speaker.post("hello/", speaker.hello_body()).status_code == 401


@pytest.mark.parametrize("name", ["officer", "auditor"])
def test_staff_who_run_no_nodes_are_refused(cast: Cast, node: Node, name: str) -> None:
    client = sign_in(getattr(cast, name))
    for verb in ("node-drain", "node-rotate-token", "node-join-token"):
        assert client.post(page(verb, node), {"reason": "curious"}).status_code == 422
    assert client.post(page("device-quarantine", node.devices.first()), {"reason": "x"}).status_code == 422
    said = {"name": "gpu-07", "pool": node.pool.public_id}
    assert client.post(reverse("reports:node-new"), said).status_code == 422
    assert state_of(node) == "ready" and not JoinToken.objects.exists()


@pytest.mark.parametrize(("language", "words"), [("en", "fallen off the bus"), ("ko", "버스에서 이탈했습니다")])
def test_events_are_said_in_words(cast: Cast, node: Node, language: str, words: str) -> None:
    cast.operator.language = language
    cast.operator.save()
    DeviceEvent.objects.create(
        node=node, device=node.devices.first(), kind="xid", detail={"xid": 79}, at=timezone.now()
    )
    DeviceEvent.objects.create(node=node, kind="something_new", detail={}, at=timezone.now())
    one, two = node.devices.order_by("index").values_list("uuid", flat=True)[:2]
    Node.objects.filter(pk=node.pk).update(agent_health={"memory_mib": 41}, topology={one: {two: "PIX"}})
    shown = sign_in(cast.operator).get(node.get_absolute_url()).content.decode()
    assert words in shown and "something_new" in shown and "PIX" not in shown
    Node.objects.filter(pk=node.pk).update(topology={one: {two: "PIX"}, two: {one: "PIX"}})
    shown = sign_in(cast.operator).get(node.get_absolute_url()).content.decode()
    assert "<td>PIX</td>" in shown and ">41.0</dd>" in shown.replace('class="col-sm-6 text-break"', "")


# --- the API


def post(user: Any, path: str, **body: Any) -> Any:
    return sign_in(user).post(f"/api/v1/{path}/", body, content_type="application/json")


def test_the_api_refuses_with_the_reservations_and_obeys_a_plan(cast: Cast, node: Node) -> None:
    lease = booked(cast, node)
    make_node(node.pool, 1)
    device = node.devices.order_by("index").first()
    path = f"devices/{device.public_id}/quarantine"
    answer = post(cast.operator, path, reason="smells")
    assert answer.status_code == 422 and answer.json()["code"] == "promises"
    assert answer.json()["facts"]["leases"][0]["lease"] == lease.public_id
    assert post(cast.operator, path, reason="x", force=True, plan={lease.public_id: "burn"}).status_code == 400
    assert post(cast.auditor, path, reason="x").status_code == 403
    assert post(cast.owner, path, reason="x").status_code == 404
    answer = post(cast.operator, path, reason="x", force=True, plan={lease.public_id: "move"})
    assert (answer.status_code, answer.json()["state"]) == (200, "quarantined")
    assert answer.json()["hit"][0]["lease"] == lease.public_id
    path = f"devices/{device.public_id}"
    assert post(cast.operator, f"{path}/send-back", reason="x", ticket="R-1").json()["rma_ticket"] == "R-1"
    assert post(cast.operator, f"{path}/retire", reason="x").json()["state"] == "retired"
    assert post(cast.operator, f"{path}/clean", reason="x").status_code == 409


def test_the_api_announces_lists_and_cancels_windows(cast: Cast, node: Node) -> None:
    start = timezone.now() + timedelta(days=2)
    said = {"node": node.public_id, "starts_at": start.isoformat(), "reason": "fans"}
    said["ends_at"] = (start + timedelta(hours=3)).isoformat()
    assert post(cast.owner, "maintenance-windows", **said).status_code == 404
    assert post(cast.officer, "maintenance-windows", **said).status_code == 403
    answer = post(cast.operator, "maintenance-windows", **said)
    assert answer.status_code == 201 and answer.json()["hit"] == []
    assert sign_in(cast.auditor).get("/api/v1/maintenance-windows/").json()["count"] == 1
    assert sign_in(cast.owner).get("/api/v1/maintenance-windows/").json()["count"] == 0
    path = f"maintenance-windows/{answer.json()['public_id']}/cancel"
    assert post(cast.operator, path, reason="x").json()["cancelled_at"]
    assert post(cast.operator, path, reason="x").status_code == 409


def test_the_api_enrols_maintains_and_retires(cast: Cast, node: Node) -> None:
    said = {"name": "gpu-07", "pool": node.pool.name, "expected_devices": 2}
    assert post(cast.owner, "nodes", **said).status_code == 403
    made = post(cast.operator, "nodes", **said)
    assert made.status_code == 201
    assert post(cast.operator, "nodes", **said).status_code == 422
    new = Node.objects.get(name="gpu-07")
    again = post(cast.operator, f"nodes/{new.public_id}/join-token").json()["join_token"]
    _node, permanent = enrolment.join(token=again)
    speaker = Speaker(new, permanent)
    speaker.hello()
    path = f"nodes/{new.public_id}"
    assert post(cast.operator, f"{path}/confirm", uuids=speaker.uuids).json()["state"] == "ready"
    assert post(cast.operator, f"{path}/confirm", uuids=speaker.uuids).status_code == 409
    assert post(cast.operator, f"{path}/rotate-token", reason="leaked").json()["token"] != permanent
    assert post(cast.operator, f"{path}/drain", reason="x").json()["hit"] == []
    assert post(cast.operator, f"{path}/maintain", reason="x").json()["state"] == "maintenance"
    assert post(cast.operator, f"{path}/retire", reason="x").json()["state"] == "retired"
    assert set(Device.objects.filter(node=new).values_list("state", flat=True)) == {"retired"}
