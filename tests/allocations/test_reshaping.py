"""GPUs given back and GPUs replaced while a reservation runs: who may, what is kept, what is paid, and what if not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from allocations.models import Lease, LedgerEntry, Placement, Reshape
from allocations.selectors.balances import balance
from allocations.selectors.proof import ledger_faults
from allocations.services import ending, extending, reconcile, reshaping
from allocations.shapes import Shape
from audit.models import AuditEvent
from cluster.models import Device, DeviceEvent, Grant
from cluster.services import devices
from common.actors import SEED
from common.errors import DomainError, Forbidden, InvalidTransition, RuleBroken, WrongState
from notifications.models import Notification
from tests.allocations.conftest import Stage
from tests.allocations.nodes import answer, no_spares, pending
from tests.allocations.test_reconcile import brought_back, go, started
from tests.allocations.test_whole_nodes import rival as rival
from tests.allocations.test_whole_nodes import rival_books

pytestmark = pytest.mark.django_db
Clock = Callable[[datetime], datetime]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Set the now of everything that asks Django for it."""

    def at(moment: datetime) -> datetime:
        monkeypatch.setattr(timezone, "now", lambda: moment)
        return moment

    return at


def adds_up() -> bool:
    faults = list(ledger_faults())
    assert not faults, "\n".join(map(str, faults))
    return True


def mine(lease: Lease) -> list[Device]:
    """What the lease has, on its way out or not."""
    return list(Device.objects.filter(placements__lease=lease, placements__released=False).order_by("index", "pk"))


def refused(act: Callable[[], Any], code: str) -> DomainError:
    with pytest.raises(DomainError) as caught:
        act()
    assert caught.value.code == code and caught.value.remedy
    return caught.value


def test_some_gpus_are_given_back_and_their_hours_return(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=4)
    at = clock(lease.starts_at + timedelta(minutes=30))
    leaving = mine(lease)[:2]
    reshape = reshaping.shrink(actor=stage.cast.owner, lease=lease, devices=leaving)
    assert reshape.state == "fitting" and adds_up()
    go(lease, at)
    (command,) = pending(lease, "reshape")
    assert set(command.payload["leaving"]) == {device.uuid for device in leaving}
    assert set(command.payload["device_uuids"]) == {device.uuid for device in mine(lease)[2:]}
    assert {row.window.upper for row in reshape.leaving.all()} == {None}, "nobody can book them before they are back"
    assert lease.device_count == 4 and balance(stage.allocation).held == 4 * 7200
    gone = at + timedelta(seconds=2.4)
    answer(lease, "reshape", at=gone)
    go(lease, at + timedelta(seconds=5))
    reshape.refresh_from_db()
    assert (reshape.state, reshape.access_gone_at, lease.state) == ("done", gone, "active")
    assert lease.device_count == 2 and adds_up()
    assert balance(stage.allocation).held == 2 * 7200 + 2 * 1803, "a begun second is paid"
    assert {Device.objects.get(pk=device.pk).state for device in leaving} == {"available"}
    assert len(mine(lease)) == 2 and {device.state for device in mine(lease)} == {"in_use"}
    assert Notification.objects.filter(event="lease_shrink_done").exists()
    assert AuditEvent.objects.filter(verb__startswith="lease.shrink").count() == 4
    go(lease, lease.ends_at)
    lease = brought_back(lease, lease.ends_at + timedelta(seconds=5))
    assert lease.state == "ended" and adds_up()
    assert balance(stage.allocation).charged == 2 * 7200 + 2 * 1803


def test_what_was_given_back_can_be_booked_by_another_organisation(stage: Stage, clock: Clock, rival: Any) -> None:
    lease = started(stage, count=10)
    at = clock(lease.starts_at + timedelta(minutes=30))
    with pytest.raises(RuleBroken):
        rival_books(stage, rival, count=4, start=1.7)
    reshaping.shrink(actor=stage.cast.owner, lease=lease, device_count=2)
    go(lease, at)
    assert [command.node.name for command in pending(lease, "revoke")] == [stage.small.name], "a whole node goes first"
    answer(lease, "revoke")
    go(lease, at)
    lease.refresh_from_db()
    assert lease.device_count == 8 and lease.reshapes.get().state == "cleaning" and adds_up()
    answer(lease, "reclaim")
    go(lease, at)
    assert lease.reshapes.get().state == "done" and lease.state == "active"
    theirs = rival_books(stage, rival, count=4, start=1.7)
    assert {row.node_id for row in theirs.placements.all()} == {stage.small.pk}


