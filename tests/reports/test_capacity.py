"""The arithmetic of the capacity board."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from reports.capacity import (
    Ask,
    Figures,
    NodeSupply,
    Step,
    edges,
    excesses,
    judge,
    merged,
    removal_steps,
    rescheduling_steps,
    supply_steps,
)

SEOUL, NEW_YORK = ZoneInfo("Asia/Seoul"), ZoneInfo("America/New_York")
MONDAY = date(2027, 1, 4)
NOW = datetime(2027, 1, 6, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def at(steps: list[Step], moment: datetime) -> tuple[int, int]:
    """(physical, out) at a moment."""
    past = [step for step in steps if step.at <= moment]
    return sum(step.physical for step in past), sum(step.out for step in past)


def test_days_begin_at_the_zones_midnight() -> None:
    assert edges(MONDAY, MONDAY + 2 * DAY, "day", SEOUL) == [
        datetime(2027, 1, 3, 15, tzinfo=UTC),
        datetime(2027, 1, 4, 15, tzinfo=UTC),
        datetime(2027, 1, 5, 15, tzinfo=UTC),
    ]


def test_a_day_has_23_or_25_hours_where_the_clocks_are_changed() -> None:
    spring = edges(date(2027, 3, 13), date(2027, 3, 16), "day", NEW_YORK)
    autumn = edges(date(2027, 11, 6), date(2027, 11, 9), "day", NEW_YORK)
    lengths = [[(b - a) / timedelta(hours=1) for a, b in pairwise(row)] for row in (spring, autumn)]
    assert lengths == [[24, 23, 24], [24, 25, 24]]


def test_weeks_are_whole_and_begin_on_mondays() -> None:
    found = edges(MONDAY + 2 * DAY, MONDAY + 8 * DAY, "week", SEOUL)
    assert [moment.astimezone(SEOUL).date() for moment in found] == [MONDAY, MONDAY + 7 * DAY, MONDAY + 14 * DAY]
    assert len(edges(MONDAY, MONDAY + 7 * DAY, "week", SEOUL)) == 2


def test_windows_that_touch_or_overlap_are_one() -> None:
    rows = [
        (NOW + 2 * DAY, NOW + 3 * DAY),
        (NOW, NOW + DAY),
        (NOW + DAY, NOW + 2 * DAY),
        (NOW + 5 * DAY, NOW + 6 * DAY),
    ]
    assert merged(rows) == [(NOW, NOW + 3 * DAY), (NOW + 5 * DAY, NOW + 6 * DAY)]


def test_what_is_ill_on_a_closed_node_is_counted_once_and_only_from_now_on() -> None:
    window = (NOW - DAY, NOW + DAY)
    node = NodeSupply(1, "gpu-1", 7, NOW - 10 * DAY, devices=8, ill=3, closed=(window, (NOW, NOW + 2 * DAY)))
    steps = list(supply_steps(node, NOW))
    assert at(steps, NOW - 2 * DAY) == (8, 0)
    assert at(steps, NOW - timedelta(hours=1)) == (8, 8)
    assert at(steps, NOW) == (8, 8)
    assert at(steps, NOW + DAY) == (8, 8)
    assert at(steps, NOW + 3 * DAY) == (8, 3)


def test_a_node_that_is_taken_away_takes_its_windows_along() -> None:
    node = NodeSupply(1, "gpu-1", 7, NOW - 10 * DAY, devices=8, ill=3, closed=((NOW + 3 * DAY, NOW + 5 * DAY),))
    steps = [*supply_steps(node, NOW), *removal_steps(node, NOW + 4 * DAY, NOW)]
    assert at(steps, NOW + 3 * DAY) == (8, 8)
    for days in (4, 5, 100):
        assert at(steps, NOW + days * DAY) == (0, 0)


def test_a_window_that_is_moved_leaves_the_others_of_its_node() -> None:
    old, other = (NOW + DAY, NOW + 2 * DAY), (NOW + 4 * DAY, NOW + 6 * DAY)
    new = (NOW + 5 * DAY, NOW + 7 * DAY)
    node = NodeSupply(1, "gpu-1", 7, NOW - 10 * DAY, devices=8, ill=0, closed=(old, other))
    steps = [*supply_steps(node, NOW), *rescheduling_steps(node, old, new, NOW)]
    assert [at(steps, NOW + days * DAY)[1] for days in (1, 3, 4, 5, 6, 7)] == [0, 0, 8, 8, 8, 0]


def rooms(*values: int) -> dict[date, int]:
    return {MONDAY + number * DAY: value for number, value in enumerate(values)}


def ask(gpus: int, days: int = 2, first: date = MONDAY, pools: tuple[int, ...] = (1, 2)) -> Ask:
    return Ask("prop-a", "A", pools, gpus, first, days)


def test_an_ask_goes_where_its_window_has_the_most_room() -> None:
    (verdict,) = judge([ask(4)], {1: rooms(9, 3, 9), 2: rooms(5, 5, 5)})
    assert (verdict.pool_id, verdict.at_most, verdict.fits, verdict.first_fit) == (2, 5, True, MONDAY)


def test_what_does_not_fit_is_told_how_much_does_and_from_when_all_of_it_would() -> None:
    (verdict,) = judge([ask(8, days=2)], {1: rooms(8, 3, 8, 8, 8)})
    assert (verdict.at_most, verdict.fits, verdict.first_fit) == (3, False, MONDAY + 2 * DAY)
    (never,) = judge([ask(9)], {1: rooms(8, 3, 8, 8, 8)})
    assert never.first_fit is None
    (negative,) = judge([ask(9)], {1: rooms(-5, -5)})
    assert negative.at_most == 0


def test_asks_are_judged_beside_those_before_them() -> None:
    found = {1: rooms(8, 8, 8, 8)}
    first, second = judge([ask(5, pools=(1,)), ask(5, pools=(1,))], found)
    assert first.fits and not second.fits
    assert (second.at_most, second.first_fit) == (3, MONDAY + 2 * DAY)
    assert found == {1: rooms(8, 8, 8, 8)}


def test_an_ask_for_a_class_without_a_pool_goes_nowhere() -> None:
    (verdict,) = judge([ask(1, pools=())], {1: rooms(8)})
    assert (verdict.pool_id, verdict.fits, verdict.first_fit) == (None, False, None)


def figures(room: int) -> Figures:
    return Figures(8, 0, 8, 8 - room, 0.0, 0, 0.0, room)


def test_only_stretches_that_get_worse_are_clashes() -> None:
    pairs = [(-1, -1), (2, -3), (-4, -6), (1, 0), (1, -1)]
    found = excesses([(figures(now), figures(after)) for now, after in pairs])
    assert [(run.first, run.last, run.over, run.before) for run in found] == [(1, 2, 6, 4), (4, 4, 1, 0)]
