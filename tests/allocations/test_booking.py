"""Booking: what is refused, with which figures; what is taken; what it costs."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from allocations.models import LedgerEntry, Placement
from allocations.selectors import balances, capacities, free_times
from allocations.services import booking, ending, extending
from allocations.shapes import Shape
from audit.models import AuditEvent
from cluster.models import Device
from common.errors import Forbidden, RuleBroken, WrongState
from notifications.models import Notification
from tests.allocations.conftest import Stage
from tests.factories import AllocationFactory, make_node


def _refused(code: str, call, *args, **kwargs) -> RuleBroken:
    with pytest.raises(RuleBroken) as refused:
        call(*args, **kwargs)
    assert refused.value.code == code, str(refused.value)
    return refused.value


def test_a_booking_holds_devices_and_hours_and_is_written_down(stage: Stage) -> None:
    lease = stage.book(3, hours=2)
    assert lease.state == "scheduled"
    assert [(row.slices.lower, row.slices.upper) for row in lease.placements.all()] == [(0, 8)] * 3
    assert balances.balance(stage.allocation).held == 3 * 2 * 3600
    assert AuditEvent.objects.filter(verb="lease.book", target_id=lease.public_id).count() == 1
    assert Notification.objects.get(event="lease_booked").recipient == stage.cast.owner


def test_the_best_fitting_node_is_taken_and_whole_nodes_are_kept_whole(stage: Stage) -> None:
    assert {row.device.node for row in stage.book(4).placements.all()} == {stage.small}
    assert {row.device.node for row in stage.book(8).placements.all()} == {stage.big}


def test_a_booking_too_large_for_one_node_takes_the_fewest(stage: Stage) -> None:
    lease = stage.book(10)
    assert {row.device.node for row in lease.placements.all()} == {stage.big, stage.small}
    assert lease.placements.filter(device__node=stage.big).count() == 8


@pytest.mark.parametrize("count", [1, 12])
def test_a_booking_costs_the_same_number_of_statements_whatever_its_size(stage: Stage, count: int) -> None:
    with CaptureQueriesContext(connection) as queries:
        stage.book(count)
    statements = [q["sql"] for q in queries if "SAVEPOINT" not in q["sql"]]
    more = count > 8  # no node has so many: then all are looked at
    assert len(statements) <= 12 + more, "\n".join(statements)


def test_no_free_devices_offers_a_window_that_can_then_be_booked(stage: Stage) -> None:
    stage.book(10, start=1, hours=2)
    error = _refused("no_free_devices", stage.book, 4, start=2, hours=5)
    start, end = parse_datetime(error.facts["next_start"]), parse_datetime(error.facts["next_end"])
    assert end - start == timedelta(hours=5)
    assert booking.book(
        actor=stage.cast.owner, allocation=stage.allocation, device_count=4, starts_at=start, ends_at=end
    )


def test_more_than_the_pool_has_is_never_offered(stage: Stage) -> None:
    assert _refused("no_free_devices", stage.book, 13).facts["next_start"] is None


def test_the_next_window_costs_one_query_whatever_is_booked(stage: Stage, django_assert_num_queries) -> None:
    for start in range(1, 7):
        stage.book(9, start=start, hours=1)
    with django_assert_num_queries(1):
        found = free_times.next_free_window(stage.pool, 4, timedelta(hours=2), stage.now)
    assert found is not None and found[0] >= stage.now + timedelta(hours=7)


def test_an_overspend_names_what_is_needed_and_left_and_the_longest_window(stage: Stage) -> None:
    poor = AllocationFactory(project=stage.cast.project, pool=stage.pool, awarded_gpu_seconds=4 * 3600)
    error = _refused("balance", stage.book, 2, hours=3, allocation=poor)
    assert error.facts["needed_device_seconds"] == 6 * 3600
    assert error.facts["left_device_seconds"] == 4 * 3600
    assert error.facts["longest_seconds"] == 2 * 3600
    assert stage.book(2, hours=2, allocation=poor)
    assert balances.balance(poor).left == 0


def test_concurrency_counts_the_peak_of_other_leases(stage: Stage) -> None:
    narrow = AllocationFactory(project=stage.cast.project, pool=stage.pool, concurrent_gpus=6)
    stage.book(4, start=1, hours=1, allocation=narrow)
    stage.book(4, start=2, hours=1, allocation=narrow)
    error = _refused("concurrent_gpus", stage.book, 3, start=1, hours=2, allocation=narrow)
    assert error.facts == {"ceiling": 6, "used": 4, "asked": 3, "left": 2}
    assert stage.book(2, start=1, hours=2, allocation=narrow)


def test_the_agreement_refuses_too(stage: Stage) -> None:
    stage.cast.agreement.ceiling_concurrent_gpus = 2
    stage.cast.agreement.save()
    assert _refused("ceiling_concurrent_gpus", stage.book, 3).facts["left"] == 2


@pytest.mark.parametrize(
    ("start", "hours", "code"),
    [
        (-1, 3, "start_in_past"),
        (1, -0.5, "end_before_start"),
        (1, 0, "end_before_start"),
        (1, 0.1, "window_too_short"),
        (1, 24 * 91, "window_too_long"),
        (24 * 199, 48, "outside_allocation"),
    ],
)
def test_windows_that_cannot_be(stage: Stage, start: float, hours: float, code: str) -> None:
    _refused(code, stage.book, 1, start=start, hours=hours)


@pytest.mark.parametrize("count", [0, -1])
def test_no_gpus_is_refused(stage: Stage, count: int) -> None:
    _refused("no_gpus", stage.book, count)


def test_a_start_of_a_few_minutes_ago_is_now(stage: Stage) -> None:
    lease = stage.book(1, start=-4 / 60)
    assert timezone.now() - lease.starts_at < timedelta(minutes=1)


def test_people_who_may_not(stage: Stage) -> None:
    for name in ("viewer", "outsider", "officer"):
        with pytest.raises(Forbidden):
            stage.book(1, actor=getattr(stage.cast, name))
    assert stage.book(1, actor=stage.cast.teammate)


def test_an_allocation_that_is_not_active_books_nothing(stage: Stage) -> None:
    with pytest.raises(WrongState):
        stage.book(1, allocation=AllocationFactory(project=stage.cast.project, pool=stage.pool, state="suspended"))


def test_devices_that_are_ill_lost_or_not_ready_are_not_taken(stage: Stage) -> None:
    devices = list(Device.objects.filter(node=stage.small))
    Device.objects.filter(pk=devices[0].pk).update(state="quarantined")
    Device.objects.filter(pk=devices[1].pk).update(health="fail")
    Device.objects.filter(pk=devices[2].pk).update(state="cleaning")
    make_node(stage.pool, 4, state="suspect")
    assert capacities.capacity(stage.pool, stage.now, stage.now + timedelta(hours=1)).free == 9
    later = stage.now + timedelta(hours=2)
    assert capacities.capacity(stage.pool, later, later + timedelta(hours=1)).free == 10


def test_a_cancelled_booking_gives_everything_back(stage: Stage) -> None:
    lease = ending.cancel(actor=stage.cast.owner, lease=stage.book(4))
    assert lease.state == "cancelled"
    balance = balances.balance(stage.allocation)
    assert (balance.held, balance.charged, balance.left) == (0, 0, balance.awarded)
    assert not Placement.objects.filter(lease=lease, released=False).exists()
    with pytest.raises(WrongState):
        ending.cancel(actor=stage.cast.owner, lease=lease)


def test_only_the_booker_and_managers_end_a_lease(stage: Stage) -> None:
    lease = stage.book(1)
    for name in ("teammate", "viewer", "outsider", "officer"):
        with pytest.raises(Forbidden):
            ending.cancel(actor=getattr(stage.cast, name), lease=lease)
    assert ending.cancel(actor=stage.cast.manager, lease=lease)


def test_the_ledger_sums_to_the_balance_and_cannot_be_rewritten(stage: Stage) -> None:
    ending.cancel(actor=stage.cast.owner, lease=stage.book(2))
    stage.book(3)
    total = sum(LedgerEntry.objects.filter(allocation=stage.allocation).values_list("device_seconds", flat=True))
    balance = balances.balance(stage.allocation)
    assert total == balance.left == balance.awarded - balance.held - balance.charged
    moved = LedgerEntry.objects.filter(lease__isnull=False)
    assert all(entry.why for entry in moved), "every line of a reservation says why"


def test_extending_a_scheduled_lease_moves_its_end_and_holds_the_difference(stage: Stage) -> None:
    lease = stage.book(2, hours=2)
    extending.extend(actor=stage.cast.owner, lease=lease, ends_at=lease.ends_at + timedelta(hours=1))
    assert balances.balance(stage.allocation).held == 2 * 3 * 3600


def test_extending_into_somebody_elses_window_is_refused(stage: Stage) -> None:
    lease = stage.book(12, start=1, hours=1)
    stage.book(1, start=2, hours=1)
    _refused(
        "no_free_devices",
        extending.extend,
        actor=stage.cast.owner,
        lease=lease,
        ends_at=lease.ends_at + timedelta(hours=1),
    )


def test_committed_sums_the_awards_of_an_agreement(stage: Stage) -> None:
    AllocationFactory(project=stage.cast.project, pool=stage.pool, concurrent_gpus=8, state="closed")
    stage.proved = False  # closed past the service, which writes off what is left
    found = balances.committed(stage.cast.agreement)
    assert (found.gpu_seconds, found.concurrent_gpus) == (2 * 10_000 * 3600, 64)


def test_named_devices_that_are_taken_are_refused_as_such_with_their_own_next_window(stage: Stage) -> None:
    device = Device.objects.filter(node=stage.big).order_by("pk")[0]
    held = stage.book(1, start=1, hours=4, devices=[device])
    error = _refused("no_free_devices", stage.book, 1, start=1, hours=2, devices=[device])
    assert "whole_nodes" not in error.facts, "nobody else is on the node"
    assert parse_datetime(error.facts["next_start"]) >= held.ends_at


def test_as_many_as_are_free_where_fewer_still_help(stage: Stage) -> None:
    stage.book(9, start=1, hours=2)
    lease = stage.book(8, start=1, hours=2, smallest=2)
    assert lease.device_count == lease.placements.count() == 3
    assert balances.balance(stage.allocation).held == (9 + 3) * 2 * 3600
    assert stage.book(8, start=4, hours=1, smallest=2).device_count == 8, "all of them where they are free"


def test_no_fewer_than_still_help_and_only_in_the_shape_that_was_asked_for(stage: Stage) -> None:
    stage.book(7, start=1, hours=2, devices=list(stage.big.devices.all())[:7])
    error = _refused("no_free_devices", stage.book, 8, start=1, hours=2, smallest=6)
    assert error.facts["asked"] == 8
    assert stage.book(6, start=1, hours=2, smallest=2, shape=Shape("nodes", 2)).device_count == 2
    error = _refused("smallest", stage.book, 2, start=9, smallest=3)
    assert error.field == "smallest" and error.remedy