def test_a_node_that_was_left_ends_no_lease(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=10)
    at = clock(lease.starts_at + timedelta(minutes=30))
    reshaping.shrink(actor=stage.cast.owner, lease=lease, device_count=2)
    go(lease, at)
    answer(lease, "revoke")
    go(lease, at)
    answer(lease, "reclaim")
    go(go(lease, at), at + timedelta(minutes=5))
    assert lease.state == "active"
    Grant.objects.filter(lease_ref=lease.public_id).update(revoked_at=at)
    go(lease, at + timedelta(minutes=6))
    assert lease.state in ("draining", "reclaiming"), "the node that it still has says that access is gone"


@pytest.mark.parametrize(
    ("count", "shape", "asked", "left"),
    [(4, Shape("same_node"), 3, {1}), (4, Shape("nodes", 2), 2, {1}), (4, Shape("nvlink"), 1, {3})],
)
def test_the_shape_is_kept(stage: Stage, clock: Clock, count: int, shape: Shape, asked: int, left: set[int]) -> None:
    Device.objects.update(facts={"nvlink_count": 18})
    lease = started(stage, count=count, shape=shape)
    at = clock(lease.starts_at + timedelta(minutes=30))
    reshaping.shrink(actor=stage.cast.owner, lease=lease, device_count=asked)
    go(lease, at)
    answer(lease, "reshape")
    go(lease, at)
    by_node = Placement.objects.filter(lease=lease, released=False).values_list("node")
    counts = [len(list(by_node.filter(node=node))) for node in {row[0] for row in by_node}]
    assert set(counts) == left and lease.device_count == count - asked == sum(counts)
    assert lease.shape_nodes == shape.nodes


def test_a_shape_that_would_be_lost_is_refused_with_the_nearest_that_keeps_it(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=4, shape=Shape("nodes", 2))
    clock(lease.starts_at + timedelta(minutes=30))
    one = refused(lambda: reshaping.shrink(actor=stage.cast.owner, lease=lease, devices=mine(lease)[:1]), "shape")
    assert one.facts["possible"] == [2, 3] and "2" in one.remedy
    reshape = reshaping.shrink(actor=stage.cast.owner, lease=lease, device_count=3)
    assert reshape.shape_nodes == 1 and len({row.node_id for row in reshape.leaving.all()}) == 2


def test_what_cannot_be_given_back_is_refused(stage: Stage, clock: Clock) -> None:
    scheduled = stage.book(2, start=8)
    lease = started(stage, count=2)
    clock(lease.starts_at + timedelta(minutes=30))
    owner = stage.cast.owner
    refused(lambda: reshaping.shrink(actor=owner, lease=lease, device_count=2), "no_gpus_left")
    refused(lambda: reshaping.shrink(actor=owner, lease=lease, device_count=0), "no_gpus")
    other = Device.objects.exclude(placements__lease=lease).first()
    assert other is not None
    refused(lambda: reshaping.shrink(actor=owner, lease=lease, devices=[other]), "not_of_the_lease")
    with pytest.raises(InvalidTransition):
        reshaping.shrink(actor=owner, lease=scheduled, device_count=1)
    with pytest.raises(Forbidden):
        reshaping.shrink(actor=stage.cast.outsider, lease=lease, device_count=1)
    reshaping.shrink(actor=owner, lease=lease, device_count=1)
    again = refused(lambda: reshaping.shrink(actor=owner, lease=lease, device_count=1), "reshape_under_way")
    assert isinstance(again, WrongState)
    later = lease.ends_at + timedelta(hours=1)
    refused(lambda: extending.extend(actor=owner, lease=lease, ends_at=later), "reshape_under_way")


def test_an_extension_that_waits_goes_first(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=2)
    clock(lease.starts_at + timedelta(minutes=30))
    extending.extend(actor=stage.cast.owner, lease=lease, ends_at=lease.ends_at + timedelta(hours=1))
    refused(lambda: reshaping.shrink(actor=stage.cast.owner, lease=lease, device_count=1), "extension_pending")


