"""Giving GPUs back and replacing an ill one, on the pages and through the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from allocations.models import Lease, Reshape
from allocations.selectors.leases import lease_devices, measured_groups
from allocations.selectors.reshapes import candidates
from allocations.selectors.usage import use_of
from cluster.models import Device
from telemetry.models import DeviceMinute
from tests.allocations.conftest import Stage
from tests.allocations.nodes import answer
from tests.allocations.test_reconcile import go, started
from tests.allocations.test_reshaping import adds_up, clock, mine
from tests.factories import make_sample

__all__ = ["clock"]
pytestmark = pytest.mark.django_db


def sign_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def api(user: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def page(lease: Lease, name: str) -> str:
    return reverse(f"allocations:{name}", args=[lease.public_id])


def measure(device: Device, until: Any, percent: float, minutes: int = 60) -> None:
    """So many measured minutes of a device before a moment."""
    last = until.replace(second=0, microsecond=0)
    DeviceMinute.objects.bulk_create(
        DeviceMinute(device=device, minute=last - timedelta(minutes=back), utilisation_percent=percent, samples=6)
        for back in range(1, minutes + 1)
    )


@pytest.fixture
def lease(stage: Stage, clock: Any) -> Lease:
    """Three GPUs, half an hour after the start."""
    lease = started(stage, count=3)
    clock(lease.starts_at + timedelta(minutes=30))
    return lease


def test_the_page_offers_the_least_used_first_and_says_what_comes_back(stage: Stage, lease: Lease) -> None:
    busy, idle, unknown = mine(lease)
    measure(busy, timezone.now(), 90, 25)
    measure(idle, timezone.now(), 1, 25)
    assert [row.device for row in candidates(lease, timezone.now())] == [idle, busy, unknown]
    said = sign_in(stage.cast.owner).get(page(lease, "lease-shrink")).content.decode()
    assert said.index(f"{idle.node.name} / {idle.index}") < said.index(f"{busy.node.name} / {busy.index}")
    assert "1.50" in said, "an hour and a half is left of each"
    assert "90 %" in said and "1 %" in said


def test_a_partner_gives_gpus_back_and_sees_how_far_it_has_come(stage: Stage, lease: Lease) -> None:
    client, chosen = sign_in(stage.cast.owner), mine(lease)[0]
    assert page(lease, "lease-shrink") in client.get(lease.get_absolute_url()).content.decode()
    nothing = client.post(page(lease, "lease-shrink"), {})
    assert nothing.status_code == 422 and not Reshape.objects.exists()
    taken = client.post(page(lease, "lease-shrink"), {"devices": [chosen.public_id]})
    assert taken.status_code == 302 and taken.headers["Location"] == lease.get_absolute_url()
    shown = client.get(lease.get_absolute_url()).content.decode()
    assert 'id="reshape"' in shown and page(lease, "lease-shrink") not in shown
    change = Reshape.objects.get().public_id
    live = client.get(page(lease, "lease-live"), {"state": "active", "change": change})
    assert live.status_code == 200 and "HX-Refresh" not in live.headers
    go(lease, timezone.now())
    answer(lease, "reshape")
    go(lease, timezone.now())
    assert client.get(page(lease, "lease-live"), {"state": "active", "change": change}).headers["HX-Refresh"] == "true"
    after = client.get(lease.get_absolute_url()).content.decode()
    assert 'id="reshape"' not in after and str(chosen) in after and adds_up()


def test_all_of_them_is_refused_and_what_was_ticked_stays(stage: Stage, lease: Lease) -> None:
    names = [device.public_id for device in mine(lease)]
    answered = sign_in(stage.cast.owner).post(page(lease, "lease-shrink"), {"devices": names})
    assert answered.status_code == 422
    assert answered.content.decode().count("checked") >= 3 and not Reshape.objects.exists()


def test_an_ill_gpu_can_be_replaced_from_its_line(stage: Stage, lease: Lease) -> None:
    client, ill = sign_in(stage.cast.owner), mine(lease)[0]
    link = f"{page(lease, 'lease-swap')}?device={ill.public_id}"
    assert link not in client.get(lease.get_absolute_url()).content.decode()
    Device.objects.filter(pk=ill.pk).update(health="fail")
    assert link in client.get(lease.get_absolute_url()).content.decode()
    form = client.get(link).content.decode()
    assert form.count('type="radio"') == 1 and "checked" in form
    assert client.post(page(lease, "lease-swap"), {"device": ill.public_id}).status_code == 302
    assert Reshape.objects.get().kind == "swap"
    viewer = sign_in(stage.cast.viewer).get(lease.get_absolute_url()).content.decode()
    assert page(lease, "lease-swap") not in viewer


def test_operators_replace_any_with_a_reason(stage: Stage, lease: Lease) -> None:
    client = sign_in(stage.cast.operator)
    assert client.get(page(lease, "lease-swap")).content.decode().count('type="radio"') == 3
    one = mine(lease)[0].public_id
    assert client.post(page(lease, "lease-swap"), {"device": one}).status_code == 422
    assert client.post(page(lease, "lease-swap"), {"device": one, "reason": "hot"}).status_code == 302


def test_the_api_does_the_same(stage: Stage, lease: Lease) -> None:
    client, url = api(stage.cast.owner), f"/api/v1/leases/{lease.public_id}/"
    ill = mine(lease)[0]
    refused = client.post(url + "swap/", {"device": ill.public_id}, format="json")
    assert (refused.status_code, refused.data["code"]) == (422, "device_not_ill")
    strange = Device.objects.exclude(placements__lease=lease).first()
    assert strange is not None
    assert client.post(url + "swap/", {"device": strange.public_id}, format="json").status_code == 404
    assert client.post(url + "shrink/", {"devices": [strange.public_id]}, format="json").status_code == 404
    made = client.post(url + "shrink/", {"device_count": 1}, format="json")
    assert made.status_code == 201, made.content
    assert (made.data["kind"], made.data["state"], len(made.data["leaving"])) == ("shrink", "fitting", 1)
    again = client.post(url + "shrink/", {"device_count": 1}, format="json")
    assert (again.status_code, again.data["code"]) == (409, "reshape_under_way")
    listed = client.get(url + "reshapes/").data["results"]
    assert [row["id"] for row in listed] == [made.data["id"]]
    for user in (stage.cast.outsider,):
        assert api(user).get(url + "reshapes/").status_code == 404
        assert api(user).post(url + "shrink/", {"device_count": 1}, format="json").status_code == 404
    assert api(stage.cast.viewer).post(url + "shrink/", {"device_count": 1}, format="json").status_code == 403


def test_what_a_gpu_measures_after_it_was_given_back_is_somebody_elses(stage: Stage, lease: Lease) -> None:
    """Invariant 6, for a device that leaves and for one that comes."""
    gone, stays, _third = mine(lease)
    before = timezone.now()
    measure(gone, before, 100, 30)
    client = api(stage.cast.owner)
    client.post(f"/api/v1/leases/{lease.public_id}/shrink/", {"devices": [gone.public_id]}, format="json")
    go(lease, before)
    answer(lease, "reshape", at=before)
    go(lease, before)
    later = before + timedelta(minutes=40)
    measure(gone, later, 100, 35)
    make_sample(gone, later - timedelta(seconds=5), 100)
    rows = {row.device: row for row in lease_devices(lease, later)}
    assert rows[gone].sample is None and rows[gone].state is None
    usage = use_of(lease, later).total
    assert 1700 < usage.used_seconds <= 1800, "its first half hour"
    assert usage.held_seconds == 2 * 70 * 60 + 30 * 60
    times = {row.device: span for span, found in measured_groups(lease, later).items() for row in found}
    assert times[gone][1] == before and times[stays][1] == later
