"""Which stretch a chart shows: bounded whatever is asked, and it says so."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import translation

from telemetry.windows import MINUTES, POINTS, RANGES, asked_of, window

NOW = datetime(2026, 11, 27, 5, 7, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _english() -> Any:
    with translation.override("en"):
        yield


@pytest.mark.parametrize(
    ("key", "source", "seconds"),
    [
        ("1h", "samples", 20),
        ("6h", "minutes", 60),
        ("24h", "minutes", 120),
        ("7d", "minutes", 900),
        ("30d", "hours", 3600),
        ("90d", "hours", 10_800),
        ("1y", "days", 86_400),
    ],
)
def test_each_range_has_a_step_and_a_source(key: str, source: str, seconds: int) -> None:
    shown = window(asked_of({"range": key}, NOW), NOW)
    assert (shown.source.key, shown.step.total_seconds(), shown.notes) == (source, seconds, ())
    assert len(shown.moments) <= POINTS and shown.end == NOW
    assert NOW - RANGES[key].length - shown.step < shown.start <= NOW - RANGES[key].length


def test_ten_years_at_ten_seconds_are_bounded_and_said() -> None:
    shown = window(asked_of({"from": "2010-01-01T00:00Z", "to": "2026-11-27T00:00Z", "step": "10"}, NOW), NOW)
    assert shown.source.key == "days" and shown.step == timedelta(days=7) and len(shown.moments) <= POINTS
    assert any("ten years" in note for note in shown.notes) and any("720 points" in note for note in shown.notes)


def test_what_is_no_longer_kept_comes_from_what_is() -> None:
    began = NOW - timedelta(days=30)
    shown = window(asked_of({"from": began.isoformat(), "to": (began + timedelta(hours=1)).isoformat()}, NOW), NOW)
    assert (shown.source.key, shown.step) == ("minutes", timedelta(minutes=1))
    assert shown.notes == ("Single samples are kept for 7 days: shown are steps of 1 minute.",)


@pytest.mark.parametrize(
    "query",
    [
        {"range": "x"},
        {"from": "yesterday", "step": "-5"},
        {"from": "0001-01-01T00:00+14:00", "to": "9999-12-31T23:59-12:00"},
        {"from": "2026-11-27T05:00Z", "to": "2026-11-27T04:00Z"},
        {"step": "9" * 40},
        {"step": "no\x00"},
    ],
)
def test_what_cannot_be_read_is_said_and_not_refused(query: dict[str, str]) -> None:
    shown = window(asked_of(query, NOW), NOW)
    assert shown.notes and 1 <= len(shown.moments) <= POINTS


def test_a_stretch_of_the_future_ends_now_and_is_never_empty() -> None:
    shown = window(asked_of({"from": "2027-01-01T00:00Z", "to": "2027-01-02T00:00Z"}, NOW), NOW, finest=MINUTES)
    assert shown.end == NOW and shown.source == MINUTES and shown.moments