def test_ill_gpus_are_given_back_first_and_come_to_the_operators(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=3)
    at = clock(lease.starts_at + timedelta(minutes=30))
    ill = mine(lease)[1]
    Device.objects.filter(pk=ill.pk).update(health="drain")
    reshaping.shrink(actor=stage.cast.owner, lease=lease, device_count=1)
    go(lease, at)
    answer(lease, "reshape")
    go(lease, at)
    ill.refresh_from_db()
    assert ill.state == "quarantined" and ill not in mine(lease) and lease.reshapes.get().state == "done"


def test_a_gpu_that_comes_back_dirty_is_quarantined_and_the_lease_goes_on(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=3)
    at = clock(lease.starts_at + timedelta(minutes=30))
    reshape = reshaping.shrink(actor=stage.cast.owner, lease=lease, device_count=1)
    (bad,) = (row.device for row in reshape.leaving.all())
    go(lease, at)
    answer(lease, "reshape", bad=(bad.uuid,))
    go(lease, at)
    bad.refresh_from_db()
    assert (bad.state, lease.state, lease.device_count) == ("quarantined", "active", 2)
    assert Notification.objects.filter(event="device_not_clean", recipient=stage.cast.operator).exists() and adds_up()


def test_a_silent_node_keeps_everything_as_it_was_until_it_speaks(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=3)
    now = clock(lease.starts_at + timedelta(minutes=10))
    reshape = reshaping.shrink(actor=stage.cast.owner, lease=lease, device_count=1)
    go(lease, now)
    for _turn in range(4):
        assert answer(lease, "reshape", "expire") == 1
        now += timedelta(minutes=1)
        go(lease, now)
    reshape.refresh_from_db()
    assert reshape.state == "fitting_stuck" and lease.state == "active" and lease.device_count == 3
    assert len(mine(lease)) == 3 and balance(stage.allocation).held == 3 * 7200 and adds_up()
    assert Notification.objects.filter(event="reshape_stuck", recipient=stage.cast.operator).count() == 1
    assert not pending(lease, "reshape")
    go(lease, now + timedelta(minutes=6))
    answer(lease, "reshape", at=now + timedelta(minutes=6))
    go(lease, now + timedelta(minutes=7))
    reshape.refresh_from_db()
    assert reshape.state == "done" and lease.device_count == 2 and adds_up()


@pytest.mark.parametrize("how", ["release", "expire", "reclaim"])
def test_a_lease_that_ends_on_the_way_takes_everything_back(stage: Stage, clock: Clock, how: str) -> None:
    lease = started(stage, count=10)
    at = clock(lease.starts_at + timedelta(minutes=30))
    reshape = reshaping.shrink(actor=stage.cast.owner, lease=lease, device_count=3)
    go(lease, at)
    answer(lease, "revoke")
    if how == "release":
        ending.release(actor=stage.cast.owner, lease=lease)
    elif how == "reclaim":
        ending.reclaim(actor=stage.cast.officer, lease=lease, reason="needed")
    else:
        at = clock(lease.ends_at)
    go(lease, at)
    reshape.refresh_from_db()
    assert (lease.state, reshape.state) == ("draining", "overtaken") and adds_up()
    assert {row.window.upper for row in lease.placements.filter(released=False)} == {None}
    lease = brought_back(lease, at + timedelta(seconds=5))
    assert lease.state == "ended" and not lease.placements.filter(released=False).exists() and adds_up()
    assert balance(stage.allocation).charged == 10 * (7200 if how == "expire" else 1800)


def ill_one(lease: Lease) -> Device:
    device = mine(lease)[0]
    Device.objects.filter(pk=device.pk).update(health="fail")
    device.refresh_from_db()
    return device


def swapped(lease: Lease, at: datetime) -> None:
    """The node's side of a swap on the same node."""
    go(lease, at)
    assert answer(lease, "verify") == 1
    go(lease, at)
    assert answer(lease, "reshape", at=at) == 1
    go(lease, at)


def test_an_ill_gpu_makes_way_for_a_healthy_one(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=3)
    at = clock(lease.starts_at + timedelta(minutes=30))
    ill, before = ill_one(lease), set(mine(lease))
    reshape = reshaping.swap_device(actor=stage.cast.owner, lease=lease, device=ill)
    assert reshape.state == "checking" and adds_up()
    (new,) = (row.device for row in reshape.coming.all())
    assert new.node_id == ill.node_id, "best fit: the node that it is on already"
    swapped(lease, at)
    reshape.refresh_from_db()
    assert reshape.state == "done" and set(mine(lease)) == before - {ill} | {new} and lease.device_count == 3
    new.refresh_from_db()
    ill.refresh_from_db()
    assert (new.state, ill.state) == ("in_use", "quarantined") and adds_up()
    assert balance(stage.allocation).held == 3 * 7200, "two devices, one hold"
    go(lease, lease.ends_at)
    lease = brought_back(lease, lease.ends_at + timedelta(seconds=5))
    assert lease.state == "ended" and adds_up() and balance(stage.allocation).charged == 3 * 7200


