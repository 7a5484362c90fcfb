"""Arithmetic of windows against a slow and obvious answer."""

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from allocations.timeline import FOREVER, Busy, peak, starts

ZERO = datetime(2026, 1, 1, tzinfo=UTC)


def at(hour: int) -> datetime:
    return ZERO + timedelta(hours=hour)


windows = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 6)).map(lambda pair: Busy(at(pair[0]), at(sum(pair)))), max_size=4
)


@given(st.lists(windows, min_size=1, max_size=5), st.integers(1, 5), st.integers(1, 6))
def test_the_first_window_is_the_first_at_which_enough_devices_are_free(
    busy_of: list[list[Busy]], count: int, hours: int
) -> None:
    def free_at(start: int) -> int:
        return sum(not peak(busy, at(start), at(start + hours)) for busy in busy_of)

    wanted = next((at(hour) for hour in range(40) if free_at(hour) >= count), None)
    spans = starts([busy_of], 1, count, timedelta(hours=hours), at(0))
    assert (spans[0][0] if spans else None) == wanted


def test_back_to_back_windows_do_not_add_up() -> None:
    assert peak([Busy(at(0), at(2), 4), Busy(at(2), at(4), 4)], at(0), at(4)) == 4


def test_a_device_that_nobody_knows_the_end_of_is_never_free() -> None:
    assert starts([[[Busy(at(0), FOREVER)]]], 1, 1, timedelta(hours=1), at(1)) == []


@given(
    st.lists(st.lists(windows, min_size=1, max_size=3), min_size=1, max_size=3), st.integers(1, 3), st.integers(1, 3)
)
def test_every_start_and_no_other_has_enough_devices_in_enough_groups(
    groups: list[list[list[Busy]]], needed: int, each: int
) -> None:
    def enough(start: int) -> bool:
        free = [sum(not peak(busy, at(start), at(start + 2)) for busy in group) for group in groups]
        return sum(count >= each for count in free) >= needed

    spans = starts(groups, needed, each, timedelta(hours=2), at(0))
    for hour in range(40):
        assert any(first <= at(hour) <= last for first, last in spans) == enough(hour)
    assert all(first <= last < later for (first, last), (later, _) in itertools.pairwise(spans))
