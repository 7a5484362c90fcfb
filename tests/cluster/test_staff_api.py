"""Pools for everybody, machines for the agency, verbs for operators."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from cluster.models import Device
from tests.cluster.site import Speaker, checks
from tests.factories import Cast, make_cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def as_user(user: User) -> APIClient:
    """A client of this person."""
    client = APIClient()
    client.force_authenticate(user)
    return client


def post(user: User, address: str, reason: Any = "a reason") -> Any:
    """A verb of the API."""
    return as_user(user).post(f"/api/v1/{address}/", {"reason": reason}, format="json")


def test_partners_see_pools_and_no_machine(speaker: Speaker, cast: Cast) -> None:
    speaker.hello()
    client = as_user(cast.owner)
    assert client.get("/api/v1/pools/").data["count"] == 1
    for address in ("nodes", "devices"):
        assert client.get(f"/api/v1/{address}/").data["count"] == 0
    assert client.get(f"/api/v1/nodes/{speaker.node.public_id}/").status_code == 404
    assert post(cast.owner, f"nodes/{speaker.node.public_id}/drain").status_code == 404


def test_how_far_a_pool_is_over_committed_is_for_the_agency(speaker: Speaker, cast: Cast) -> None:
    for user, seen in ((cast.owner, False), (cast.reviewer, False), (cast.officer, True), (cast.auditor, True)):
        (pool,) = as_user(user).get("/api/v1/pools/").data["results"]
        assert ("overcommit_percent" in pool, "turnaround_seconds" in pool) == (seen, True)


def test_the_agency_sees_machines_and_no_secret(speaker: Speaker, cast: Cast) -> None:
    speaker.hello()
    answer = as_user(cast.auditor).get(f"/api/v1/nodes/{speaker.node.public_id}/")
    assert answer.data["name"] == "gpu-01"
    assert speaker.node.token_hash not in answer.content.decode()
    assert as_user(cast.auditor).get("/api/v1/devices/?state=available&node=gpu-01").data["count"] == 2
    assert as_user(cast.auditor).get(f"/api/v1/nodes/{speaker.node.public_id}/events/").status_code == 200


def test_only_operators_drain_and_resume(speaker: Speaker, cast: Cast) -> None:
    speaker.hello()
    address = f"nodes/{speaker.node.public_id}"
    for user in (cast.auditor, cast.officer, cast.reviewer):
        assert post(user, f"{address}/drain").status_code in (403, 404)
    assert post(cast.operator, f"{address}/drain", reason="").status_code == 400
    assert post(cast.operator, f"{address}/drain").data["state"] == "draining"
    assert post(cast.operator, f"{address}/drain").status_code == 409
    assert post(cast.operator, f"{address}/resume").data["state"] == "ready"


def test_quarantine_and_back_through_a_clean_report(speaker: Speaker, cast: Cast) -> None:
    speaker.hello()
    device = Device.objects.get(uuid=speaker.uuids[0])
    Device.objects.filter(pk=device.pk).update(health="drain", health_reasons=["xid_48"])
    address = f"devices/{device.public_id}"
    assert post(cast.auditor, f"{address}/quarantine").status_code == 403
    assert post(cast.operator, f"{address}/quarantine", "smells").data["state"] == "quarantined"
    assert post(cast.auditor, f"{address}/clean").status_code == 403
    answer = post(cast.operator, f"{address}/clean", "dusted").data
    assert (answer["state"], answer["health"], answer["state_reason"]) == ("cleaning", "ok", "dusted")
    assert speaker.heartbeat()["check"] == [device.uuid]
    speaker.heartbeat(checks=checks([device.uuid]))
    assert speaker.states() == ["available", "available"]