def test_the_lost_time_of_the_ill_gpu_is_credited_and_no_more(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=2)
    lost = mine(lease)[0]
    devices.lose(actor=SEED, devices=[lost.pk], reason="gone")
    DeviceEvent.objects.filter(kind="lost").update(at=lease.starts_at + timedelta(minutes=20))
    at = clock(lease.starts_at + timedelta(minutes=30))
    reshaping.swap_device(actor=stage.cast.owner, lease=lease, device=lost)
    go(lease, at)
    answer(lease, "verify")
    go(lease, at)
    answer(lease, "reshape", bad=(lost.uuid,), at=at)
    go(lease, at)
    lost.refresh_from_db()
    assert lost.state == "offline" and lease.reshapes.get().state == "done"
    go(lease, lease.ends_at)
    lease = brought_back(lease, lease.ends_at + timedelta(seconds=5))
    assert dict(lease.ledger.filter(kind="credit").values_list("reason", "device_seconds")) == {"device lost": 600}
    assert adds_up()


def test_partners_replace_ill_ones_and_operators_any_with_a_reason(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=2)
    clock(lease.starts_at + timedelta(minutes=30))
    well, owner, operator = mine(lease)[0], stage.cast.owner, stage.cast.operator
    refused(lambda: reshaping.swap_device(actor=owner, lease=lease, device=well), "device_not_ill")
    refused(lambda: reshaping.swap_device(actor=operator, lease=lease, device=well), "reason_missing")
    for stranger in (stage.cast.outsider, stage.cast.officer):
        with pytest.raises(Forbidden):
            reshaping.swap_device(actor=stranger, lease=lease, device=well, reason="because")
    assert reshaping.swap_device(actor=operator, lease=lease, device=well, reason="noisy fan").asked_by == operator


def test_where_nothing_can_stand_in_the_refusal_says_what_can_be_done(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=2)
    clock(lease.starts_at + timedelta(minutes=30))
    no_spares(lease)
    ill, rows = ill_one(lease), Placement.objects.count()
    error = refused(lambda: reshaping.swap_device(actor=stage.cast.owner, lease=lease, device=ill), "no_stand_in")
    assert error.facts["may_shrink_to"] == 1 and Placement.objects.count() == rows and not Reshape.objects.exists()
    assert error.remedy and reshaping.shrink(actor=stage.cast.owner, lease=lease, devices=[ill])


def test_no_healthy_gpu_of_the_lease_is_moved_for_the_shape(stage: Stage, clock: Clock) -> None:
    """Another node could take all of them, but that would end what runs on the others."""
    lease = started(stage, count=4, shape=Shape("same_node"))
    clock(lease.starts_at + timedelta(minutes=30))
    assert {device.node_id for device in mine(lease)} == {stage.small.pk}
    ill = ill_one(lease)
    refused(lambda: reshaping.swap_device(actor=stage.cast.owner, lease=lease, device=ill), "no_stand_in")


def test_a_swap_onto_another_node_gives_and_takes_whole_logins(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=1)
    at = clock(lease.starts_at + timedelta(minutes=30))
    old = ill_one(lease).node
    Device.objects.filter(node=old).exclude(pk=mine(lease)[0].pk).update(state="quarantined")
    reshaping.swap_device(actor=stage.cast.owner, lease=lease, device=mine(lease)[0])
    go(lease, at)
    answer(lease, "verify")
    go(lease, at)
    assert pending(lease, "grant") and pending(lease, "revoke") and not pending(lease, "reshape")
    answer(lease, "revoke")
    go(lease, at)
    assert lease.state == "active", "only one of the two nodes has spoken"
    answer(lease, "grant")
    go(lease, at)
    answer(lease, "reclaim")
    go(lease, at)
    assert lease.reshapes.get().state == "done" and lease.state == "active"
    (now_there,) = mine(lease)
    assert now_there.node != old and now_there.state == "in_use"
    open_grants = Grant.objects.filter(lease_ref=lease.public_id, revoked_at=None)
    assert [grant.node for grant in open_grants] == [now_there.node]
    go(lease, lease.ends_at)
    brought_back(lease, lease.ends_at + timedelta(seconds=5))
    assert lease.reshapes.count() == 1 and adds_up()


