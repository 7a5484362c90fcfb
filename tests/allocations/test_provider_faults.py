"""What the provider's machines do wrong: other GPUs in time, credit for what was lost, and people told in words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from allocations.models import Lease, LedgerEntry
from allocations.selectors import balances
from allocations.services import ending, incidents, operating
from allocations.services.replacing import MOST_REPLACEMENTS
from cluster.models import Device, DeviceEvent
from cluster.services import devices, inventory
from common.actors import SEED
from notifications.models import Notification
from tests.allocations.conftest import Stage
from tests.allocations.nodes import answer, no_spares
from tests.allocations.test_reconcile import brought_back, go, started

pytestmark = pytest.mark.django_db


def open_devices(lease: Lease) -> list[Device]:
    """Devices that the lease has now."""
    return list(Device.objects.filter(placements__lease=lease, placements__released=False).order_by("pk"))


def credits(lease: Lease) -> dict[str, int]:
    """Device-seconds credited, by reason."""
    return dict(lease.ledger.filter(kind="credit").values_list("reason", "device_seconds"))


def fail_one(lease: Lease) -> Device:
    """One device does not pass its check before the handover."""
    bad = open_devices(lease)[0]
    assert answer(lease, "verify", "fail", bad=(bad.uuid,)) >= 1
    go(lease, lease.starts_at)
    bad.refresh_from_db()
    return bad


def test_a_device_that_fails_before_the_handover_makes_way_for_another(stage: Stage) -> None:
    lease = go(stage.book(2), stage.now + timedelta(minutes=55))
    generation, before = lease.generation, open_devices(lease)
    bad = fail_one(lease)
    lease.refresh_from_db()
    assert (lease.state, lease.generation, lease.replacements) == ("preparing", generation + 1, 1)
    assert bad.state == "quarantined" and bad not in open_devices(lease) and len(open_devices(lease)) == 2
    assert before[1] in open_devices(lease) and {device.state for device in open_devices(lease)} == {"preparing"}
    answer(lease, "verify")
    go(lease, lease.starts_at)
    answer(lease, "grant")
    go(lease, lease.starts_at + timedelta(seconds=20))
    assert lease.state == "active"
    told = Notification.objects.filter(event="lease_moved")
    assert {note.recipient for note in told} == {stage.cast.owner, stage.cast.operator}


def test_after_three_failures_something_else_is_wrong(stage: Stage) -> None:
    lease = go(stage.book(2), stage.now + timedelta(minutes=55))
    for _turn in range(MOST_REPLACEMENTS):
        fail_one(lease)
        assert lease.state == "preparing"
    fail_one(lease)
    assert lease.state == "failed" and balances.balance(stage.allocation).held == 0


def test_an_ill_device_is_replaced_before_it_is_prepared(stage: Stage) -> None:
    lease = stage.book(2)
    ill = open_devices(lease)[0]
    Device.objects.filter(pk=ill.pk).update(health="drain")
    go(lease, lease.starts_at - timedelta(minutes=5))
    assert lease.state == "preparing" and ill not in open_devices(lease)


def test_a_late_handover_is_credited_and_a_punctual_one_is_not(stage: Stage) -> None:
    lease = go(stage.book(2), stage.now + timedelta(minutes=55))
    answer(lease, "verify")
    go(lease, lease.starts_at)
    answer(lease, "grant")
    go(lease, lease.starts_at + timedelta(minutes=10))
    go(lease, lease.ends_at)
    brought_back(lease, lease.ends_at + timedelta(seconds=5))
    assert lease.state == "ended" and credits(lease) == {"late handover": 2 * 600}
    assert balances.balance(stage.allocation).left == stage.allocation.awarded_gpu_seconds - 2 * (7200 - 600)
    punctual = started(stage, start=4)
    go(punctual, punctual.ends_at)
    brought_back(punctual, punctual.ends_at + timedelta(seconds=5))
    assert punctual.state == "ended" and credits(punctual) == {}


def test_a_device_that_is_lost_is_credited_from_then_on_and_told(stage: Stage) -> None:
    lease = started(stage)
    lost = open_devices(lease)[0]
    devices.lose(actor=SEED, devices=[lost.pk], reason="missing from the inventory")
    event = DeviceEvent.objects.get(kind="lost")
    assert not event.partner_told
    half = lease.ends_at - timedelta(minutes=30)
    DeviceEvent.objects.filter(pk=event.pk).update(at=half)
    assert incidents.tell_incidents(half) == 1 and incidents.tell_incidents(half) == 0
    note = Notification.objects.get(event="device_lost", recipient=stage.cast.owner)
    assert f"{lost.node.name}/{lost.index}" in note.subject
    go(lease, lease.ends_at)
    answer(lease, "revoke")
    go(lease, lease.ends_at + timedelta(seconds=5))
    answer(lease, "reclaim")
    Device.objects.filter(pk=lost.pk).update(state="cleaning")
    go(lease, lease.ends_at + timedelta(seconds=20))
    assert lease.state == "ended" and credits(lease) == {"device lost": 1800}


def test_never_more_is_credited_than_was_charged(stage: Stage) -> None:
    lease = started(stage)
    for device in open_devices(lease):
        devices.quarantine(actor=SEED, devices=[device.pk], reason="ill")
    Lease.objects.filter(pk=lease.pk).update(active_at=lease.starts_at + timedelta(hours=1))
    DeviceEvent.objects.update(at=lease.starts_at + timedelta(hours=1, seconds=1))
    go(lease, lease.ends_at)
    Device.objects.filter(placements__lease=lease).update(state="cleaning")
    brought_back(lease, lease.ends_at + timedelta(seconds=5))
    charged = -lease.ledger.get(kind=LedgerEntry.Kind.SETTLE).device_seconds
    assert lease.state == "ended" and charged == 2 * 7200
    assert credits(lease) == {"late handover": 7200, "device lost": 2 * 3599}
    assert sum(credits(lease).values()) <= charged


def test_an_xid_is_told_once_to_whoever_holds_the_device(stage: Stage) -> None:
    lease = started(stage)
    device = open_devices(lease)[0]
    now = lease.starts_at + timedelta(minutes=1)
    for number in (13, 13, 48):
        DeviceEvent.objects.create(
            node=device.node, device=device, kind="xid", detail={"xid": number}, at=now, partner_told=False
        )
    DeviceEvent.objects.create(
        node=device.node, device=device, kind="xid", detail={"xid": 31}, at=now - timedelta(days=2), partner_told=False
    )
    assert incidents.tell_incidents(now) == 4
    notes = {
        note.subject: note.body for note in Notification.objects.filter(event="device_xid", recipient=stage.cast.owner)
    }
    assert len(notes) == 2
    harmless = next(body for subject, body in notes.items() if "XID 13" in subject)
    serious = next(body for subject, body in notes.items() if "XID 48" in subject)
    assert "look at its log" in harmless and "operators know" in serious


def test_with_nothing_to_stand_in_the_lease_fails_and_costs_nothing(stage: Stage) -> None:
    lease = go(stage.book(2), stage.now + timedelta(minutes=55))
    no_spares(lease)
    fail_one(lease)
    assert lease.state == "failed" and balances.balance(stage.allocation).held == 0


def clean_report(device: Device) -> str:
    """The node finds the device empty and well; the device's state after that."""
    check = {"uuid": device.uuid, "passed": True, "checks": [], "reading": None}
    inventory.confirm_idle(node=device.node, checks=[check])
    device.refresh_from_db()
    return device.state


def test_a_device_that_failed_a_lease_is_lent_again_once_people_brought_it_back(stage: Stage) -> None:
    lease = go(stage.book(2), stage.now + timedelta(minutes=55))
    bad = fail_one(lease)
    operating.return_device(actor=stage.cast.operator, device=bad, reason="reseated")
    assert clean_report(bad) == "available"


def test_a_lease_that_has_a_device_decides_when_it_is_clean(stage: Stage) -> None:
    lease = started(stage)
    device = open_devices(lease)[0]
    ending.release(actor=stage.cast.owner, lease=lease)
    go(lease, lease.starts_at + timedelta(minutes=20))
    answer(lease, "revoke")
    go(lease, lease.starts_at + timedelta(minutes=21))
    device.refresh_from_db()
    assert device.state == "cleaning" and clean_report(device) == "cleaning"
