"""Serving the wait-list: who is offered what and when, and what is never offered."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from allocations.models import Allocation, Lease, WaitEntry
from allocations.selectors import balances
from allocations.services import awards, booking, ending, offering, operating, pools, reconcile, serving, waitlist
from allocations.shapes import Shape
from cluster.models import Device, MaintenanceWindow
from notifications.models import Notification
from partners.models import Agreement, Membership
from tests.allocations.conftest import Stage
from tests.allocations.test_reconcile import brought_back, go, started
from tests.allocations.waiting import HOUR, full, join, rival, serve, wake_all
from tests.factories import AllocationFactory
from tests.queries import queries_of


def state_of(entry: WaitEntry) -> str:
    entry.refresh_from_db()
    return str(entry.state)


def offered(*entries: WaitEntry) -> list[WaitEntry]:
    return [entry for entry in entries if state_of(entry) == "offered"]


def halves(stage: Stage) -> list[Lease]:
    """The pool is full of three reservations of four GPUs each, one of them the whole small node."""
    award = AllocationFactory(project=stage.cast.project, pool=stage.pool)
    return [stage.book(4, start=0.1, hours=10, allocation=award) for _turn in range(3)]


def cancel(stage: Stage, *leases: Lease) -> None:
    for lease in leases:
        ending.cancel(actor=stage.cast.owner, lease=lease)


def test_nothing_is_offered_while_nothing_is_free(stage: Stage) -> None:
    full(stage)
    entry = join(stage, rival(stage))
    assert serve(stage) == 0 and state_of(entry) == "waiting"
    assert entry.next_try_at > stage.now and entry.next_try_at.minute % 15 == 0


def test_what_is_cancelled_is_offered_to_the_first_and_told_in_words(stage: Stage) -> None:
    small, *_others = halves(stage)
    first, second = join(stage, rival(stage)), join(stage, rival(stage))
    cancel(stage, small)
    assert serve(stage) == 1
    assert offered(first, second) == [first]
    lease = first.lease
    assert lease and lease.state == "offered" and lease.booked_by == first.asked_by
    assert lease.offer_until == min(stage.now + timedelta(days=1), lease.starts_at)
    assert lease.placements.filter(released=False).count() == 4
    assert balances.balance(first.allocation).held == 4 * 7200
    note = Notification.objects.get(event="offer_made", recipient=first.asked_by)
    assert note.url == lease.get_absolute_url() and "4 GPUs" in note.subject
    assert not Notification.objects.filter(event="lease_booked", recipient=first.asked_by).exists()


def test_an_offer_gives_time_to_answer_where_the_wish_leaves_it(stage: Stage) -> None:
    lease = full(stage)
    soon = join(stage, rival(stage), earliest=stage.now)
    cancel(stage, lease)
    serve(stage)
    assert offered(soon) and soon.lease and soon.lease.starts_at >= stage.now + HOUR
    pools.hold_offers(actor=stage.cast.officer, pool=stage.pool, seconds=1200, reason="x")
    waitlist.leave(actor=soon.asked_by, entry=soon)
    again = full(stage)
    later = join(stage, soon.allocation, earliest=stage.now + 3 * HOUR, latest=stage.now + 6 * HOUR)
    cancel(stage, again)
    serve(stage)
    assert offered(later) and later.lease and later.lease.offer_until == stage.now + timedelta(minutes=20)


def test_an_offer_that_nobody_could_read_in_time_is_not_made(stage: Stage) -> None:
    lease, room = full(stage), timedelta(minutes=12)
    soon = join(stage, rival(stage), earliest=stage.now, latest=stage.now + 2 * HOUR + room)
    late = join(stage, rival(stage), earliest=stage.now, latest=stage.now + 2 * HOUR + room + timedelta(minutes=2))
    cancel(stage, lease)
    serve(stage, timedelta(minutes=3))
    assert [state_of(soon), state_of(late)] == ["expired", "offered"]
    assert late.lease and late.lease.offer_until
    assert late.lease.offer_until - stage.now >= timedelta(minutes=13)
    assert late.lease.offer_until <= late.lease.starts_at


def test_the_smallest_useful_size_is_offered_where_all_is_not_to_be_had(stage: Stage) -> None:
    small, *_others = halves(stage)
    whole, part = join(stage, rival(stage), 8), join(stage, rival(stage), 8, 2)
    cancel(stage, small)
    serve(stage)
    assert offered(whole, part) == [part]
    assert part.lease and part.lease.device_count == 4, "as many as there are"
    assert state_of(whole) == "waiting" and whole.passed_over == 1


def test_the_shape_is_kept(stage: Stage) -> None:
    one, two, three = halves(stage)
    whole_node = rival(stage)
    entry = join(stage, whole_node, 4, shape=Shape("nodes", 2))
    cancel(stage, one)
    serve(stage)
    assert state_of(entry) == "waiting", "four on one node are not two on each of two"
    cancel(stage, two, three)
    serve(stage)
    assert offered(entry) and entry.lease
    assert entry.lease.placements.filter(released=False).values("node").distinct().count() == 2


def test_a_lower_entry_is_served_when_the_head_does_not_fit_until_the_head_is_protected(stage: Stage) -> None:
    one, two, three = halves(stage)
    head = join(stage, rival(stage), 12)
    others = [join(stage, rival(stage)) for _turn in range(4)]
    for number in range(3):
        cancel(stage, one)
        serve(stage)
        served = others[number]
        assert offered(*others) == [served], number
        head.refresh_from_db()
        assert head.passed_over == number + 1
        assert served.lease
        ending.reclaim(actor=stage.cast.officer, lease=served.lease, reason="makes room for the next turn")
        waitlist.leave(actor=served.asked_by, entry=served)
        one = stage.book(4, start=0.1, hours=10, allocation=two.allocation)
    cancel(stage, one)
    serve(stage)
    assert not offered(*others), "four are free, and kept for the head that was passed over three times"
    cancel(stage, two, three)
    serve(stage)
    assert offered(head, *others) == [head]


def test_whoever_waited_for_a_week_is_protected_too_but_only_in_the_nearest_window(stage: Stage) -> None:
    one, _two, _three = halves(stage)
    head = join(stage, rival(stage), 12)
    WaitEntry.objects.filter(pk=head.pk).update(joined_at=stage.now - timedelta(days=8))
    same_time = join(stage, rival(stage), 4, latest=stage.now + 7 * HOUR)
    cancel(stage, one)
    serve(stage)
    assert offered(head, same_time) == [same_time]
    assert same_time.lease and same_time.lease.starts_at >= stage.now + 3 * HOUR, "the head's two hours are left alone"


def test_an_ask_that_the_pool_can_not_meet_any_more_keeps_nobody_off(stage: Stage) -> None:
    one, _two, _three = halves(stage)
    head = join(stage, rival(stage), 12)
    WaitEntry.objects.filter(pk=head.pk).update(passed_over=9)
    behind = join(stage, rival(stage), 3)
    Device.objects.filter(pk=stage.small.devices.first().pk).update(state="quarantined")
    cancel(stage, one)
    serve(stage)
    assert offered(head, behind) == [behind]


def test_everybody_is_looked_at_in_their_order_over_as_many_ticks_as_it_takes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "AT_ONCE", 2)
    one, *_others = halves(stage)
    entries = [join(stage, rival(stage), 12) for _turn in range(4)] + [join(stage, rival(stage), 4)]
    cancel(stage, one)
    wake_all()
    assert [serving.serve(stage.now) for _tick in range(4)] == [0, 0, 1, 0]
    assert offered(*entries) == entries[4:]
    assert [entry.passed_over for entry in WaitEntry.objects.order_by("pk")] == [1, 1, 1, 1, 0]


# --- what frees


def freed_by_release(stage: Stage, lease: Lease) -> Any:
    ending.release(actor=stage.cast.owner, lease=lease)
    return brought_back(go(lease, stage.now + HOUR), stage.now + HOUR)


def freed_by_reclaim(stage: Stage, lease: Lease) -> Any:
    ending.reclaim(actor=stage.cast.officer, lease=lease, reason="idle")
    return brought_back(go(lease, stage.now + HOUR), stage.now + HOUR)


@pytest.mark.parametrize("free", [freed_by_release, freed_by_reclaim])
def test_a_running_reservation_that_comes_back_wakes_the_list(
    stage: Stage, free: Callable[..., Any], django_capture_on_commit_callbacks: Any
) -> None:
    lease = started(stage, count=12, hours=9)
    late = {"earliest": stage.now + 3 * HOUR, "latest": stage.now + 6 * HOUR}
    entry = join(stage, rival(stage), 12, **late)
    WaitEntry.objects.update(next_try_at=stage.now + 24 * HOUR)
    assert serving.serve(stage.now) == 0
    with django_capture_on_commit_callbacks(execute=True):
        free(stage, lease)
    assert serving.serve(stage.now + HOUR) == 1 and offered(entry)


def test_a_repaired_device_wakes_the_list(stage: Stage, django_capture_on_commit_callbacks: Any) -> None:
    device = stage.small.devices.first()
    stage.book(8, start=0.1, hours=10, devices=list(stage.big.devices.all()))
    operating.quarantine_device(actor=stage.cast.operator, device=device, reason="fan")
    entry = join(stage, rival(stage), 4)
    WaitEntry.objects.update(next_try_at=stage.now + 24 * HOUR)
    assert serving.serve(stage.now) == 0
    with django_capture_on_commit_callbacks(execute=True):
        operating.return_device(actor=stage.cast.operator, device=device, reason="new fan")
    assert serving.serve(timezone.now()) == 1 and offered(entry)


def test_cancelled_maintenance_wakes_the_list(stage: Stage, django_capture_on_commit_callbacks: Any) -> None:
    stage.book(8, start=0.1, hours=10, devices=list(stage.big.devices.all()))
    announced = operating.announce_maintenance(
        actor=stage.cast.operator,
        node=stage.small,
        starts_at=stage.now + HOUR / 2,
        ends_at=stage.now + 20 * HOUR,
        reason="fans",
    )
    entry = join(stage, rival(stage), 4)
    WaitEntry.objects.update(next_try_at=stage.now + 24 * HOUR)
    window = announced.target
    assert isinstance(window, MaintenanceWindow)
    with django_capture_on_commit_callbacks(execute=True):
        operating.cancel_maintenance(actor=stage.cast.operator, window=window, reason="not needed")
    assert serving.serve(timezone.now()) == 1 and offered(entry)


# --- entries that are not what they were


def test_an_entry_whose_window_is_past_expires(stage: Stage) -> None:
    full(stage)
    entry = join(stage, rival(stage))
    assert serve(stage, 6 * HOUR) == 1 and state_of(entry) == "expired"
    assert Notification.objects.filter(event="waitlist_dropped", recipient=entry.asked_by).count() == 1
    assert join(stage, entry.allocation), "it may join anew"


def closed(stage: Stage, award: Allocation) -> None:
    awards.close(actor=stage.cast.officer, allocation=award, reason="over")


def run_out(_stage: Stage, award: Allocation) -> None:
    Agreement.objects.filter(pk=award.project.agreement_id).update(state="lapsed")


def asker_gone(_stage: Stage, award: Allocation) -> None:
    Membership.objects.filter(organisation=award.project.organisation).delete()


def smaller(_stage: Stage, award: Allocation) -> None:
    Agreement.objects.filter(pk=award.project.agreement_id).update(ceiling_concurrent_gpus=3)


@pytest.mark.parametrize("change", [closed, run_out, asker_gone, smaller])
def test_an_entry_that_its_own_rules_will_never_let_pass_again_leaves_the_list(
    stage: Stage, change: Callable[..., None]
) -> None:
    lease = full(stage)
    entry, behind = join(stage, rival(stage), 12), join(stage, rival(stage), 12)
    change(stage, entry.allocation)
    cancel(stage, lease)
    serve(stage)
    assert state_of(entry) == "dropped" and entry.state_reason
    assert offered(behind)


@pytest.mark.parametrize("what", ["allocation", "agreement"])
def test_a_suspended_entry_keeps_its_place_and_is_passed_by(stage: Stage, what: str) -> None:
    lease = full(stage)
    entry, behind = join(stage, rival(stage), 12), join(stage, rival(stage), 12)
    rows: Any = Allocation.objects.filter(pk=entry.allocation_id)
    if what == "agreement":
        rows = Agreement.objects.filter(pk=entry.allocation.project.agreement_id)
    rows.update(state="suspended")
    cancel(stage, lease)
    serve(stage)
    assert offered(entry, behind) == [behind]
    assert entry.obstacle and entry.passed_over == 0
    rows.update(state="active")
    assert behind.lease
    ending.reclaim(actor=stage.cast.officer, lease=behind.lease, reason="needed")
    serve(stage)
    assert offered(entry, behind) == [entry]


def test_whoever_books_by_hand_meanwhile_keeps_the_place_only_while_the_rules_allow_both(stage: Stage) -> None:
    one, *_others = halves(stage)
    narrow = rival(stage, concurrent_gpus=4)
    entry = join(stage, narrow, 4)
    other = join(stage, rival(stage), 12)
    cancel(stage, one)
    booking.book(
        actor=entry.asked_by,
        allocation=narrow,
        device_count=4,
        starts_at=stage.now + HOUR,
        ends_at=stage.now + 8 * HOUR,
    )
    serve(stage)
    assert state_of(entry) == "dropped" and "at once" in entry.state_reason and state_of(other) == "waiting"


def test_hours_spent_by_hand_meanwhile_end_the_wait_unless_they_may_come_back(stage: Stage) -> None:
    lease = full(stage)
    award = rival(stage, awarded_gpu_seconds=12 * 7200 + 3600)
    entry = join(stage, award, 12)
    cancel(stage, lease)
    mine = booking.book(
        actor=entry.asked_by,
        allocation=award,
        device_count=1,
        starts_at=stage.now + timedelta(minutes=5),
        ends_at=stage.now + 2 * HOUR,
    )
    go(mine, stage.now + timedelta(minutes=5))
    serve(stage)
    assert state_of(entry) == "waiting" and entry.obstacle == "balance", "it runs: some of it may come back"
    stage.proved = False  # the end of the reservation is not played to the end here
    Lease.objects.filter(pk=mine.pk).update(state="scheduled")
    serve(stage)
    assert state_of(entry) == "dropped"


def test_offers_of_an_award_that_is_not_in_force_go_back_at_once(stage: Stage) -> None:
    lease = full(stage)
    suspended, over = join(stage, rival(stage), 8), join(stage, rival(stage), 4)
    cancel(stage, lease)
    serve(stage)
    assert len(offered(suspended, over)) == 2
    Allocation.objects.filter(pk=suspended.allocation_id).update(state="suspended")
    closed(stage, over.allocation)
    assert offering.end_what_is_over(stage.now) == 2
    assert (state_of(suspended), suspended.missed) == ("waiting", 0)
    assert state_of(over) == "dropped"
    assert not Lease.objects.filter(state="offered").exists()


# --- what it costs


def test_serving_costs_one_question_when_nobody_waits(stage: Stage) -> None:
    assert len(queries_of(lambda: serving.serve(stage.now))) == 1


def test_serving_fifty_who_wait_costs_no_more_than_the_twenty_that_are_looked_at(stage: Stage) -> None:
    full(stage)
    for _turn in range(50):
        join(stage, rival(stage), 12)
    wake_all()
    with CaptureQueriesContext(connection) as captured:
        serving.serve(stage.now)
    assert len(captured) <= 12 + 14 * serving.AT_ONCE, len(captured)
    assert WaitEntry.objects.filter(next_try_at__lte=stage.now).count() == 30
    WaitEntry.objects.update(next_try_at=stage.now + HOUR)
    assert len(queries_of(lambda: serving.serve(stage.now))) == 4


def test_a_tick_serves_the_list(stage: Stage) -> None:
    lease = full(stage)
    entry = join(stage, rival(stage), 12)
    cancel(stage, lease)
    wake_all()
    assert reconcile.tick(stage.now) == 1 and offered(entry)
