"""Whose word counts: the narrowest scope that says something, rule by rule; and the arithmetic of giving back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from allocations.models import Allocation, BookingRules
from allocations.rule_words import sentences
from allocations.rulebook import HOUSE, RULES, SCOPES, Closure, Said, close_early, make_rulebook
from allocations.selectors.rulebooks import bill_of, inherited_by, rulebook_of, with_rules
from allocations.timeline import FOREVER
from tests.allocations.conftest import Stage
from tests.allocations.rules import black_out, say
from tests.factories import AllocationFactory, PoolFactory

T = datetime(2026, 12, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("said", [(), ("pool",), ("agreement", "pool"), ("allocation", "pool"), SCOPES[1:]])
def test_the_narrowest_word_counts_for_each_rule_by_itself(name: str, said: tuple[Any, ...]) -> None:
    book = make_rulebook([(scope, {name: 10 + SCOPES.index(scope)}) for scope in said])
    narrowest = max(said, key=SCOPES.index, default=None)
    expected = getattr(HOUSE, name) if narrowest is None else Said(10 + SCOPES.index(narrowest), narrowest)
    assert getattr(book, name) == expected
    assert all(getattr(book, other) == getattr(HOUSE, other) for other in RULES if other != name)


def test_nought_is_a_word_and_empty_is_none() -> None:
    book = make_rulebook([("pool", {"extensions": 3}), ("allocation", {"extensions": 0, "future_leases": None})])
    assert book.extensions == Said(0, "allocation") and book.future_leases == HOUSE.future_leases


def test_rules_of_three_scopes_and_blackouts_are_read_in_one_statement(stage: Stage) -> None:
    say(stage, "pool", longest_seconds=7200, ahead_seconds=86400, extensions=1)
    say(stage, "agreement", ahead_seconds=2 * 86400, extensions=2)
    say(stage, "allocation", extensions=3)
    say(stage, "allocation", allocation=AllocationFactory(project=stage.cast.project, pool=stage.pool), extensions=9)
    black_out(stage, stage.now + DAY, stage.now + 2 * DAY)
    black_out(stage, stage.now + HOUR, stage.now + 2 * HOUR, pool=None)
    black_out(stage, stage.now + HOUR, stage.now + 2 * HOUR, pool=PoolFactory())
    with CaptureQueriesContext(connection) as queries:
        book = rulebook_of(Allocation.objects.get(pk=stage.allocation.pk))
    assert len(queries) == 2, "the allocation, and its rules"
    assert book.longest_seconds == Said(7200, "pool")
    assert book.ahead_seconds == Said(2 * 86400, "agreement")
    assert book.extensions == Said(3, "allocation")
    assert [(row.start, row.end) for row in book.closures] == [
        (stage.now + HOUR, stage.now + 2 * HOUR),
        (stage.now + DAY, stage.now + 2 * DAY),
    ]
    with CaptureQueriesContext(connection) as queries:
        assert [rulebook_of(row).extensions.value for row in with_rules(Allocation.objects.order_by("pk"))] == [3, 9]
    assert len(queries) == 1


def test_what_an_allocation_would_inherit_leaves_its_own_word_out(stage: Stage) -> None:
    say(stage, "pool", extensions=1)
    say(stage, "allocation", extensions=3)
    assert inherited_by("allocation", stage.allocation).extensions == Said(1, "pool")
    assert inherited_by("pool", stage.pool) == HOUSE


def test_rules_that_are_taken_back_say_nothing_any_more(stage: Stage) -> None:
    say(stage, "pool", extensions=1)
    say(stage, "pool")
    assert rulebook_of(stage.allocation) == HOUSE
    assert BookingRules.objects.get().version == 2


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (HOUR, [(T, T + 4 * HOUR), (T + 6 * HOUR, T + 10 * HOUR)]),
        (5 * HOUR, [(T, T), (T + 6 * HOUR, T + 10 * HOUR)]),
        (5 * HOUR + timedelta(seconds=1), [(T + 6 * HOUR, T + 10 * HOUR)]),
        (24 * HOUR, [(T + 6 * HOUR, T + 10 * HOUR)]),
        (24 * HOUR + timedelta(seconds=1), []),
    ],
)
def test_starts_that_pass(duration: timedelta, expected: Any) -> None:
    book = make_rulebook(
        [("pool", {"longest_seconds": 86400, "ahead_seconds": 36000})], [Closure(T + 5 * HOUR, T + 6 * HOUR)]
    )
    assert book.starts(duration, T, T) == expected


def test_without_rules_every_start_passes_and_without_room_ahead_only_what_begins_now() -> None:
    assert HOUSE.starts(HOUR, T, T) == [(T, FOREVER)]
    assert HOUSE.starts(HOUR, T, T, ahead=False) == [(T, T + timedelta(minutes=5))]


S, E = T, T + 10 * HOUR


@pytest.mark.parametrize(
    ("notice", "percent", "active", "at", "expected"),
    [
        (0, 100, True, S + 4 * HOUR, (S + 4 * HOUR, 100)),
        (2, 80, True, S + 4 * HOUR, (S + 6 * HOUR, 80)),
        (2, 80, True, S + 9 * HOUR, (E, 80)),
        (0, 80, True, E + HOUR, (E, 80)),
        (2, 80, False, S - HOUR, (S + HOUR, 100)),
        (2, 80, False, S - 2 * HOUR, (None, 100)),
        (2, 80, False, S - 2 * HOUR + timedelta(seconds=1), (S + timedelta(seconds=1), 100)),
        (24, 80, False, S - HOUR, (E, 100)),
        (24, 0, False, S, (None, 100)),
        (24, 0, False, S + HOUR, (None, 100)),
    ],
)
def test_what_giving_back_costs(notice: int, percent: int, active: bool, at: datetime, expected: Any) -> None:
    values = {"release_notice_seconds": notice * 3600, "early_return_percent": percent}
    closing = close_early(make_rulebook([("pool", values)]), S, E, S if active else None, at)
    assert (closing.charged_until, closing.returned_percent) == expected


def test_every_rule_has_a_sentence_once_it_is_said(stage: Stage) -> None:
    say(stage, "pool", **{name: 3600 if name.endswith("_seconds") else 1 for name in RULES})
    with translation.override("en"):
        told = {row.rule: row for row in sentences(rulebook_of(stage.allocation), stage.allocation)}
    assert set(told) == set(RULES) - {"no_show_grace_seconds"}, "that one stands in the sentence of the other"
    assert {row.source for row in told.values()} == {f"rule of the pool {stage.pool.name}"}


def test_the_bill_of_a_scheduled_lease_without_rules_is_nothing(stage: Stage) -> None:
    bill = bill_of(stage.book(2, hours=3), stage.now)
    assert (bill.charged_seconds, bill.back_seconds) == (0, 6 * 3600) and not bill.for_notice
