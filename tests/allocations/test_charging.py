"""What a window costs, second by second: held against an oracle that counts them one at a time."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from allocations.charging import (
    NORMAL,
    Segment,
    Step,
    Weights,
    affordable,
    charge,
    difference,
    frozen,
    lines,
    longest,
    segments,
    spliced,
    thawed,
    weight_at,
)

ZERO = datetime(2026, 12, 1, tzinfo=UTC)
HALF = Fraction(1, 2)


def at(seconds: float) -> datetime:
    return ZERO + timedelta(seconds=seconds)


def steps(*pairs: tuple[float, int]) -> Weights:
    return tuple(Step(at(seconds), weight) for seconds, weight in pairs)


moments = some.integers(0, 400).map(lambda tenths: tenths / 10)
weights_of_pools = some.dictionaries(moments, some.sampled_from([1, 333, 999, 1000, 1001, 2500]), max_size=4).map(
    lambda found: steps(*sorted(found.items()))
)
shares = some.sampled_from([Fraction(1), HALF, Fraction(1, 7), Fraction(3, 8)])


def counted(count: int, start: datetime, end: datetime, weights: Weights, share: Fraction) -> int:
    """Every begun second under the weight in force when it begins; what lies under one weight is rounded up once."""
    runs: list[list[int]] = []
    moment = start
    while moment < end:
        weight = next((step.weight for step in reversed(weights) if step.at <= moment), NORMAL)
        if not runs or runs[-1][0] != weight:
            runs.append([weight, 0])
        runs[-1][1] += 1
        moment += timedelta(seconds=1)
    return sum(ceil(Fraction(count * seconds * weight, NORMAL) * share) for weight, seconds in runs)


@settings(max_examples=400, deadline=None)
@given(some.integers(1, 9), moments, moments, weights_of_pools, shares)
def test_it_is_what_counting_second_by_second_says(
    count: int, start: float, length: float, weights: Weights, share: Fraction
) -> None:
    window = (at(start), at(start + length))
    found = charge(count, *window, weights, share)
    cuts = segments(weights, *window)
    if all(cut.seconds for cut in cuts):  # a stretch in which no second begins parts two runs of one weight
        assert found == counted(count, *window, weights, share)
    else:
        assert abs(found - counted(count, *window, weights, share)) <= len(cuts)
    assert sum(cut.seconds for cut in cuts) == ceil(length) or length != round(length, 1)
    assert (cuts[0].start, cuts[-1].end) == window
    assert all(one.end == two.start and one.weight != two.weight for one, two in pairwise(cuts))


def test_a_window_without_weights_is_devices_times_begun_seconds() -> None:
    assert charge(3, at(0.3), at(10.4)) == 3 * 11
    assert segments((), at(0), at(10)) == (Segment(at(0), at(10), NORMAL, 10),)


def test_a_window_is_split_at_the_change_and_each_part_rounded_up() -> None:
    found = segments(steps((0, 1001), (6, 500)), at(0), at(9))
    assert [(cut.weight, cut.seconds) for cut in found] == [(1001, 6), (500, 3)]
    assert lines(found, 1) == {(0, 1001): 7, (1, 500): 2}
    assert charge(1, at(0), at(9), steps((0, 1001), (6, 500))) == 7 + 2


def test_a_begun_second_belongs_to_the_part_in_which_it_begins() -> None:
    found = segments(steps((6, 2000)), at(0.5), at(9.5))
    assert [cut.seconds for cut in found] == [6, 3]


def test_a_part_of_a_gpu_costs_its_share() -> None:
    assert charge(2, at(0), at(70), (), Fraction(1, 7)) == 20
    assert charge(1, at(0), at(10), steps((5, 3000)), Fraction(1, 7)) == 1 + 3


def test_two_steps_of_one_weight_are_one_segment() -> None:
    assert len(segments(steps((2, 1500), (5, 1500)), at(3), at(9))) == 1
    assert len(segments(steps((5, NORMAL)), at(3), at(9))) == 1


@settings(max_examples=300, deadline=None)
@given(some.integers(0, 300), some.integers(1, 5), moments, weights_of_pools, shares)
def test_the_longest_window_fits_and_a_second_more_does_not(
    budget: int, count: int, start: float, weights: Weights, share: Fraction
) -> None:
    seconds = longest(budget, count, at(start), weights, share)
    assert charge(count, at(start), at(start) + timedelta(seconds=seconds), weights, share) <= budget
    assert charge(count, at(start), at(start) + timedelta(seconds=seconds + 1), weights, share) > budget


@settings(max_examples=200, deadline=None)
@given(some.integers(1, 120), some.integers(1, 3), some.integers(1, 20), weights_of_pools)
def test_windows_are_affordable_exactly_where_they_cost_no_more(
    budget: int, count: int, length: int, weights: Weights
) -> None:
    duration = timedelta(seconds=length)
    spans = affordable(budget, count, duration, (at(0), at(60)), weights)
    for second in range(61):
        cost = charge(count, at(second), at(second) + duration, weights)
        inside = any(first <= at(second) <= last for first, last in spans)
        most = count * 3 + 2  # what rounding and one begun second of grain may do at an edge
        assert (not inside or cost <= budget + most) and (inside or cost > budget - most), second


@settings(max_examples=200, deadline=None)
@given(weights_of_pools, weights_of_pools, moments, moments, moments)
def test_frozen_and_spliced_weights_say_the_same(
    old: Weights, new: Weights, start: float, first: float, second: float
) -> None:
    window = (at(start), at(start + first + 1))
    kept = thawed(frozen(old, *window))
    assert segments(kept, *window) == segments(old, *window)
    later = window[1] + timedelta(seconds=second)
    both = spliced(kept, new, window[1])
    assert charge(2, window[0], window[1], both) == charge(2, *window, old)
    moment = window[1]
    while moment < later:
        assert weight_at(both, moment) == weight_at(new, moment)
        moment += timedelta(seconds=1)


def test_nothing_is_frozen_where_a_second_counts_as_one() -> None:
    assert frozen((), at(0), at(9)) == [] == frozen(steps((9, 2000)), at(0), at(9))
    assert frozen(steps((4, 2000)), at(0), at(9)) == [[at(0).isoformat(), 1000], [at(4).isoformat(), 2000]]


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        ({}, {(0, 1000): 5}, {(0, 1000): 5}),
        ({(0, 1000): 5}, {(0, 1000): 9}, {(0, 1000): 4}),
        ({(0, 1000): 5}, {(0, 1500): 5}, {(0, 1000): -5, (0, 1500): 5}),
        ({(0, 1000): 5, (1, 1500): 3}, {(0, 1000): 5}, {(1, 1500): -3}),
        ({(0, 1000): 5}, {(0, 1000): 5}, {}),
    ],
)
def test_only_what_differs_moves(
    before: dict[tuple[int, int], int], after: dict[tuple[int, int], int], moved: dict[tuple[int, int], int]
) -> None:
    assert difference(before, after) == moved
