"""Somebody who does not leave a node, and whoever comes next: nobody starves, nobody is let in early."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from allocations.models import Allocation, Lease
from allocations.selectors import availability
from allocations.services import booking, ending, incidents, reconcile
from audit.models import AuditEvent
from cluster.models import DeviceEvent
from cluster.services import devices, inventory
from common.actors import RECONCILER
from notifications.models import Notification
from tests.allocations.conftest import Stage
from tests.allocations.nodes import answer
from tests.allocations.test_reconcile import brought_back, go, started
from tests.allocations.test_whole_nodes import rival as rival
from tests.allocations.test_whole_nodes import rival_books

pytestmark = pytest.mark.django_db


def at(stage: Stage, hours: float) -> datetime:
    """So many hours from the test's now."""
    return stage.now + timedelta(hours=hours)


def one_after_the_other(stage: Stage, rival: Allocation) -> tuple[Lease, Lease]:
    """Two GPUs of the big node for us in hour one, two others of it for the rival in hours two and three."""
    named = list(stage.big.devices.order_by("index"))
    ours = booking.book(
        actor=stage.cast.owner,
        allocation=stage.allocation,
        device_count=2,
        starts_at=at(stage, 1),
        ends_at=at(stage, 2),
        devices=named[:2],
    )
    theirs = booking.book(
        actor=stage.cast.outsider,
        allocation=rival,
        device_count=2,
        starts_at=at(stage, 2),
        ends_at=at(stage, 4),
        devices=named[2:4],
    )
    return ours, theirs


def test_a_node_that_never_comes_back_sends_the_next_organisation_elsewhere(stage: Stage, rival: Allocation) -> None:
    ours, theirs = one_after_the_other(stage, rival)
    go(ours, at(stage, 1) - timedelta(minutes=5))
    answer(ours, "verify")
    go(ours, at(stage, 1))
    answer(ours, "grant")
    go(ours, at(stage, 1))
    go(ours, at(stage, 2))
    assert ours.state == "draining", "the node says nothing"
    for minute in range(-5, 10):
        reconcile.reconcile_lease(theirs.public_id, now=at(stage, 2) + timedelta(minutes=minute))
    theirs.refresh_from_db()
    assert theirs.state == "preparing"
    assert set(theirs.placements.filter(released=False).values_list("node", flat=True)) == {stage.small.pk}
    assert AuditEvent.objects.filter(verb="lease.replace_devices").count() == 1


def test_a_window_that_was_cut_is_open_again_when_the_next_booking_goes(stage: Stage, rival: Allocation) -> None:
    ours, theirs = one_after_the_other(stage, rival)
    Lease.objects.filter(pk=ours.pk).update(state="active")
    ours.refresh_from_db()
    ending.start_draining(ours, "expire", actor=RECONCILER, end_reason="expired", now=ours.ends_at)
    tenants = [rival.project.organisation_id]
    ending.cancel(actor=stage.cast.outsider, lease=theirs)
    free = availability.free_devices(stage.pool, at(stage, 3), at(stage, 4), tenants=tenants)
    assert not free.filter(node=stage.big).exists() and free.filter(node=stage.small).count() == 4


def test_what_happened_to_the_last_tenant_is_not_told_to_the_next(stage: Stage, rival: Allocation) -> None:
    first = started(stage, count=8)
    device = first.placements.first().device
    go(first, first.ends_at)
    brought_back(first, first.ends_at)
    theirs = rival_books(stage, rival, 8, start=3.5)
    assert theirs.placements.filter(device=device).exists()
    Lease.objects.filter(pk=theirs.pk).update(state="preparing")
    before = first.ends_at - timedelta(seconds=1)
    DeviceEvent.objects.create(
        node=device.node, device=device, kind="xid", detail={"xid": 79}, at=before, partner_told=False
    )
    incidents.tell_incidents(theirs.starts_at - timedelta(minutes=5))
    assert not Notification.objects.filter(event="device_xid").exists()


def test_a_device_off_the_bus_is_credited_from_its_xid_on(stage: Stage) -> None:
    lease = started(stage)
    device = lease.placements.first().device
    half = lease.starts_at + timedelta(minutes=90)
    event = {"uuid": device.uuid, "kind": "xid", "detail": {"xid": 79}, "at": half.timestamp()}
    inventory.take_events(node=device.node, events=[event])
    go(lease, lease.ends_at)
    brought_back(lease, lease.ends_at)
    assert lease.ledger.get(kind="credit", reason="device lost").device_seconds == 1800


def test_a_device_lost_between_check_and_handover_makes_way(stage: Stage) -> None:
    lease = go(stage.book(2), stage.now + timedelta(minutes=55))
    answer(lease, "verify")
    go(lease, lease.starts_at - timedelta(minutes=4))
    assert lease.verified_at
    device = lease.placements.first().device
    devices.lose(actor=RECONCILER, devices=[device.pk], reason="missing from the inventory")
    go(lease, lease.starts_at)
    assert not lease.verified_at and lease.replacements == 1
    answer(lease, "verify")
    go(lease, lease.starts_at)
    answer(lease, "grant")
    go(lease, lease.starts_at + timedelta(seconds=5))
    assert lease.state == "active" and not lease.placements.filter(device=device, released=False).exists()
