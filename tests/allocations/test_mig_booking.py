"""Booking MIG instances by their profile: which ones, beside whom, under which ceilings."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import User
from allocations.models import Lease
from allocations.selectors.offers import Wish, find_slots
from allocations.services import booking, changing, ending, extending, operating
from allocations.services.planning import Plan
from allocations.shapes import Shape
from audit.models import AuditEvent
from cluster.models import Device, NodeCommand
from common.errors import RuleBroken
from notifications.models import Notification
from tests.allocations.conftest import Stage
from tests.factories import cut
from tests.factories.allocations import rival_award

SMALL, HALF = "1g.10gb", "3g.40gb"


def gpu(stage: Stage, index: int = 0) -> Device:
    return stage.big.devices.get(index=index, parent=None)


@pytest.fixture
def parts(stage: Stage) -> list[Device]:
    """The instances of two GPUs, seven small ones each."""
    return [each for index in (0, 1) for each in cut(gpu(stage, index), *[SMALL] * 7)]


def devices_of(lease: Lease) -> list[Device]:
    rows = lease.placements.filter(released=False).select_related("device__node", "device__parent")
    return [row.device for row in rows.order_by("device_id")]


def refused(code: str, verb: Any, *args: Any, **asked: Any) -> RuleBroken:
    with pytest.raises(RuleBroken) as caught:
        verb(*args, **asked)
    assert caught.value.code == code, caught.value
    return caught.value


def test_instances_are_booked_by_profile_and_whole_gpus_without(stage: Stage, parts: list[Device]) -> None:
    small, whole = stage.book(3, profile=SMALL), stage.book(3)
    assert [each.profile for each in devices_of(small)] == [SMALL] * 3
    assert (small.profile, small.slices, small.slices_of, small.share * 8) == (SMALL, 1, 8, 1)
    assert all(each.parent is None and not each.set_aside for each in devices_of(whole)) and whole.share == 1
    row = small.placements.first()
    assert row is not None and row.board == row.device.parent and row.slices == row.device.slices


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", ("3 × MIG 1g.10gb from", "2 GPUs from")), ("ko", ("1g.10gb MIG 인스턴스 3개", "GPU 2개"))],
)
def test_mail_names_instances_by_their_profile(
    stage: Stage, parts: list[Device], language: str, words: tuple[str, str]
) -> None:
    User.objects.filter(pk=stage.cast.owner.pk).update(language=language)
    stage.cast.owner.refresh_from_db()
    stage.book(3, profile=SMALL)
    stage.book(2, start=40)
    small, whole = Notification.objects.filter(event="lease_booked").order_by("pk")
    assert words[0] in small.subject and words[1] in whole.subject
    assert words[0].removesuffix(" from") in small.body and "MIG" not in whole.body


def test_what_is_begun_is_filled_before_another_gpu_is_touched(stage: Stage, parts: list[Device]) -> None:
    boards = [set() for _each in range(3)]
    for number, count in enumerate((3, 4, 2)):
        boards[number] = {each.parent_id for each in devices_of(stage.book(count, profile=SMALL))}
    assert boards[0] == boards[1] and len(boards[0]) == 1, "seven fill the first"
    assert boards[2].isdisjoint(boards[0])


def test_two_organisations_are_on_one_gpu_only_where_they_may_share_its_node(stage: Stage, parts: list[Device]) -> None:
    rival = rival_award(stage.cast, stage.pool)
    theirs: dict[str, Any] = {"actor": stage.cast.outsider, "allocation": rival, "profile": SMALL}
    stage.book(1, profile=SMALL)
    error = refused("no_free_devices", stage.book, 1, **theirs)
    assert error.facts["whole_nodes"] and error.facts["profile"] == SMALL
    stage.pool.shared_nodes = True
    stage.pool.save()
    stage.book(1, start=5, profile=SMALL)
    other = stage.book(1, start=5, **theirs)
    boards = {each.parent_id for each in devices_of(other)}
    assert boards == {parts[0].parent_id}


def test_a_full_pool_names_the_next_window_of_instances(stage: Stage, parts: list[Device]) -> None:
    first = stage.book(14, profile=SMALL)
    error = refused("no_free_devices", stage.book, 1, profile=SMALL)
    assert error.facts["next_start"] >= first.ends_at.isoformat()[:16] and SMALL in str(error)
    ending.cancel(actor=stage.cast.owner, lease=first)
    assert stage.book(14, profile=SMALL).state == "scheduled"


def test_what_a_pool_has_not_is_refused_with_what_it_has(stage: Stage, parts: list[Device]) -> None:
    error = refused("profile", stage.book, 1, profile=HALF)
    assert error.field == "profile" and error.facts["offered"] == [SMALL] and SMALL in str(error)


def test_instances_know_no_nvlink_and_every_other_shape(stage: Stage, parts: list[Device]) -> None:
    assert refused("shape", stage.book, 2, profile=SMALL, shape=Shape("nvlink")).field == "shape"
    cut(stage.small.devices.get(index=0, parent=None), SMALL, SMALL)
    together = stage.book(7, profile=SMALL, shape=Shape("same_node"))
    assert {each.node for each in devices_of(together)} == {stage.big}
    spread = stage.book(4, profile=SMALL, shape=Shape("nodes", 2))
    assert sorted(each.node.name for each in devices_of(spread)) == sorted([stage.big.name, stage.small.name] * 2)


def test_ceilings_count_instances_by_their_share_and_round_the_sum_up(stage: Stage, parts: list[Device]) -> None:
    stage.allocation.concurrent_gpus = 1
    stage.allocation.save()
    stage.book(7, profile=SMALL)
    error = refused("concurrent_gpus", stage.book, 2, profile=SMALL)
    assert (error.facts["used"], error.facts["left"]) == (1, 1)
    stage.book(1, profile=SMALL)
    assert refused("concurrent_gpus", stage.book, 1, profile=SMALL).facts["left"] == 0
    assert refused("concurrent_gpus", stage.book, 1).facts["left"] == 0, "no whole one beside eight eighths"


def test_the_ceiling_of_the_agreement_counts_the_same_way(stage: Stage, parts: list[Device]) -> None:
    agreement = stage.allocation.project.agreement
    agreement.ceiling_concurrent_gpus = 1
    agreement.save()
    stage.book(7, profile=SMALL)
    refused("ceiling_concurrent_gpus", stage.book, 1)
    stage.book(1, profile=SMALL)
    refused("ceiling_concurrent_gpus", stage.book, 1, profile=SMALL)


def test_a_reservation_changes_between_instances_and_whole_gpus(stage: Stage, parts: list[Device]) -> None:
    lease = stage.book(2, profile=SMALL)
    kept = {each.pk for each in devices_of(lease)}
    ask: dict[str, Any] = {"actor": stage.cast.owner, "lease": lease, "starts_at": lease.starts_at, "shape": Shape()}
    lease = changing.change(device_count=3, ends_at=lease.ends_at, **ask)
    assert lease.profile == SMALL and kept < {each.pk for each in devices_of(lease)}
    lease = changing.change(device_count=1, ends_at=lease.ends_at, profile="", **ask)
    assert (lease.profile, lease.share, [each.parent for each in devices_of(lease)]) == ("", 1, [None])
    lease = changing.change(device_count=1, ends_at=lease.ends_at, profile=SMALL, **ask)
    assert (lease.profile, lease.slices) == (SMALL, 1)
    lease = extending.extend(actor=stage.cast.owner, lease=lease, ends_at=lease.ends_at + timedelta(hours=1))
    assert lease.placements.get(released=False).window.upper == lease.ends_at
    event = AuditEvent.objects.filter(verb="lease.change").order_by("id").last()
    assert event is not None and event.changes["profile"] == ["", SMALL]


def test_slots_are_found_for_instances_too(stage: Stage, parts: list[Device]) -> None:
    first = stage.book(14, profile=SMALL, hours=4)
    wish = Wish(2, 1, timedelta(hours=2), first.starts_at, first.starts_at + timedelta(days=2), profile=SMALL)
    best = find_slots([stage.allocation], wish, stage.now)[0]
    assert best.start >= first.ends_at and best.profile == SMALL and best.count == 2
    (share,) = best.shares
    assert (share.taken, share.size) == (2, 14)
    lease = booking.book(
        actor=stage.cast.owner,
        allocation=stage.allocation,
        device_count=2,
        starts_at=best.start,
        ends_at=best.end,
        profile=best.profile,
    )
    assert lease.profile == SMALL
    nowhere = Wish(1, 1, timedelta(hours=2), stage.now, stage.now + timedelta(days=2), profile=HALF)
    assert find_slots([stage.allocation], nowhere, stage.now) == []


def partition(stage: Stage, device: Device, *names: str, plan: Plan | None = None, force: bool = False) -> Any:
    return operating.partition_device(
        actor=stage.cast.operator, device=device, instances=names, reason="small jobs", plan=plan or {}, force=force
    )


def test_a_promised_gpu_is_not_cut_without_a_plan(stage: Stage) -> None:
    lease = stage.book(1)
    (device,) = devices_of(lease)
    refused("promises", partition, stage, device, SMALL, SMALL)
    device.refresh_from_db()
    assert not device.set_aside and not NodeCommand.objects.exists()
    done = partition(stage, device, SMALL, SMALL, plan={lease.public_id: "move"}, force=True)
    assert [each.pk for each in devices_of(lease)] != [device.pk] and done.target.layout == [[SMALL, 0], [SMALL, 1]]


def test_instances_that_stay_keep_their_reservations_and_those_that_go_do_not(stage: Stage) -> None:
    half, *small = cut(gpu(stage), HALF, SMALL, SMALL)
    mine = stage.book(1, devices=[half], profile=HALF)
    gone = stage.book(1, devices=[small[0]], profile=SMALL)
    error = refused("promises", partition, stage, gpu(stage), HALF, "2g.20gb")
    assert [fact["lease"] for fact in error.facts["leases"]] == [gone.public_id]
    partition(stage, gpu(stage), HALF, "2g.20gb", plan={gone.public_id: "end"}, force=True)
    assert devices_of(mine) == [half]
    gone.refresh_from_db()
    assert gone.state == "cancelled"
    refused("profile", stage.book, 1, profile=SMALL)


def test_a_quarantined_gpu_moves_the_reservations_of_its_instances(stage: Stage, parts: list[Device]) -> None:
    lease = stage.book(2, profile=SMALL)
    board = devices_of(lease)[0].parent
    assert board is not None
    refused("promises", operating.quarantine_device, actor=stage.cast.operator, device=board, reason="ill")
    plan = {lease.public_id: "move"}
    operating.quarantine_device(actor=stage.cast.operator, device=board, reason="ill", plan=plan, force=True)
    assert {each.parent_id for each in devices_of(lease)} == {parts[7].parent_id}
    assert set(board.instances.values_list("state", flat=True)) == {"quarantined"}


def test_announced_work_takes_instances_with_their_gpu(stage: Stage, parts: list[Device]) -> None:
    begin = stage.now + timedelta(hours=1)
    operating.announce_maintenance(
        actor=stage.cast.operator, node=stage.big, starts_at=begin, ends_at=begin + timedelta(hours=3), reason="fans"
    )
    error = refused("no_free_devices", stage.book, 1, profile=SMALL)
    assert error.facts["next_start"] is not None
    assert stage.book(1, start=5, profile=SMALL).state == "scheduled"
