"""Rules of XIDs, repeat offenders, pools: pages and API over the same services, and who may change what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import AuditEvent
from cluster.models import Device, DeviceEvent, Inspection, Pool, XidPolicy
from cluster.services import policies
from tests.factories import Cast, PoolFactory, make_cast, make_node
from tests.html import Reading

pytestmark = pytest.mark.django_db
RULE = {"level": "fail", "repeat_count": "2", "repeat_days": "7", "note": "We swap the board", "reason": "bad batch"}


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def sign_in(user: Any) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def test_an_operator_writes_a_rule_and_goes_back_to_the_built_in_one(cast: Cast) -> None:
    client, address = sign_in(cast.operator), reverse("reports:xid-change", args=[48])
    assert reverse("reports:xid-change", args=[48]) in client.get(reverse("reports:xids")).content.decode()
    assert client.post(address, RULE).status_code == 302
    rule = policies.rule_for(48)
    assert (rule.level, rule.tell_partner, rule.repeat_count, rule.meaning) == ("fail", False, 2, "We swap the board")
    shown = client.get(reverse("reports:xids")).content.decode()
    assert "We swap the board" in shown and reverse("reports:xid-forget", args=[48]) in shown
    client.post(reverse("reports:xid-forget", args=[48]), {"reason": "the batch is gone"})
    assert not XidPolicy.objects.exists() and policies.rule_for(48).level == "drain"
    verbs = AuditEvent.objects.filter(verb__startswith="xid_policy").order_by("id").values_list("verb", "changes")
    assert [(verb, changes["reason"]) for verb, changes in verbs] == [
        ("xid_policy.change", "bad batch"),
        ("xid_policy.forget", "the batch is gone"),
    ]


def test_an_xid_without_a_rule_is_given_one(cast: Cast) -> None:
    client = sign_in(cast.operator)
    answer = client.get(reverse("reports:xids"), {"xid": "161"})
    assert answer.headers["location"] == reverse("reports:xid-change", args=[161])
    for wrong in ("", "0", "-1", "x", "²", "99999999999999999999"):
        assert client.get(reverse("reports:xids"), {"xid": wrong}).status_code == 200
    assert client.post(answer.headers["location"], RULE).status_code == 302
    assert "161" in client.get(reverse("reports:xids")).content.decode()
    too_far = reverse("reports:xid-change", args=[10**12])
    assert client.post(too_far, RULE).status_code in (404, 422)


def test_half_a_rule_comes_back_with_all_that_was_typed(cast: Cast) -> None:
    answer = sign_in(cast.operator).post(reverse("reports:xid-change", args=[48]), {**RULE, "repeat_days": ""})
    assert answer.status_code == 422 and not XidPolicy.objects.exists()
    reading = Reading(answer.content.decode())
    assert reading.errors and "We swap the board" in answer.content.decode()


def test_staff_read_the_rules_and_only_operators_change_them(cast: Cast) -> None:
    auditor = sign_in(cast.auditor)
    shown = auditor.get(reverse("reports:xids")).content.decode()
    assert reverse("reports:xid-change", args=[48]) not in shown
    assert auditor.post(reverse("reports:xid-change", args=[48]), RULE).status_code == 422
    assert auditor.put("/api/v1/xid-policies/48/", RULE, content_type="application/json").status_code == 403
    for address in (reverse("reports:xids"), reverse("reports:xid-change", args=[48]), "/api/v1/xid-policies/"):
        assert sign_in(cast.owner).get(address).status_code == 404
    assert not XidPolicy.objects.exists()


def test_the_api_does_what_the_page_does(cast: Cast) -> None:
    client = sign_in(cast.operator)
    body = {"level": "warn", "reason": "noise", "repeat_count": 3}
    refused = client.put("/api/v1/xid-policies/13/", body, content_type="application/json")
    assert refused.status_code == 422 and refused.json()["code"] == "repeat_halves"
    body["repeat_days"] = 30
    assert client.put("/api/v1/xid-policies/13/", body, content_type="application/json").json()["own"] is True
    found = {row["xid"]: row for row in client.get("/api/v1/xid-policies/").json()}
    assert (found[13]["level"], found[13]["own"], found[79]["own"]) == ("warn", True, False)
    wrong = client.put("/api/v1/xid-policies/13/", {"level": "purple"}, content_type="application/json")
    assert wrong.status_code == 400
    answer = client.delete("/api/v1/xid-policies/13/", {"reason": "done"}, content_type="application/json")
    assert answer.status_code == 204 and not XidPolicy.objects.exists()
    again = client.delete("/api/v1/xid-policies/13/", {"reason": "done"}, content_type="application/json")
    assert again.status_code == 404


def test_the_health_page_names_offenders_what_is_ill_and_who_is_silent(cast: Cast) -> None:
    node = make_node(PoolFactory(name="h100-a"), 2, name="gpu-a")
    bad, good = node.devices.order_by("index")
    for _time in range(3):
        at = timezone.now() - timedelta(days=1)
        DeviceEvent.objects.create(node=node, device=bad, kind="xid", detail={"xid": 48}, at=at)
    quiet = make_node(node.pool, 1, name="gpu-quiet")
    quiet.state = "unreachable"
    quiet.save()
    node.agent_health = {"samples_dropped": 3, "sampler": {"kernel_log": False}}
    node.save()
    client = sign_in(cast.operator)
    shown = client.get(reverse("reports:health")).content.decode()
    assert bad.get_absolute_url() in shown and good.get_absolute_url() not in shown
    assert "gpu-quiet" in shown and "measurements were dropped, the kernel log may not be read" in shown
    (row,) = client.get("/api/v1/offenders/").json()
    assert (row["device"], row["serious_xids"], row["total"]) == (bad.public_id, 3, 3)


def test_a_sites_own_words_for_an_xid_stand_at_its_events(cast: Cast) -> None:
    node = make_node(PoolFactory(), 1)
    device = node.devices.get()
    DeviceEvent.objects.create(node=node, device=device, kind="xid", detail={"xid": 48}, at=timezone.now())
    DeviceEvent.objects.create(node=node, device=device, kind="new_boot", detail={"from": "a"}, at=timezone.now())
    client = sign_in(cast.operator)
    assert "XID 48: An uncorrected memory error" in client.get(device.get_absolute_url()).content.decode()
    client.post(reverse("reports:xid-change", args=[48]), RULE)
    for row in (device, node):
        assert "XID 48: We swap the board" in client.get(row.get_absolute_url()).content.decode()


def test_pools_count_what_may_be_booked_and_change_their_rule_with_a_reason(cast: Cast) -> None:
    node = make_node(PoolFactory(name="h100-a"), 3, name="gpu-a")
    first = node.devices.order_by("index")[0]
    Device.objects.filter(pk=first.pk).update(awaiting_confirmation=True)
    make_node(node.pool, 2, name="gpu-b")
    client = sign_in(cast.operator)
    (row,) = client.get(reverse("reports:pools")).context["rows"]
    figures = (row.node_total, row.device_total, row.device_free, row.device_unconfirmed, row.device_ill)
    assert figures == (2, 5, 4, 1, 0)
    address = reverse("reports:pool-share", args=[node.pool.public_id])
    assert client.post(address, {"shared": "on"}).status_code == 422
    assert client.post(address, {"shared": "on", "reason": "small teams"}).status_code == 302
    assert Pool.objects.get().shared_nodes
    route = f"/api/v1/pools/{node.pool.public_id}/share-nodes/"
    body = {"shared": False, "reason": "no more"}
    assert client.post(route, body, content_type="application/json").json()["shared_nodes"] is False
    assert sign_in(cast.auditor).post(route, body, content_type="application/json").status_code == 403
    assert sign_in(cast.owner).post(route, body, content_type="application/json").status_code == 404


def test_a_devices_checks_are_there_for_scripts(cast: Cast) -> None:
    device = make_node(PoolFactory(), 1).devices.get()
    checks = [{"code": "ecc_dbe", "passed": False, "observed": "1", "expected": "0"}]
    Inspection.objects.create(device=device, passed=False, checks=checks, reading=None, at=timezone.now())
    (row,) = sign_in(cast.operator).get(f"/api/v1/devices/{device.public_id}/inspections/").json()
    assert (row["passed"], row["checks"]) == (False, checks)
