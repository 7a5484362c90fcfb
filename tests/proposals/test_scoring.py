"""Weighted scores, spread, ranks, the budget's line."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proposals.scoring import Mark, ranks, spread, weighted, within_budget


def test_a_mark_counts_by_its_weight_whatever_its_scale() -> None:
    assert weighted([Mark(8, 10, 1), Mark(4, 5, 3)]) == Decimal("80.000")
    assert weighted([Mark(0, 10, 1), Mark(100, 100, 1)]) == Decimal("50.000")


@pytest.mark.parametrize("marks", [[], [Mark(11, 10, 1)], [Mark(-1, 10, 1)], [Mark(1, 10, 0)]])
def test_what_is_no_review_is_refused(marks: list[Mark]) -> None:
    with pytest.raises(ValueError):
        weighted(marks)


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(1, 9)), min_size=1, max_size=8))
def test_full_marks_are_a_hundred_and_none_are_zero(scales: list[tuple[int, int]]) -> None:
    assert weighted(Mark(scale, scale, weight) for scale, weight in scales) == 100
    assert weighted(Mark(0, scale, weight) for scale, weight in scales) == 0


def test_the_spread_names_deviation_and_range() -> None:
    found = spread([Decimal(60), Decimal(80), Decimal(100)])
    assert found is not None
    assert (found.count, found.mean, found.range) == (3, Decimal("80.000"), 40)
    assert found.deviation == Decimal("16.330")
    assert spread([]) is None


def test_equal_scores_share_a_rank_and_the_next_one_skips() -> None:
    values = [Decimal(70), Decimal(90), None, Decimal(90), Decimal(10)]
    assert ranks(values) == [3, 1, None, 1, 4]


def test_the_line_stands_where_the_first_class_runs_out() -> None:
    asks = [{"h100": 40}, {"h100": 40, "a100": 10}, {"a100": 90}, {"h100": 40}]
    assert within_budget(asks, {"h100": 100, "a100": None}) == 3
    assert within_budget(asks, {"h100": 100, "a100": 50}) == 2
    assert within_budget(asks, {}) == 4
