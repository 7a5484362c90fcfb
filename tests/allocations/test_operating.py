"""Operators' verbs and the reservations that they hit: refused, moved or ended, all or nothing."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from allocations.models import Lease
from allocations.selectors import availability, balances, capacities, free_times
from allocations.services import extending, operating, reconcile
from audit.models import AuditEvent
from cluster.models import Device, MaintenanceWindow, Node
from cluster.selectors import bookable_devices
from common.errors import DomainError, Forbidden, InvalidTransition, RuleBroken, WrongState
from notifications.models import Notification
from tests.allocations.conftest import Stage
from tests.allocations.nodes import answer
from tests.allocations.test_reconcile import go, started
from tests.factories import make_node

Refused = type[DomainError]


def refused(error: Refused, code: str, verb: Callable[..., Any], **fields: Any) -> DomainError:
    with pytest.raises(error) as caught:
        verb(**fields)
    assert caught.value.code == code, caught.value
    return caught.value


def state_of(thing: Any) -> str:
    thing.refresh_from_db()
    return str(thing.state)


def devices_of(lease: Lease) -> list[Device]:
    rows = lease.placements.filter(released=False).select_related("device__node").order_by("device_id")
    return [row.device for row in rows]


def on(stage: Stage, node: Node, count: int = 2, **fields: Any) -> Lease:
    """Booked on devices of this node."""
    return stage.book(count, devices=list(node.devices.order_by("index")[:count]), **fields)


def drained(stage: Stage, node: Node) -> Node:
    operating.drain_node(actor=stage.cast.operator, node=node, reason="fans")
    return node


# --- devices


def test_a_free_device_is_quarantined_and_comes_back_through_cleaning(stage: Stage) -> None:
    device = stage.big.devices.first()
    done = operating.quarantine_device(actor=stage.cast.operator, device=device, reason="smells")
    assert (state_of(device), done.hit) == ("quarantined", [])
    operating.return_device(actor=stage.cast.operator, device=device, reason="dusted")
    assert state_of(device) == "cleaning"


def test_a_promised_device_is_not_taken_away_without_a_plan(stage: Stage) -> None:
    lease = on(stage, stage.big)
    device = devices_of(lease)[0]
    ask = {"actor": stage.cast.operator, "device": device, "reason": "smells"}
    for more in ({}, {"force": True}, {"plan": {lease.public_id: "move"}}):
        error = refused(RuleBroken, "promises", operating.quarantine_device, **ask, **more)
        (fact,) = error.facts["leases"]
        assert fact["lease"] == lease.public_id and fact["devices"] == [device.public_id]
        assert lease.public_id in str(error)
    assert state_of(device) == "available" and state_of(lease) == "scheduled"


def test_a_plan_moves_a_booked_lease_to_another_device(stage: Stage) -> None:
    lease = on(stage, stage.small)
    first, second = devices_of(lease)
    plan = {lease.public_id: "move"}
    operating.quarantine_device(actor=stage.cast.operator, device=first, reason="x", plan=plan, force=True)
    now_on = devices_of(lease)
    assert state_of(first) == "quarantined" and state_of(lease) == "scheduled"
    assert len(now_on) == 2 and first not in now_on and second in now_on
    event = AuditEvent.objects.get(verb="lease.replace_devices")
    assert event.actor_label == stage.cast.operator.label and event.changes["reason"] == "x"
    assert balances.balance(stage.allocation).held == 2 * 2 * 3600


def test_a_plan_ends_a_running_lease_tells_the_partner_and_keeps_the_device_out(stage: Stage) -> None:
    lease = started(stage)
    device = devices_of(lease)[0]
    plan = {lease.public_id: "end"}
    operating.quarantine_device(actor=stage.cast.operator, device=device, reason="It burns.", plan=plan, force=True)
    lease.refresh_from_db()
    assert (lease.state, lease.end_reason, lease.state_reason) == ("draining", "reclaimed", "It burns.")
    assert Notification.objects.filter(recipient=stage.cast.owner, event="lease_ending").exists()
    now = lease.starts_at + timedelta(minutes=1)
    go(lease, now)
    answer(lease, "revoke")
    go(lease, now)
    answer(lease, "reclaim")
    assert go(lease, now).state == "ended"
    assert state_of(device) == "quarantined"
    assert balances.balance(stage.allocation).held == 0


def test_what_runs_cannot_be_moved_and_what_does_not_fit_says_which(stage: Stage) -> None:
    running = started(stage, count=12)
    ask = {"actor": stage.cast.operator, "reason": "x", "force": True}
    device = devices_of(running)[0]
    plan = {running.public_id: "move"}
    error = refused(RuleBroken, "cannot_move", operating.quarantine_device, **ask, device=device, plan=plan)
    assert running.public_id in str(error)
    later = stage.book(12, start=4)
    plan = {running.public_id: "end", later.public_id: "move"}
    error = refused(RuleBroken, "cannot_move", operating.quarantine_device, **ask, device=device, plan=plan)
    assert later.public_id in str(error) and running.public_id not in str(error)
    assert (state_of(device), state_of(running), state_of(later)) == ("in_use", "active", "scheduled")


def test_a_plan_for_somebody_else_or_an_unknown_measure_is_refused(stage: Stage) -> None:
    lease, other = on(stage, stage.big), on(stage, stage.small)
    device = devices_of(lease)[0]
    ask = {"actor": stage.cast.operator, "device": device, "reason": "x", "force": True}
    for plan in ({other.public_id: "end"}, {lease.public_id: "burn"}):
        refused(RuleBroken, "plan", operating.quarantine_device, **ask, plan=plan)


def test_sent_to_the_vendor_under_a_ticket_and_back_or_out_of_the_house(stage: Stage) -> None:
    first, second = stage.big.devices.all()[:2]
    ask = {"actor": stage.cast.operator, "reason": "XID 79"}
    refused(InvalidTransition, "invalid_transition", operating.send_device_back, **ask, device=first, ticket="R-1")
    for device in (first, second):
        operating.quarantine_device(**ask, device=device)
        refused(RuleBroken, "ticket_missing", operating.send_device_back, **ask, device=device, ticket=" ")
        operating.send_device_back(**ask, device=device, ticket="R-1")
        assert state_of(device) == "rma" and device.rma_ticket == "R-1"
    operating.return_device(**ask, device=first)
    operating.retire_device(**ask, device=second)
    assert (state_of(first), state_of(second)) == ("cleaning", "retired")
    refused(InvalidTransition, "invalid_transition", operating.return_device, **ask, device=second)


def test_a_stuck_return_goes_on_without_a_device_that_leaves_the_house(stage: Stage) -> None:
    lease = started(stage, count=2)
    go(lease, lease.ends_at)
    answer(lease, "revoke")
    go(lease, lease.ends_at)
    bad = devices_of(lease)[0]
    answer(lease, "reclaim", "fail", bad=(bad.uuid,))
    assert go(lease, lease.ends_at).state == "reclaim_stuck"
    ask = {"actor": stage.cast.operator, "device": bad, "reason": "dead", "ticket": "R-2"}
    refused(RuleBroken, "promises", operating.send_device_back, **ask)
    operating.send_device_back(**ask, force=True)
    assert (state_of(bad), state_of(lease)) == ("rma", "ended")
    assert balances.balance(stage.allocation).held == 0


def test_a_device_in_use_does_not_leave_the_house(stage: Stage) -> None:
    lease = started(stage)
    device = devices_of(lease)[0]
    ask = {"actor": stage.cast.operator, "device": device, "reason": "old"}
    refused(InvalidTransition, "invalid_transition", operating.retire_device, **ask)
    Device.objects.filter(pk=device.pk).update(state="quarantined")
    plan = {lease.public_id: "end"}
    refused(RuleBroken, "still_held", operating.retire_device, **ask, force=True, plan=plan)
    assert state_of(lease) == "active"


# --- nodes


def test_draining_names_what_is_booked_and_lets_what_runs_go_on(stage: Stage) -> None:
    running = started(stage, count=1, devices=[stage.small.devices.first()])
    booked = on(stage, stage.small, 4, start=4)
    done = operating.drain_node(actor=stage.cast.operator, node=stage.small, reason="fans")
    assert [promise.lease for promise in done.hit] == [running, booked]
    assert (state_of(stage.small), state_of(running), state_of(booked)) == ("draining", "active", "scheduled")
    assert {device.node_id for device in devices_of(booked)} == {stage.small.pk}
    refused(RuleBroken, "no_free_devices", stage.book, count=9, start=8)


def test_draining_with_a_plan_moves_the_booked_ones(stage: Stage) -> None:
    booked = on(stage, stage.small, 4)
    plan = {booked.public_id: "move"}
    operating.drain_node(actor=stage.cast.operator, node=stage.small, reason="fans", plan=plan)
    assert {device.node_id for device in devices_of(booked)} == {stage.big.pk}
    told = Notification.objects.get(event="lease_replanned")
    assert told.recipient == booked.booked_by and "fans" in told.body and "4" in told.body


def test_maintenance_waits_for_what_runs_or_ends_it_as_planned(stage: Stage) -> None:
    running = started(stage, count=1, devices=[stage.small.devices.first()])
    booked = on(stage, stage.small, 2, start=4)
    later = on(stage, stage.small, 2, start=24 * 7)
    ask = {"actor": stage.cast.operator, "node": stage.small, "reason": "fans"}
    refused(InvalidTransition, "invalid_transition", operating.maintain_node, **ask)
    drained(stage, stage.small)
    error = refused(RuleBroken, "promises", operating.maintain_node, **ask)
    assert [fact["lease"] for fact in error.facts["leases"]] == [r.public_id for r in (running, booked, later)]
    until = stage.now + timedelta(hours=12)
    plan = {running.public_id: "end", booked.public_id: "move"}
    operating.maintain_node(**ask, until=until, plan=plan, force=True)
    assert (state_of(stage.small), state_of(running)) == ("maintenance", "draining")
    assert {device.node_id for device in devices_of(booked)} == {stage.big.pk}
    assert {device.node_id for device in devices_of(later)} == {stage.small.pk}


def test_a_node_leaves_the_house_with_its_devices_and_its_token(stage: Stage) -> None:
    node = drained(stage, stage.small)
    booked = on(stage, stage.big, 2)
    ask = {"actor": stage.cast.operator, "reason": "sold"}
    operating.retire_node(**ask, node=node)
    assert state_of(node) == "retired" and node.token_hash is None
    assert set(node.devices.values_list("state", flat=True)) == {"retired"}
    drained(stage, stage.big)
    refused(RuleBroken, "promises", operating.retire_node, **ask, node=stage.big)
    operating.retire_node(**ask, node=stage.big, plan={booked.public_id: "end"}, force=True)
    assert (state_of(stage.big), state_of(booked)) == ("retired", "cancelled")
    assert balances.balance(stage.allocation).held == 0


def test_what_cannot_be_moved_leaves_everything_as_it_was(stage: Stage) -> None:
    first, second = on(stage, stage.small, 2), on(stage, stage.big, 8)
    third = stage.book(2, devices=list(stage.small.devices.order_by("index")[2:]))
    plan = {first.public_id: "end", third.public_id: "move"}
    ask = {"actor": stage.cast.operator, "node": stage.small, "reason": "x"}
    error = refused(RuleBroken, "cannot_move", operating.drain_node, **ask, plan=plan)
    assert third.public_id in str(error)
    assert [state_of(row) for row in (first, second, third)] == ["scheduled"] * 3
    assert state_of(stage.small) == "ready"


# --- windows


def test_an_announced_window_keeps_bookings_off_the_node(stage: Stage) -> None:
    start, end = stage.now + timedelta(hours=5), stage.now + timedelta(hours=9)
    ask = {"actor": stage.cast.operator, "node": stage.big, "starts_at": start, "ends_at": end, "reason": "fans"}
    window = operating.announce_maintenance(**ask).target
    assert availability.free_devices(stage.pool, start, end).count() == 4
    assert capacities.capacity(stage.pool, start, end).free == 4
    assert free_times.next_free_window(stage.pool, 12, timedelta(hours=3), start - timedelta(hours=1)) == (
        availability.whole_minute(end),
        availability.whole_minute(end) + timedelta(hours=3),
    )
    assert bookable_devices(stage.pool).count() == 12
    refused(RuleBroken, "no_free_devices", stage.book, count=5, start=4)
    assert stage.book(12, start=9.1)
    lease = on(stage, stage.big, 2, start=3, hours=2)
    refused(RuleBroken, "no_free_devices", extending.extend, actor=stage.cast.owner, lease=lease, ends_at=end)
    operating.cancel_maintenance(actor=stage.cast.operator, window=window, reason="fans came early")
    assert availability.free_devices(stage.pool, start, end).count() == 12
    refused(
        WrongState, "window_over", operating.cancel_maintenance, actor=stage.cast.operator, window=window, reason="x"
    )


def test_a_window_over_booked_leases_needs_a_plan(stage: Stage) -> None:
    inside, outside = on(stage, stage.small, 2, start=5), on(stage, stage.small, 2, start=10)
    start, end = stage.now + timedelta(hours=5), stage.now + timedelta(hours=9)
    ask = {"actor": stage.cast.operator, "node": stage.small, "starts_at": start, "ends_at": end, "reason": "fans"}
    error = refused(RuleBroken, "promises", operating.announce_maintenance, **ask)
    assert [fact["lease"] for fact in error.facts["leases"]] == [inside.public_id]
    assert not MaintenanceWindow.objects.exists()
    operating.announce_maintenance(**ask, plan={inside.public_id: "move"}, force=True)
    assert {device.node_id for device in devices_of(inside)} == {stage.big.pk}
    assert {device.node_id for device in devices_of(outside)} == {stage.small.pk}
    reconcile.reconcile_lease(inside.public_id, now=inside.starts_at)
    assert state_of(inside) == "preparing"


# --- who


@pytest.mark.parametrize("name", ["owner", "officer", "auditor", "reviewer"])
def test_only_operators(stage: Stage, name: str) -> None:
    actor = getattr(stage.cast, name)
    device, node = stage.big.devices.first(), stage.big
    start = stage.now + timedelta(hours=1)
    window = {"starts_at": start, "ends_at": start + timedelta(hours=1)}
    for verb, fields in (
        (operating.drain_node, {"node": node}),
        (operating.maintain_node, {"node": node}),
        (operating.retire_node, {"node": node}),
        (operating.announce_maintenance, {"node": node, **window}),
        (operating.quarantine_device, {"device": device}),
        (operating.return_device, {"device": device}),
        (operating.send_device_back, {"device": device, "ticket": "R"}),
        (operating.retire_device, {"device": device}),
    ):
        refused(Forbidden, "forbidden", verb, actor=actor, reason="x", **fields)
        refused(RuleBroken, "reason_missing", verb, actor=stage.cast.operator, reason=" ", **fields)


def test_a_device_that_waits_for_confirmation_is_not_booked(stage: Stage) -> None:
    make_node(stage.pool, 2).devices.update(awaiting_confirmation=True)
    assert bookable_devices(stage.pool).count() == 12
