"""The capacity board's figures."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange
from django.utils import timezone

from allocations.models import Envelope, Placement
from cluster.models import Device, Node, Pool
from proposals.services import answers
from reports.capacity import Step
from reports.selectors.board import board, scope_of
from telemetry.models import DeviceMinute, PoolHour
from telemetry.services import roll_up_hours
from tests.factories import AllocationFactory, DeviceFactory, PoolFactory, make_node
from tests.proposals.stage import make_stage
from tests.queries import queries_of
from tests.reports.board_stage import DAY, HOUR, BoardStage, make_board_stage

pytestmark = pytest.mark.django_db


@pytest.fixture
def stage() -> Iterator[BoardStage]:
    with timezone.override(ZoneInfo("Asia/Seoul")):
        yield make_board_stage()


def column(stage: BoardStage, name: str, **fields: Any) -> list[Any]:
    return [getattr(figures, name) for figures in stage.figures(**fields)]


def test_an_empty_pool_shows_what_there_is(stage: BoardStage) -> None:
    for figures in stage.figures():
        assert (figures.physical, figures.out, figures.bookable, figures.room, figures.over) == (12, 0, 12, 12, 0)
        assert (figures.promised, figures.booked, figures.booked_mean, figures.used_mean) == (0, 0, 0, None)


def test_booked_is_the_most_at_one_moment_and_the_mean_over_time(stage: BoardStage) -> None:
    stage.book(stage.big, 4, 0.25, 0.5)
    stage.book(stage.small, 2, 0.25, 0.75)
    stage.book(stage.big, 8, 0.5, 1)
    assert column(stage, "booked") == [10, 0, 0]
    assert column(stage, "booked_mean") == [pytest.approx(0.25 * 6 + 0.25 * 10 + 0.25 * 8), 0, 0]


def test_a_window_that_ends_where_a_bucket_begins_is_not_in_it(stage: BoardStage) -> None:
    stage.book(stage.big, 3, 0, 1)
    stage.book(stage.big, 5, 1, 3)
    assert column(stage, "booked") == [3, 5, 5]
    assert column(stage, "booked_mean") == [3, 5, 5]
    assert column(stage, "booked", days=14, step="week") == [5, 0]
    assert column(stage, "booked_mean", days=7, step="week") == [pytest.approx((3 + 10) / 7)]


def test_what_began_before_and_ends_after_the_span_counts_in_all_of_it(stage: BoardStage) -> None:
    stage.book(stage.big, 4, -30, 60)
    stage.promise(6, -30, 60)
    assert column(stage, "booked") == [4, 4, 4]
    assert column(stage, "promised") == [6, 6, 6]


def test_a_reservation_that_is_being_taken_back_holds_its_gpus_with_no_end(stage: BoardStage) -> None:
    stage.book(stage.big, 2, -1, None, state="draining")
    assert column(stage, "booked", days=60)[-1] == 2


def test_what_was_let_go_of_counts_only_as_long_as_it_was_held(stage: BoardStage) -> None:
    cancelled = stage.book(stage.big, 2, 0, 2, state="cancelled")
    Placement.objects.filter(lease=cancelled).update(released=True)
    assert column(stage, "booked") == [0, 0, 0]
    shrunk = stage.book(stage.small, 3, -30, 2, state="active", active_at=stage.at(-30))
    last = Placement.objects.filter(lease=shrunk).last()
    assert last
    last.window, last.released = DateTimeTZRange(stage.at(-30), stage.at(-28.5)), True
    last.save()
    early = {"first": stage.monday - 30 * DAY, "until": stage.monday - 27 * DAY}
    assert column(stage, "booked", **early) == [3, 3, 2]
    assert column(stage, "booked_mean", **early) == [3, 2.5, 2]


def test_promised_is_what_open_allocations_may_run_at_once(stage: BoardStage) -> None:
    stage.promise(4, 0, 2, state="pending")
    stage.promise(3, 1, 3, state="active")
    stage.promise(2, 0, 3, state="suspended")
    stage.promise(1, 0, 3, state="exhausted")
    stage.promise(50, 0, 3, state="closed")
    stage.promise(50, 0, 3, state="expired")
    assert column(stage, "promised") == [7, 10, 6]
    assert column(stage, "room") == [5, 2, 6]
    assert column(stage, "promised_mean") == [7, 10, 6]


def test_more_promised_than_can_be_lent_is_over_commitment_at_the_worst_moment(stage: BoardStage) -> None:
    stage.promise(8, 0, 1.5)
    stage.promise(6, 1.25, 3)
    stage.close(stage.small, 1.75, 2)
    assert column(stage, "over") == [0, 2, 0]
    stage.close(stage.big, 1.3, 1.4)
    assert column(stage, "over") == [0, 10, 0]
    assert column(stage, "bookable") == [12, 4, 12]


def test_what_is_guaranteed_and_what_may_be_promised_are_told_beside_it(stage: BoardStage) -> None:
    Pool.objects.filter(pk=stage.pool.pk).update(overcommit_percent=25)
    stage.pool.refresh_from_db()
    award = stage.promise(16, 0, 2)
    usual = {"pool": stage.pool, "organisation": stage.cast.organisation, "award_ref": "prop-a", "gpus": 5}
    Envelope.objects.create(**usual, starts_at=stage.at(0), ends_at=stage.at(1.5), allocation=award)
    Envelope.objects.create(**usual, starts_at=stage.at(1), ends_at=stage.at(2))
    Envelope.objects.create(**usual, starts_at=stage.at(0), ends_at=stage.at(3), let_go_at=timezone.now())
    stage.close(stage.small, 0, 1)
    assert column(stage, "guaranteed") == [5, 10, 0]
    assert column(stage, "bound") == [15, 15, 15]
    assert column(stage, "past_bound") == [1, 1, 0]
    assert column(stage, "over") == [8, 4, 0]
    retired = stage.big.devices.get(index=0)
    Device.objects.filter(pk=retired.pk).update(state="retired")
    assert column(stage, "bound") == [13, 13, 13]
    assert column(stage, "past_bound") == [3, 3, 0]


def test_an_award_is_promised_while_it_waits_and_once_when_it_is_accepted() -> None:
    proposals = make_stage()
    proposal = proposals.awarded()
    first = proposals.today + DAY

    def promised() -> list[int]:
        scope = scope_of([proposals.pool], first - DAY, first + 31 * DAY, step="day", zone=ZoneInfo("Asia/Seoul"))
        return [bucket.now.promised for bucket in board(scope, timezone.now())[0].buckets]

    assert promised() == [0] + [4] * 30 + [0]
    answers.accept(actor=proposals.cast.owner, proposal=proposal)
    assert promised() == [0] + [4] * 30 + [0]


def test_maintenance_closes_a_node_once_however_many_windows_say_so(stage: BoardStage) -> None:
    stage.close(stage.small, 0.5, 1.5)
    stage.close(stage.small, 1, 2)
    stage.close(stage.big, 2, 3, cancelled_at=timezone.now())
    assert column(stage, "out") == [4, 4, 0]
    assert column(stage, "bookable") == [8, 8, 12]


def test_ill_devices_are_out_from_now_on_and_retired_ones_are_not_there(stage: BoardStage) -> None:
    first, second, third = stage.big.devices.order_by("index")[:3]
    Device.objects.filter(pk=first.pk).update(health="fail")
    Device.objects.filter(pk=second.pk).update(state="quarantined")
    Device.objects.filter(pk=third.pk).update(state="retired")
    stage.close(stage.big, 1, 2)
    assert column(stage, "physical") == [11, 11, 11]
    assert column(stage, "out") == [2, 7, 2]
    Node.objects.filter(pk=stage.small.pk).update(state="draining")
    assert column(stage, "out") == [6, 11, 6]
    past = {"first": stage.monday - 40 * DAY, "until": stage.monday - 38 * DAY}
    assert column(stage, "out", **past) == [0, 0]


def test_a_gpu_counts_from_the_day_it_joined(stage: BoardStage) -> None:
    days = {"first": stage.monday - 23 * DAY, "until": stage.monday - 19 * DAY}
    stage.close(stage.small, -21.5, -20.2)
    Device.objects.filter(node=stage.small).update(joined_at=stage.at(-20.4))
    assert column(stage, "physical", **days) == [8, 8, 12, 12]
    stage.small.devices.filter(index=0).update(joined_at=stage.at(-22.1))
    assert column(stage, "physical", **days) == [9, 9, 12, 12]
    assert column(stage, "out", **days) == [0, 1, 4, 0]
    Node.objects.filter(pk=stage.small.pk).update(state="retired")
    assert column(stage, "physical") == [8, 8, 8]


def test_days_are_those_of_the_readers_zone(stage: BoardStage) -> None:
    stage.book(stage.big, 4, 0, 1)
    assert column(stage, "booked", zone=ZoneInfo("Asia/Seoul")) == [4, 0, 0]
    new_york = stage.figures(first=stage.monday - DAY, until=stage.monday + DAY, zone=ZoneInfo("America/New_York"))
    assert [figures.booked for figures in new_york] == [4, 4]
    assert sum(figures.booked_mean for figures in new_york) == pytest.approx(4)


def test_the_mean_of_a_day_whose_clocks_are_changed_is_of_its_own_hours(stage: BoardStage) -> None:
    zone = ZoneInfo("America/New_York")
    year = stage.monday.year + 1
    days = [stage.monday.replace(year=year, month=3, day=number) for number in range(8, 15)]
    sunday = next(day for day in days if day.weekday() == 6)
    scope = scope_of([stage.pool], sunday, sunday + DAY, step="day", zone=zone)
    assert scope.end - scope.start == 23 * HOUR
    start = (scope.start - stage.at(0)) / DAY
    stage.book(stage.big, 8, start, start + 11.5 / 24)
    (group,) = board(scope, timezone.now())
    assert group.buckets[0].now.booked_mean == pytest.approx(4)


def test_a_part_of_a_gpu_counts_as_such_and_whole_gpus_are_what_there_is(stage: BoardStage) -> None:
    board_gpu = stage.big.devices.get(index=0)
    Device.objects.filter(pk=board_gpu.pk).update(set_aside=True)
    lease = stage.book(stage.small, 3, 0, 1, profile="1g.10gb", slices=1, slices_of=8)
    for number, row in enumerate(Placement.objects.filter(lease=lease)):
        slices = NumericRange(number, number + 1)
        part = DeviceFactory(node=stage.big, parent=board_gpu, profile="1g.10gb", slices=slices, index=0)
        row.device, row.board, row.node, row.slices = part, board_gpu, stage.big, slices
        row.save()
    stage.book(stage.small, 1, 0.5, 1)
    (figures, *_later) = stage.figures()
    assert (figures.physical, figures.bookable, figures.booked) == (12, 12, 2)
    assert figures.booked_mean == pytest.approx(3 / 8 + 1 / 2)


def test_a_class_is_the_sum_of_its_pools_at_the_same_moment(stage: BoardStage) -> None:
    other = PoolFactory(name="h100-b", gpu_class=stage.pool.gpu_class)
    node = make_node(other, 2)
    stage.book(stage.big, 4, 0, 0.5)
    stage.book(node, 2, 0.5, 1)
    days = {"first": stage.monday, "until": stage.monday + DAY, "step": "day"}
    (row,) = board(scope_of([stage.pool, other], rows="class", **days), timezone.now())  # type: ignore[arg-type]
    assert (row.name, row.buckets[0].now.physical, row.buckets[0].now.booked) == (stage.pool.gpu_class.name, 14, 4)
    pools = board(scope_of([stage.pool, other], **days), timezone.now())  # type: ignore[arg-type]
    assert [(each.name, each.buckets[0].now.booked) for each in pools] == [("h100-a", 4), ("h100-b", 2)]


def test_steps_are_laid_over_todays_figures(stage: BoardStage) -> None:
    stage.promise(10, 0, 3)
    steps = (Step(stage.pool.pk, stage.at(1.5), physical=-4), Step(stage.pool.pk, stage.at(2), physical=4, promised=1))
    scope = scope_of([stage.pool], stage.monday, stage.monday + 3 * DAY, step="day")
    (group,) = board(scope, timezone.now(), steps)
    assert [bucket.now.over for bucket in group.buckets] == [0, 0, 0]
    assert [bucket.changed.over for bucket in group.buckets if bucket.changed] == [0, 2, 0]
    assert [bucket.changed.promised for bucket in group.buckets if bucket.changed] == [10, 10, 11]


def test_used_is_measured_over_the_time_that_has_passed(stage: BoardStage) -> None:
    now = timezone.now()
    today = timezone.localdate()
    scope = scope_of([stage.pool], today - 3 * DAY, today + DAY, step="day")
    PoolHour.objects.create(pool=stage.pool, hour=scope.edges[1], used_seconds=48 * 3600, idle_seconds=0)
    PoolHour.objects.create(pool=stage.pool, hour=scope.edges[2] - HOUR, used_seconds=24 * 3600, idle_seconds=9)
    (group,) = board(scope, now)
    assert [bucket.now.used_mean for bucket in group.buckets] == [None, 3, None, None]


def test_minutes_become_hours_of_their_pool_and_again_without_harm(stage: BoardStage) -> None:
    now = timezone.now()
    hour = (now - 2 * HOUR).replace(minute=0, second=0, microsecond=0)
    first, second = stage.big.devices.order_by("index")[:2]
    rows = [(first, 0, 50.0), (first, 1, 2.0), (second, 0, 2.1), (second, 1, None), (first, 60, 90.0)]
    DeviceMinute.objects.bulk_create(
        DeviceMinute(device=device, minute=hour + timedelta(minutes=at), samples=6, utilisation_percent=percent)
        for device, at, percent in rows
    )
    assert roll_up_hours(now) > 0
    assert roll_up_hours(now) == 0
    found = list(PoolHour.objects.order_by("hour").values_list("hour", "used_seconds", "idle_seconds"))
    assert found == [(hour, 120, 60), (hour + HOUR, 60, 0)]
    DeviceMinute.objects.filter(device=second, utilisation_percent=None).update(utilisation_percent=80.0)
    assert roll_up_hours(now, since=hour) > 0
    assert PoolHour.objects.order_by("hour")[0].used_seconds == 180


def test_its_queries_grow_neither_with_pools_nor_with_what_is_booked(stage: BoardStage) -> None:
    def ask(days: int) -> list[str]:
        pools = list(Pool.objects.select_related("gpu_class"))
        return queries_of(
            lambda: board(
                scope_of(pools, stage.monday - 9 * DAY, stage.monday + days * DAY, step="day"), timezone.now()
            )
        )

    few = ask(1)
    for number in range(50):
        pool = PoolFactory(name=f"p-{number}")
        node = make_node(pool, 1)
        stage.book(node, 1, number, number + 1, allocation=AllocationFactory(project=stage.cast.project, pool=pool))
        stage.close(node, number, number + 2)
    assert len(ask(350)) == len(few) <= 5
