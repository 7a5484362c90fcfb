"""Changing what has not begun: shrink, grow, move, lay out anew; all of it or nothing."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from allocations.models import Lease
from allocations.selectors.balances import balance
from allocations.selectors.leases import placements_of
from allocations.services import changing
from allocations.shapes import ANY, Shape
from audit.models import AuditEvent
from common.errors import Forbidden, InvalidTransition, RuleBroken
from tests.allocations.conftest import Stage
from tests.allocations.test_api import client
from tests.allocations.test_reconcile import started

HOUR = timedelta(hours=1)


def change(stage: Stage, lease: Lease, **changes: Any) -> Lease:
    asked = {
        "device_count": lease.device_count,
        "starts_at": lease.starts_at,
        "ends_at": lease.ends_at,
        "shape": lease.layout,
    }
    return changing.change(**({"actor": stage.cast.owner, "lease": lease} | asked | changes))


def devices_of(lease: Lease) -> set[int]:
    return set(lease.placements.filter(released=False).values_list("device_id", flat=True))


def test_fewer_gpus_are_some_of_the_same_and_their_hours_come_back(stage: Stage) -> None:
    lease = stage.book(6, hours=2)
    before = devices_of(lease)
    lease = change(stage, lease, device_count=2)
    assert len(devices_of(lease)) == 2 and devices_of(lease) < before
    assert balance(stage.allocation).held == 2 * 2 * 3600
    event = AuditEvent.objects.get(verb="lease.change")
    assert event.changes["device_count"] == [6, 2]


def test_a_shorter_a_longer_and_an_overlapping_window_keep_the_devices(stage: Stage) -> None:
    lease = stage.book(4, start=5, hours=4)
    before = devices_of(lease)
    for start, end in ((5, 6), (5, 12), (7, 15), (2, 8)):
        window = {"starts_at": stage.now + start * HOUR, "ends_at": stage.now + end * HOUR}
        lease = change(stage, lease, **window)
        assert devices_of(lease) == before
        assert balance(stage.allocation).held == 4 * (end - start) * 3600
        for row in lease.placements.filter(released=False):
            assert (row.window.lower, row.window.upper) == (lease.starts_at, lease.ends_at)


def test_more_gpus_than_its_node_has_move_it_as_one(stage: Stage) -> None:
    lease = stage.book(3)  # on the small node
    lease = change(stage, lease, device_count=7, shape=Shape("same_node"))
    nodes = set(lease.placements.filter(released=False).values_list("node_id", flat=True))
    assert nodes == {stage.big.pk} and len(devices_of(lease)) == 7


def test_what_it_had_before_is_nowhere_taken_for_its_own(stage: Stage) -> None:
    """Moved to an earlier time, its old window still lies ahead when it runs."""
    lease = stage.book(4, start=60, hours=4)
    lease = change(stage, lease, device_count=2, starts_at=stage.now + HOUR, ends_at=stage.now + 3 * HOUR)
    for moment in (None, lease.starts_at):
        Lease.objects.filter(pk=lease.pk).update(active_at=moment)
        lease.refresh_from_db()
        assert {row.device_id for row in placements_of(lease)} == devices_of(lease)
        assert len(placements_of(lease)) == 2


def test_a_refused_change_changes_nothing(stage: Stage) -> None:
    lease = stage.book(4, start=1, hours=2)
    stage.book(8, start=6, hours=2)
    rows = list(lease.placements.values("device_id", "window", "released"))
    with pytest.raises(RuleBroken) as refused:
        change(stage, lease, device_count=5, starts_at=stage.now + 6 * HOUR, ends_at=stage.now + 8 * HOUR)
    assert refused.value.code == "no_free_devices" and refused.value.facts["next_start"]
    lease.refresh_from_db()
    assert list(lease.placements.values("device_id", "window", "released")) == rows
    assert lease.device_count == 4 and balance(stage.allocation).held == 4 * 2 * 3600 + 8 * 2 * 3600


def test_the_rules_of_booking_hold_without_itself(stage: Stage) -> None:
    stage.allocation.concurrent_gpus = 4
    stage.allocation.save()
    lease = stage.book(4)
    assert change(stage, lease, ends_at=lease.ends_at + HOUR).device_count == 4
    with pytest.raises(RuleBroken) as refused:
        change(stage, lease, device_count=5)
    assert refused.value.code == "concurrent_gpus"
    with pytest.raises(RuleBroken) as refused:
        change(stage, lease, device_count=3, shape=Shape("nodes", 2))
    assert refused.value.code == "shape"


def test_what_has_begun_and_what_is_anothers_is_left_alone(stage: Stage) -> None:
    lease = started(stage)
    with pytest.raises(InvalidTransition):
        change(stage, lease, device_count=1)
    other = stage.book(1, start=40)
    with pytest.raises(Forbidden):
        change(stage, other, actor=stage.cast.teammate, device_count=2)


def test_page_and_api_change_it(stage: Stage) -> None:
    lease = stage.book(4, start=5, hours=4)
    web = Client()
    web.force_login(stage.cast.owner)
    url = reverse("allocations:lease-change", args=[lease.public_id])
    page = web.get(url)
    assert page.context["form"].initial["device_count"] == 4
    typed = {"device_count": 2, "starts_at": "2026-01-01T00:00", "ends_at": "2026-01-01T00:00", "shape": "any"}
    refused = web.post(url, typed)
    assert refused.status_code == 422 and refused.context["form"]["device_count"].value() == "2"
    api, day = client(stage.cast.owner), stage.now + 30 * HOUR
    asked = {"device_count": 2, "starts_at": day.isoformat(), "ends_at": (day + HOUR).isoformat()}
    answer = api.post(f"/api/v1/leases/{lease.public_id}/change/", asked, format="json")
    assert answer.status_code == 200, answer.content
    assert answer.json()["device_count"] == 2
    lease.refresh_from_db()
    assert lease.starts_at == day and lease.layout == ANY
    seen = client(stage.cast.outsider).post(f"/api/v1/leases/{lease.public_id}/change/", asked, format="json")
    assert seen.status_code == 404
