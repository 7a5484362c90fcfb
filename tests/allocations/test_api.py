"""The API: the same verbs, the same refusals, nothing of others."""

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.allocations.conftest import Stage


def client(user: Any) -> APIClient:
    api = APIClient()
    api.force_authenticate(user)
    return api


def ask(stage: Stage, count: int = 2) -> dict[str, Any]:
    start = stage.now + timedelta(hours=1)
    return {
        "allocation": stage.allocation.public_id,
        "device_count": count,
        "starts_at": start.isoformat(),
        "ends_at": (start + timedelta(hours=2)).isoformat(),
    }


def test_booking_and_cancelling(stage: Stage) -> None:
    api = client(stage.cast.owner)
    made = api.post("/api/v1/leases/", ask(stage), format="json")
    assert made.status_code == 201, made.content
    url = f"/api/v1/leases/{made.data['id']}/"
    assert len(api.get(url + "devices/").data) == 2
    assert api.get(url + "usage/").data["held_seconds"] == 0
    assert api.get("/api/v1/leases/?state=scheduled").data["count"] == 1
    assert api.post(url + "release/").status_code == 409
    assert api.post(url + "cancel/").data["state"] == "cancelled"
    assert api.get(f"/api/v1/allocations/{stage.allocation.public_id}/ledger/").data["count"] == 4
    balance = api.get(f"/api/v1/allocations/{stage.allocation.public_id}/balance/").data
    assert balance["left_gpu_hours"] == "10000.00"


def test_a_refusal_is_a_problem_with_the_next_offer(stage: Stage) -> None:
    stage.book(12)
    refused = client(stage.cast.owner).post("/api/v1/leases/", ask(stage), format="json")
    assert refused.status_code == 422
    assert refused.data["code"] == "no_free_devices" and refused.data["facts"]["next_start"]


def test_others_see_nothing_and_get_404(stage: Stage) -> None:
    lease, api = stage.book(1), client(stage.cast.outsider)
    for path in (f"leases/{lease.public_id}/", f"allocations/{stage.allocation.public_id}/balance/"):
        assert api.get(f"/api/v1/{path}").status_code == 404
    assert api.post(f"/api/v1/leases/{lease.public_id}/cancel/").status_code == 404
    assert api.post("/api/v1/leases/", ask(stage), format="json").status_code == 404
    assert client(stage.cast.viewer).post("/api/v1/leases/", ask(stage), format="json").status_code == 403


@pytest.mark.parametrize("field", ["allocation", "device_count", "starts_at", "ends_at"])
@pytest.mark.parametrize("value", [None, "", "x" * 500, -1, [], {}])
def test_nonsense_is_never_a_500(stage: Stage, field: str, value: Any) -> None:
    response = client(stage.cast.owner).post("/api/v1/leases/", ask(stage) | {field: value}, format="json")
    assert 400 <= response.status_code < 500


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_the_ends_of_the_calendar_are_a_400_wherever_a_moment_is_asked_for(stage: Stage, moment: str) -> None:
    api, lease = client(stage.cast.owner), stage.book(1)
    for field in ("starts_at", "ends_at"):
        assert api.post("/api/v1/leases/", ask(stage) | {field: moment}, format="json").status_code == 400
    assert api.post(f"/api/v1/leases/{lease.public_id}/extend/", {"ends_at": moment}, format="json").status_code == 400
    query = {"pool": stage.pool.name, "from": stage.now.isoformat(), "until": moment}
    assert api.get("/api/v1/availability/", query).status_code == 400
    assert api.get("/api/v1/availability/", query | {"from": moment}).status_code == 400


def test_availability_answers_with_capacity_and_the_next_window(stage: Stage) -> None:
    stage.book(10)
    start = stage.now + timedelta(hours=1)
    query = {
        "pool": stage.pool.name,
        "gpus": 4,
        "from": start.isoformat(),
        "until": (start + timedelta(hours=1)).isoformat(),
    }
    found = client(stage.cast.owner).get("/api/v1/availability/", query).data
    assert (found["devices"], found["free"], found["booked_peak"], found["promised"]) == (12, 2, 10, 64)
    assert found["next_window"]["start"]
    assert found["refused"] is None
    assert client(stage.cast.owner).get("/api/v1/availability/", query | {"pool": "none"}).status_code == 404
    assert client(stage.cast.owner).get("/api/v1/availability/").status_code == 400


def test_what_an_agreement_does_not_allow_is_said_before_anybody_books(stage: Stage) -> None:
    agreement, start = stage.cast.agreement, stage.now + timedelta(hours=1)
    window = {"from": start.isoformat(), "until": (start + timedelta(hours=1)).isoformat()}
    asked, partner = {"pool": stage.pool.name} | window, client(stage.cast.owner)
    slot = {"from": window["from"], "until": (start + timedelta(hours=9)).isoformat(), "duration_seconds": 3600}
    assert partner.get("/api/v1/availability/slots/", slot).data
    agreement.pools = ["pool-22222222"]
    agreement.save()
    found = partner.get("/api/v1/availability/", asked).data
    assert (found["next_window"], found["refused"]["code"]) == (None, "pool_not_covered")
    agreement.pools, agreement.state = [], "suspended"
    agreement.save()
    found = partner.get("/api/v1/availability/", asked).data
    assert (found["next_window"], found["refused"]["code"]) == (None, "agreement_not_active")
    assert found["refused"]["facts"]["since"] == agreement.state_since.isoformat()
    none = partner.get("/api/v1/availability/slots/", slot)
    assert (none.status_code, none.data["code"]) == (422, "agreement_not_active")
    seen = client(stage.cast.officer).get("/api/v1/availability/", asked).data
    assert seen["next_window"] and seen["refused"] is None  # the agency asks about the pool
