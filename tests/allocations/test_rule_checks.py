"""Each rule at its very edge; a refusal names the rule and whose it is, and what it offers passes."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone, translation
from django.utils.dateparse import parse_datetime

from allocations.models import Allocation, Lease
from allocations.selectors.offers import Wish, find_slots
from allocations.services import changing, extending
from allocations.shapes import ANY
from tests.allocations.conftest import Stage
from tests.allocations.rules import black_out, book_at, refused, say
from tests.allocations.test_reconcile import started
from tests.factories import AllocationFactory

HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture
def now(stage: Stage, monkeypatch: Any) -> datetime:
    """The clock stands still, on a whole minute."""
    moment = stage.now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    set_clock(monkeypatch, moment)
    return moment


def set_clock(monkeypatch: Any, moment: datetime) -> None:
    monkeypatch.setattr(timezone, "now", lambda: moment)


def moment_in(error: Any, name: str) -> datetime:
    found = parse_datetime(error.facts[name])
    assert found is not None
    return found


def take(stage: Stage, error: Any, **fields: Any) -> Lease:
    """Book the window that a refusal offers."""
    return book_at(stage, moment_in(error, "next_start"), moment_in(error, "next_end"), **fields)


def test_the_longest_reservation(stage: Stage, now: datetime) -> None:
    say(stage, longest_seconds=7200)
    error = refused("window_too_long", book_at, stage, now + HOUR, now + 3 * HOUR + SECOND)
    assert error.facts["rule"] == "longest_seconds" and error.facts["scope"] == "pool" and error.facts["value"] == 7200
    assert f"rule of the pool {stage.pool.name}" in str(error) and "2 hours" in str(error)
    assert book_at(stage, now + HOUR, moment_in(error, "latest_end")).ends_at == now + 3 * HOUR


def test_an_exception_of_one_award_goes_before_the_pools_rule(stage: Stage, now: datetime) -> None:
    say(stage, longest_seconds=7200)
    say(stage, "allocation", longest_seconds=4 * 3600)
    assert book_at(stage, now + HOUR, now + 5 * HOUR)
    other = AllocationFactory(project=stage.cast.project, pool=stage.pool)
    refused("window_too_long", book_at, stage, now + HOUR, now + 5 * HOUR, allocation=other)


def test_how_far_ahead(stage: Stage, now: datetime) -> None:
    say(stage, "agreement", ahead_seconds=7 * 86400)
    assert book_at(stage, now + 7 * DAY, now + 8 * DAY)
    error = refused("too_far_ahead", book_at, stage, now + 7 * DAY + SECOND, now + 8 * DAY)
    assert error.facts["scope"] == "agreement" and stage.cast.agreement.number in str(error)
    assert moment_in(error, "latest_start") == now + 7 * DAY
    assert take(stage, error).starts_at == now + 7 * DAY


def test_the_offer_within_reach_is_one_that_is_free(stage: Stage, now: datetime) -> None:
    say(stage, ahead_seconds=2 * 86400)
    book_at(stage, now + DAY, now + 3 * DAY, 12)
    error = refused("too_far_ahead", book_at, stage, now + 5 * DAY, now + 5 * DAY + HOUR)
    assert take(stage, error).ends_at == now + DAY, "the last window before all of it is taken"


@pytest.mark.parametrize(
    ("start", "end", "passes"),
    [
        (2 * HOUR, 5 * HOUR, True),
        (2 * HOUR, 5 * HOUR + SECOND, False),
        (8 * HOUR, 9 * HOUR, True),
        (8 * HOUR - SECOND, 9 * HOUR, False),
        (6 * HOUR, 7 * HOUR, False),
        (HOUR, 20 * HOUR, False),
    ],
)
def test_nothing_is_booked_in_a_blackout(
    stage: Stage, now: datetime, start: timedelta, end: timedelta, passes: bool
) -> None:
    black_out(stage, now + 5 * HOUR, now + 8 * HOUR)
    if passes:
        assert book_at(stage, now + start, now + end)
        return
    error = refused("blackout", book_at, stage, now + start, now + end)
    assert "the hall is moved" in str(error)
    assert moment_in(error, "from") == now + 5 * HOUR and moment_in(error, "until") == now + 8 * HOUR
    assert take(stage, error).starts_at == max(now + 8 * HOUR, now + start)


def test_a_blackout_of_every_pool_counts_and_one_of_another_pool_or_a_cancelled_one_does_not(
    stage: Stage, now: datetime
) -> None:
    from allocations.services.rule_setting import cancel_blackout
    from tests.factories import PoolFactory

    black_out(stage, now + HOUR, now + 2 * HOUR, pool=PoolFactory())
    assert book_at(stage, now + HOUR, now + 2 * HOUR)
    everywhere = black_out(stage, now + HOUR, now + 2 * HOUR, pool=None)
    refused("blackout", book_at, stage, now + HOUR, now + 2 * HOUR)
    cancel_blackout(actor=stage.cast.officer, blackout=everywhere, reason="done")
    assert book_at(stage, now + HOUR, now + 2 * HOUR)


def test_reservations_ahead(stage: Stage, now: datetime) -> None:
    say(stage, "allocation", future_leases=2)
    book_at(stage, now + 5 * HOUR, now + 6 * HOUR)
    book_at(stage, now + 3 * HOUR, now + 4 * HOUR)
    error = refused("future_leases", book_at, stage, now + timedelta(minutes=5) + SECOND, now + HOUR)
    assert error.facts["scope"] == "allocation" and moment_in(error, "again_at") == now + 3 * HOUR
    assert "rule of this award" in str(error)
    assert take(stage, error), "what begins at once is no reservation ahead"
    assert book_at(stage, now + timedelta(minutes=5), now + HOUR)
    other = AllocationFactory(project=stage.cast.project, pool=stage.pool)
    assert book_at(stage, now + HOUR, now + 2 * HOUR, allocation=other), "each allocation by itself"


def test_one_more_may_be_booked_ahead_when_one_has_begun(stage: Stage, now: datetime, monkeypatch: Any) -> None:
    say(stage, future_leases=1)
    book_at(stage, now + HOUR, now + 2 * HOUR)
    error = refused("future_leases", book_at, stage, now + 4 * HOUR, now + 5 * HOUR)
    set_clock(monkeypatch, moment_in(error, "again_at") - SECOND)
    refused("future_leases", book_at, stage, now + 4 * HOUR, now + 5 * HOUR)
    set_clock(monkeypatch, moment_in(error, "again_at"))
    assert book_at(stage, now + 4 * HOUR, now + 5 * HOUR)


def test_a_house_that_lets_nobody_book_ahead(stage: Stage, now: datetime) -> None:
    say(stage, future_leases=0)
    error = refused("future_leases", book_at, stage, now + HOUR, now + 2 * HOUR)
    assert error.facts["again_at"] is None and take(stage, error).starts_at <= now + timedelta(minutes=1)


def test_changing_does_not_count_against_itself(stage: Stage, now: datetime) -> None:
    say(stage, future_leases=1)
    lease = book_at(stage, now + HOUR, now + 2 * HOUR)
    changed = changing.change(
        actor=stage.cast.owner, lease=lease, device_count=2, starts_at=now + 3 * HOUR, ends_at=now + 4 * HOUR, shape=ANY
    )
    assert changed.starts_at == now + 3 * HOUR


@pytest.mark.parametrize("rule", ["longest_seconds", "ahead_seconds", "concurrent_gpus", "blackout"])
def test_changing_asks_the_rules_of_booking_and_leaves_everything_as_it_was(
    stage: Stage, now: datetime, rule: str
) -> None:
    lease = book_at(stage, now + HOUR, now + 2 * HOUR, 2)
    asked = {"device_count": 3, "starts_at": now + 5 * HOUR, "ends_at": now + 8 * HOUR, "shape": ANY}
    codes = {"longest_seconds": "window_too_long", "ahead_seconds": "too_far_ahead"}
    if rule == "blackout":
        black_out(stage, now + 7 * HOUR, now + 9 * HOUR)
    else:
        say(stage, **{rule: 2 if rule == "concurrent_gpus" else 7200})
    refused(codes.get(rule, rule), changing.change, actor=stage.cast.owner, lease=lease, **asked)
    lease.refresh_from_db()
    assert (lease.device_count, lease.starts_at) == (2, now + HOUR) and lease.placements.count() == 2


def test_gpus_at_once(stage: Stage, now: datetime) -> None:
    say(stage, "agreement", concurrent_gpus=6)
    book_at(stage, now + HOUR, now + 2 * HOUR, 4)
    error = refused("concurrent_gpus", book_at, stage, now + HOUR, now + 2 * HOUR, 3)
    assert error.facts["left"] == 2 and error.facts["scope"] == "agreement"
    assert book_at(stage, now + HOUR, now + 2 * HOUR, error.facts["left"])


def test_the_allocations_own_ceiling_holds_beside_a_wider_rule(stage: Stage, now: datetime) -> None:
    narrow = AllocationFactory(project=stage.cast.project, pool=stage.pool, concurrent_gpus=2)
    say(stage, "allocation", allocation=narrow, concurrent_gpus=10)
    error = refused("concurrent_gpus", book_at, stage, now + HOUR, now + 2 * HOUR, 3, allocation=narrow)
    assert error.facts["ceiling"] == 2


def extend(stage: Stage, lease: Lease, **by: float) -> Lease:
    return extending.extend(actor=stage.cast.owner, lease=lease, ends_at=lease.ends_at + timedelta(**by))


def test_how_often_a_reservation_is_extended(stage: Stage) -> None:
    say(stage, extensions=1)
    lease = extend(stage, stage.book(2), hours=1)
    assert lease.extensions == 0, "before it begins that is a change of plans"
    lease = started(stage, start=1)
    extend(stage, lease, hours=1)
    lease.refresh_from_db()
    extending.give_up(lease, actor=stage.cast.owner, reason="silent")
    lease = extend(stage, lease, hours=1)
    assert lease.extensions == 1, "what no node confirmed does not count"
    extending.confirm(lease, actor=stage.cast.owner)
    error = refused("extensions_used_up", extend, stage, lease, hours=1)
    assert error.facts["extended"] == 1 and error.facts["rule"] == "extensions"
    start = moment_in(error, "next_start")
    assert book_at(stage, start, start + HOUR, 2)


def test_the_window_in_which_it_can_be_extended(stage: Stage, monkeypatch: Any) -> None:
    say(stage, extension_window_seconds=1800)
    lease = started(stage)
    opens_at = lease.ends_at - timedelta(minutes=30)
    set_clock(monkeypatch, opens_at - SECOND)
    error = refused("extension_too_early", extend, stage, lease, hours=1)
    assert moment_in(error, "opens_at") == opens_at
    set_clock(monkeypatch, opens_at)
    assert extend(stage, lease, hours=1).pending_ends_at


def test_an_extension_stops_at_a_blackout_and_at_the_longest(stage: Stage) -> None:
    lease = stage.book(1, start=1, hours=2)
    black_out(stage, lease.ends_at + HOUR, lease.ends_at + 2 * HOUR)
    error = refused("blackout", extend, stage, lease, hours=1, seconds=1)
    latest = moment_in(error, "latest_end")
    assert extending.extend(actor=stage.cast.owner, lease=lease, ends_at=latest).ends_at == latest
    lease.refresh_from_db()
    assert refused("blackout", extend, stage, lease, seconds=1).facts["latest_end"] is None
    say(stage, longest_seconds=3 * 3600)
    assert moment_in(refused("window_too_long", extend, stage, lease, seconds=1), "latest_end") == lease.ends_at


def test_what_lies_within_the_notice_is_not_given_up_by_a_change(stage: Stage, now: datetime) -> None:
    """Else one would move a reservation to next month, and cancel it there at no cost."""
    say(stage, release_notice_seconds=2 * 3600)
    lease = book_at(stage, now + HOUR, now + 4 * HOUR, 3)

    def change(count: int, start: timedelta, end: timedelta) -> Any:
        asked = {"device_count": count, "starts_at": now + start, "ends_at": now + end, "shape": ANY}
        return changing.change(actor=stage.cast.owner, lease=lease, **asked)

    for count, start, end in ((3, 30 * DAY, 31 * DAY), (2, HOUR, 4 * HOUR), (3, HOUR, 2 * HOUR - SECOND)):
        error = refused("release_notice", change, count, start, end)
        assert error.facts["earliest_end"] == (now + 2 * HOUR).isoformat()
    assert change(3, HOUR, 2 * HOUR).ends_at == now + 2 * HOUR
    far = book_at(stage, now + 2 * HOUR, now + 3 * HOUR)
    lease = far
    assert change(1, 30 * DAY, 31 * DAY).starts_at == now + 30 * DAY, "nothing of it lay within the notice"


def wish(now: datetime, **fields: Any) -> Wish:
    asked = {"count": 1, "smallest": 1, "duration": HOUR, "earliest": now, "latest": now + 30 * DAY}
    return Wish(**asked | fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"ahead_seconds": 86400}, {"earliest": 2 * DAY}),
        ({"longest_seconds": 3600}, {"duration": HOUR + SECOND}),
        ({"concurrent_gpus": 3}, {"count": 4, "smallest": 4}),
        ({"future_leases": 0}, {"earliest": HOUR}),
    ],
)
def test_the_search_offers_nothing_that_a_rule_refuses(stage: Stage, now: datetime, values: Any, fields: Any) -> None:
    asked = wish(now, **{key: now + value if key == "earliest" else value for key, value in fields.items()})
    assert find_slots([stage.allocation], asked, now), "without the rule"
    say(stage, **values)
    assert find_slots([stage.allocation], asked, now) == []


def test_what_the_search_offers_under_every_rule_passes(stage: Stage, now: datetime) -> None:
    say(stage, ahead_seconds=3 * 86400, longest_seconds=86400, concurrent_gpus=5, future_leases=3)
    black_out(stage, now, now + 6 * HOUR)
    black_out(stage, now + 20 * HOUR, now + 48 * HOUR)
    for late in (False, True):
        slots = find_slots([stage.allocation], wish(now, count=5, smallest=2, duration=10 * HOUR, late=late), now)
        assert slots
        for slot in slots[:1]:
            lease = book_at(stage, slot.start, slot.end, slot.count, shape=slot.shape)
            assert lease.starts_at in (now + 6 * HOUR, now + 3 * DAY)


def test_a_full_house_offers_a_window_that_the_rules_allow(stage: Stage, now: datetime) -> None:
    book_at(stage, now + HOUR, now + 4 * HOUR, 12)
    black_out(stage, now + 5 * HOUR, now + 9 * HOUR)
    error = refused("no_free_devices", book_at, stage, now + 2 * HOUR, now + 4 * HOUR)
    assert moment_in(error, "next_start") == now + 9 * HOUR and take(stage, error)
    say(stage, ahead_seconds=3 * 3600)
    error = refused("no_free_devices", book_at, stage, now + 2 * HOUR, now + 4 * HOUR, 12)
    assert error.facts["next_start"] is None


def test_a_refusal_by_a_rule_costs_no_more_when_more_is_booked(stage: Stage, now: datetime) -> None:
    from tests.queries import queries_of

    black_out(stage, now + 5 * HOUR, now + 8 * HOUR)

    def ask() -> None:
        refused("blackout", book_at, stage, now + 6 * HOUR, now + 7 * HOUR)

    before = len(queries_of(ask))
    for hour in range(10, 20):
        book_at(stage, now + hour * HOUR, now + (hour + 1) * HOUR)
    assert len(queries_of(ask)) == before


def test_rules_do_not_touch_what_is_booked(stage: Stage, now: datetime) -> None:
    lease = book_at(stage, now + 5 * HOUR, now + 9 * HOUR, 4)
    say(stage, longest_seconds=3600, ahead_seconds=3600, concurrent_gpus=1)
    black_out(stage, now + 5 * HOUR, now + 9 * HOUR)
    lease.refresh_from_db()
    assert lease.state == "scheduled" and lease.placements.filter(released=False).count() == 4
    assert Allocation.objects.get(pk=stage.allocation.pk).state == "active"