def test_a_stand_in_that_fails_its_check_is_followed_by_another(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=2)
    at = clock(lease.starts_at + timedelta(minutes=30))
    reshape = reshaping.swap_device(actor=stage.cast.owner, lease=lease, device=ill_one(lease))
    (first,) = (row.device for row in reshape.coming.all())
    go(lease, at)
    answer(lease, "verify", "fail", bad=(first.uuid,))
    go(lease, at)
    first.refresh_from_db()
    assert first.state == "quarantined" and reshape.coming.filter(released=False).count() == 1
    answer(lease, "verify")
    go(lease, at)
    answer(lease, "reshape")
    go(lease, at)
    reshape.refresh_from_db()
    assert reshape.state == "done" and first not in mine(lease) and adds_up()


def test_where_none_passes_everything_is_as_it_was(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=2)
    at = clock(lease.starts_at + timedelta(minutes=30))
    ill = ill_one(lease)
    before, ends = mine(lease), lease.ends_at
    reshape = reshaping.swap_device(actor=stage.cast.owner, lease=lease, device=ill)
    go(lease, at)
    for _turn in range(3):
        (command,) = pending(lease, "verify")
        answer(lease, "verify", "fail", bad=tuple(command.payload["device_uuids"]))
        go(lease, at)
    reshape.refresh_from_db()
    assert reshape.state == "undone" and mine(lease) == before and lease.state == "active" and not lease.reshaped
    assert {row.window.upper for row in lease.placements.filter(released=False)} == {ends}
    assert lease.placements.filter(left_by=None, released=False).count() == 2 and adds_up()
    assert Notification.objects.filter(event="lease_swap_failed", recipient=stage.cast.owner).exists()
    later = extending.extend(actor=stage.cast.owner, lease=lease, ends_at=ends + timedelta(hours=1))
    assert later.pending_ends_at and adds_up()


def test_nothing_rewrites_what_is_past(stage: Stage, clock: Clock) -> None:
    """Whatever is done at a moment, what every placement and entry said of the time before it stays."""
    lease = started(stage, count=10)

    def past(until: datetime) -> list[tuple[Any, ...]]:
        rows = Placement.objects.filter(lease=lease, window__startswith__lt=until).order_by("pk")
        return [(row.device_id, row.window.lower, min(row.window.upper or until, until), row.used_from) for row in rows]

    entries: list[tuple[Any, ...]] = []
    for turn, verb in enumerate(("swap", "shrink", "swap", "shrink"), 1):
        at = clock(lease.starts_at + turn * timedelta(minutes=20))
        before = past(at)
        if verb == "swap":
            reshaping.swap_device(actor=stage.cast.operator, lease=lease, device=mine(lease)[0], reason="test")
        else:
            reshaping.shrink(actor=stage.cast.owner, lease=lease, device_count=2)
        for _step in range(3):
            go(lease, at)
            for each in ("verify", "grant", "revoke", "reshape", "reclaim"):
                answer(lease, each, at=at)
        go(lease, at)
        assert lease.reshapes.first().state == "done", verb
        assert past(at)[: len(before)] == before, verb
        said = list(LedgerEntry.objects.order_by("pk").values_list("pk", "kind", "device_seconds"))
        assert said[: len(entries)] == entries and adds_up()
        entries = said
    with pytest.raises(RuleBroken):
        reshaping.shrink(actor=stage.cast.owner, lease=lease, device_count=lease.device_count)
    clock(lease.ends_at)
    with pytest.raises(InvalidTransition):
        reshaping.shrink(actor=stage.cast.owner, lease=lease, device_count=1)


def test_a_booking_that_comes_next_keeps_its_place_behind_a_gpu_on_its_way_out(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=2)
    at = clock(lease.starts_at + timedelta(minutes=30))
    named = mine(lease)
    following = stage.book(2, start=4, devices=named)
    reshape = reshaping.shrink(actor=stage.cast.owner, lease=lease, devices=named[:1])
    assert reshape.leaving.get().window.upper == following.starts_at
    ending.cancel(actor=stage.cast.owner, lease=following)
    assert reshape.leaving.get().window.upper is None
    reconcile.reconcile_lease(lease.public_id, now=at)
