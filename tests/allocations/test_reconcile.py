"""Every step of a lease, each done twice: the second time changes nothing."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from allocations.models import Allocation, Lease, LedgerEntry
from allocations.selectors import balances
from allocations.services import ending, extending, reclaiming, reconcile
from allocations.services.booking import book
from audit.models import AuditEvent
from cluster.models import Device, Grant, NodeCommand
from common.errors import RuleBroken, WrongState
from tests.allocations.conftest import Stage
from tests.allocations.nodes import answer, no_spares, pending
from tests.factories import AllocationFactory


def go(lease: Lease, now: datetime) -> Lease:
    """Reconcile at this moment, twice; the second time must find nothing to do."""
    reconcile.reconcile_lease(lease.public_id, now=now)
    before = (AuditEvent.objects.count(), NodeCommand.objects.count(), LedgerEntry.objects.count())
    assert reconcile.reconcile_lease(lease.public_id, now=now) == 0
    assert before == (AuditEvent.objects.count(), NodeCommand.objects.count(), LedgerEntry.objects.count())
    lease.refresh_from_db()
    return lease


def states(lease: Lease) -> set[str]:
    return set(Device.objects.filter(placements__lease=lease).values_list("state", flat=True))


def started(stage: Stage, **fields: Any) -> Lease:
    """An active lease of two hours that began an hour from now."""
    lease = go(stage.book(**fields), stage.now + timedelta(minutes=55))
    answer(lease, "verify")
    go(lease, lease.starts_at)
    answer(lease, "grant")
    return go(lease, lease.starts_at + timedelta(seconds=5))


def brought_back(lease: Lease, now: datetime) -> Lease:
    answer(lease, "revoke")
    go(lease, now)
    answer(lease, "reclaim")
    return go(lease, now + timedelta(seconds=20))


def test_a_lease_from_its_booking_to_its_end(stage: Stage) -> None:
    lease = go(stage.book(10), stage.now + timedelta(minutes=40))
    assert lease.state == "scheduled"
    go(lease, lease.starts_at - timedelta(minutes=10))
    assert lease.state == "preparing" and states(lease) == {"preparing"}
    assert answer(lease, "verify") == 2
    go(lease, lease.starts_at - timedelta(seconds=1))
    assert not pending(lease, "grant")
    go(lease, lease.starts_at)
    assert answer(lease, "grant") == 2
    go(lease, lease.starts_at + timedelta(seconds=3))
    assert lease.state == "active" and states(lease) == {"in_use"} and lease.active_at
    go(lease, lease.ends_at)
    assert lease.state == "draining" and pending(lease, "revoke")
    assert {row.window.upper for row in lease.placements.all()} == {None}
    answer(lease, "revoke")
    go(lease, lease.ends_at + timedelta(seconds=5))
    assert lease.state == "reclaiming" and states(lease) == {"cleaning"} and lease.access_gone_at
    answer(lease, "reclaim")
    go(lease, lease.ends_at + timedelta(seconds=25))
    assert lease.state == "ended" and states(lease) == {"available"} and lease.end_reason == "expired"
    assert not lease.placements.filter(released=False).exists()
    balance = balances.balance(stage.allocation)
    assert (balance.held, balance.charged) == (0, 10 * 2 * 3600)
    assert lease.used_seconds == 0


def test_an_early_release_gives_unused_hours_back(stage: Stage, monkeypatch: Any) -> None:
    lease = started(stage, count=4)
    at = lease.starts_at + timedelta(minutes=30)
    monkeypatch.setattr(ending.timezone, "now", lambda: at)
    ending.release(actor=stage.cast.owner, lease=lease)
    lease = brought_back(go(lease, at), at)
    assert lease.state == "ended" and lease.end_reason == "released"
    assert balances.balance(stage.allocation).charged == 4 * 30 * 60


def test_a_device_that_fails_its_check_is_quarantined_and_the_others_come_back(stage: Stage) -> None:
    lease = go(stage.book(3), stage.now + timedelta(minutes=55))
    no_spares(lease)
    bad = lease.placements.first().device.uuid
    answer(lease, "verify", "fail", bad=(bad,))
    go(lease, lease.starts_at)
    assert lease.state == "failed"
    assert Device.objects.get(uuid=bad).state == "quarantined"
    assert balances.balance(stage.allocation).left == stage.allocation.awarded_gpu_seconds
    assert answer(lease, "reclaim") == 1
    go(lease, lease.starts_at)
    assert sorted(states(lease)) == ["available", "quarantined"]
    assert not lease.placements.filter(released=False).exists()


def test_a_silent_node_is_asked_three_more_times_and_then_people_are(stage: Stage) -> None:
    lease = started(stage)
    now = lease.ends_at
    go(lease, now)
    for _turn in range(4):
        assert answer(lease, "revoke", "expire") == 1
        now += timedelta(minutes=1)
        go(lease, now)
    assert lease.state == "reclaim_stuck" and lease.placements.filter(released=False).count() == 2
    go(lease, now + timedelta(minutes=6))
    assert brought_back(lease, now + timedelta(minutes=7)).state == "ended"


def test_a_dirty_device_stays_locked_until_an_operator_has_looked(stage: Stage) -> None:
    lease = started(stage, count=2)
    go(lease, lease.ends_at)
    answer(lease, "revoke")
    go(lease, lease.ends_at)
    bad = lease.placements.first().device.uuid
    answer(lease, "reclaim", "fail", bad=(bad,))
    go(lease, lease.ends_at + timedelta(minutes=1))
    assert lease.state == "reclaim_stuck" and sorted(states(lease)) == ["available", "quarantined"]
    go(lease, lease.ends_at + timedelta(hours=9))
    assert lease.state == "reclaim_stuck"
    reclaiming.retry(actor=stage.cast.operator, lease=lease)
    go(lease, lease.ends_at + timedelta(hours=9))
    answer(lease, "reclaim")
    assert go(lease, lease.ends_at + timedelta(hours=9)).state == "ended"
    with pytest.raises(WrongState):
        reclaiming.retry(actor=stage.cast.operator, lease=lease)


def test_the_nodes_own_timer_ends_a_lease(stage: Stage) -> None:
    lease = started(stage)
    Grant.objects.filter(lease_ref=lease.public_id).update(revoked_at=lease.ends_at - timedelta(seconds=2))
    go(lease, lease.ends_at - timedelta(seconds=1))
    assert lease.state == "reclaiming"


@pytest.mark.parametrize("how", ["release", "expire"])
def test_a_lease_that_ends_while_preparing_converges_and_costs_nothing(stage: Stage, how: str) -> None:
    lease = go(stage.book(2), stage.now + timedelta(minutes=55))
    if how == "release":
        ending.release(actor=stage.cast.owner, lease=lease)
    lease = go(lease, lease.ends_at)
    assert lease.state == "draining"
    assert brought_back(lease, lease.ends_at).state == "ended"
    assert states(lease) == {"available"}
    assert balances.balance(stage.allocation).left == stage.allocation.awarded_gpu_seconds


@pytest.mark.parametrize("acknowledged", [True, False])
def test_an_extension_counts_only_when_acknowledged(stage: Stage, acknowledged: bool) -> None:
    lease = started(stage, count=1)
    old, new = lease.ends_at, lease.ends_at + timedelta(hours=1)
    extending.extend(actor=stage.cast.owner, lease=lease, ends_at=new)
    lease = go(lease, old - timedelta(minutes=20))
    assert (lease.ends_at, lease.pending_ends_at) == (old, new)
    if acknowledged:
        answer(lease, "extend")
        lease = go(lease, old - timedelta(minutes=19))
        assert (lease.ends_at, lease.pending_ends_at, lease.state) == (new, None, "active")
        assert go(lease, old).state == "active"
    else:
        lease = go(lease, old)
        assert (lease.state, lease.ends_at) == ("draining", old)
        assert balances.balance(stage.allocation).held == 2 * 3600


def test_a_following_booking_waits_for_clean_devices_or_gets_others(stage: Stage) -> None:
    first = started(stage, count=4)
    devices = [row.device for row in first.placements.all()]
    second = stage.book(4, start=3, devices=devices)
    go(first, first.ends_at)
    assert {row.window.upper for row in first.placements.all()} == {second.starts_at}
    go(second, second.starts_at)
    assert second.state == "scheduled"
    reconcile.reconcile_lease(second.public_id, now=second.starts_at + timedelta(minutes=6))
    second.refresh_from_db()
    assert second.state == "preparing"
    assert not set(second.placements.filter(released=False).values_list("device_id", flat=True)) & {
        d.pk for d in devices
    }


def test_the_tick_moves_allocations_by_their_dates(stage: Stage) -> None:
    early = AllocationFactory(
        project=stage.cast.project, pool=stage.pool, state="pending", valid_from=stage.now + timedelta(days=1)
    )
    reconcile.tick(now=stage.now)
    assert Allocation.objects.get(pk=early.pk).state == "pending"
    reconcile.tick(now=stage.now + timedelta(days=1))
    assert Allocation.objects.get(pk=early.pk).state == "active"
    reconcile.tick(now=early.valid_until)
    assert Allocation.objects.get(pk=early.pk).state == "expired"


def test_an_award_that_begins_later_is_booked_of_at_once_and_runs_from_its_first_day(stage: Stage) -> None:
    begins = stage.now + timedelta(days=2)
    early = AllocationFactory(
        project=stage.cast.project,
        pool=stage.pool,
        state="pending",
        valid_from=begins,
        valid_until=begins + timedelta(days=20),
    )
    with pytest.raises(RuleBroken) as refused:
        book(actor=stage.cast.owner, allocation=early, starts_at=stage.now, ends_at=begins, device_count=1)
    assert refused.value.code == "outside_allocation"
    lease = book(
        actor=stage.cast.owner, allocation=early, starts_at=begins, ends_at=begins + timedelta(hours=4), device_count=1
    )
    reconcile.tick(now=begins)
    early.refresh_from_db()
    lease.refresh_from_db()
    assert (early.state, lease.state) == ("active", "preparing")


def test_the_agency_reclaims_with_a_reason(stage: Stage) -> None:
    lease = started(stage)
    ending.reclaim(actor=stage.cast.officer, lease=lease, reason="Needed for a security check.")
    lease.refresh_from_db()
    assert (lease.state, lease.end_reason, lease.state_reason) == (
        "draining",
        "reclaimed",
        "Needed for a security check.",
    )


def test_a_device_that_is_back_late_goes_to_the_lease_whose_turn_it_is(stage: Stage) -> None:
    first = stage.book(12, start=1, hours=0.2)
    second = stage.book(12, start=1.2, hours=0.2)
    Device.objects.update(state="cleaning")  # the one before both is late
    now = second.starts_at - timedelta(minutes=9)
    assert go(first, now).state == go(second, now).state == "scheduled"
    Device.objects.update(state="available")
    assert go(second, now).state == "scheduled"  # asked first, and it still is not its turn
    assert go(first, now).state == "preparing"
