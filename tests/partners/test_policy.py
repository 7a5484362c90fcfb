"""The agreement allows and refuses."""

from datetime import date, datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from common.errors import RuleBroken
from partners.commitments import Award, add_up, by_year
from partners.policy import Committed, Wish, check_active, check_ask, check_booking, cutoff, may, sign_in

SEOUL = ZoneInfo("Asia/Seoul")
AGREEMENT = SimpleNamespace(
    pk=1,
    public_id="agr-1",
    number="MOU-1",
    state="active",
    state_since=datetime(2026, 4, 1, 9, tzinfo=SEOUL),
    valid_from=date(2026, 1, 1),
    valid_until=date(2026, 12, 31),
    ceiling_gpu_seconds=1_000 * 3600,
    ceiling_concurrent_gpus=8,
    ceiling_gpu_seconds_a_year=None,
    gpu_classes=["h100"],
    pools=[],
)


def other(**changes: Any) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(AGREEMENT), **changes})


def ask(agreement: Any = AGREEMENT, **changes: Any) -> None:
    fields: dict[str, Any] = {
        "gpu_class_code": "h100",
        "gpus": 4,
        "gpu_seconds": 400 * 3600,
        "window_from": date(2026, 3, 1),
        "window_until": date(2026, 3, 31),
        "committed": Committed(600 * 3600, 4),
    }
    check_ask(agreement, **{**fields, **changes})


def test_an_ask_up_to_the_very_ceiling_passes() -> None:
    ask()


@pytest.mark.parametrize(
    ("changes", "rule", "left"),
    [
        ({"gpus": 5}, "concurrent_gpus", 4),
        ({"gpu_seconds": 400 * 3600 + 1}, "gpu_hours", "400.00"),
        pytest.param({"gpu_class_code": "t4"}, "gpu_classes", None, marks=pytest.mark.django_db),  # names the classes
        ({"window_until": date(2027, 1, 1)}, "term", None),
        ({"window_from": date(2025, 12, 31)}, "term", None),
        ({"committed": Committed(2_000 * 3600, 0)}, "gpu_hours", "0.00"),
    ],
)
def test_each_ceiling_refuses_and_says_what_is_left(changes: dict[str, Any], rule: str, left: Any) -> None:
    with pytest.raises(RuleBroken) as caught:
        ask(**changes)
    assert caught.value.facts["rule"] == rule
    assert caught.value.facts.get("left") == left
    assert caught.value.remedy


def test_only_an_active_agreement_allows() -> None:
    suspended = other(state="suspended")
    with pytest.raises(RuleBroken) as caught:
        check_active(suspended, date(2026, 5, 5))
    assert caught.value.code == "agreement_not_active"
    assert "2026-04-01 09:00 KST" in str(caught.value)
    with pytest.raises(RuleBroken) as caught:  # over with its last day, whenever the clock came to note it
        check_active(other(state="lapsed", state_since=datetime(2027, 1, 1, 3, 17, tzinfo=SEOUL)), date(2027, 1, 2))
    assert "2026-12-31" in str(caught.value) and caught.value.facts["since"].startswith("2027-01-01T00:00:00")


def test_a_booking_may_end_with_the_last_day_of_the_term_and_not_later() -> None:
    start, midnight = datetime(2026, 12, 31, 12, tzinfo=SEOUL), datetime(2027, 1, 1, tzinfo=SEOUL)
    check_booking(AGREEMENT, gpus=8, gpus_running_then=0, starts_at=start, ends_at=midnight)
    with pytest.raises(RuleBroken):
        late = datetime(2027, 1, 1, 0, 1, tzinfo=SEOUL)
        check_booking(AGREEMENT, gpus=8, gpus_running_then=0, starts_at=start, ends_at=late)
    with pytest.raises(RuleBroken):
        check_booking(AGREEMENT, gpus=8, gpus_running_then=1, starts_at=start, ends_at=midnight)


def test_an_award_lies_evenly_in_its_years_and_loses_no_second() -> None:
    shares = by_year(1_000, date(2026, 12, 31), date(2027, 1, 2))
    assert shares == {2026: 333, 2027: 667}
    award = Award(1_000, 4, datetime(2026, 12, 31, tzinfo=SEOUL), datetime(2027, 1, 3, tzinfo=SEOUL), "pool-1", "h100")
    total = add_up([award], Committed(500, 1, {2027: 500}))
    assert (total.gpu_seconds, total.concurrent_gpus, total.years) == (1_500, 5, {2026: 333, 2027: 1_167})
    assert (total.pools, total.gpu_classes, total.last_day) == ({"pool-1"}, {"h100"}, date(2027, 1, 2))


def test_a_year_has_a_ceiling_of_its_own() -> None:
    yearly = other(ceiling_gpu_seconds_a_year=600 * 3600, valid_until=date(2027, 12, 31), ceiling_gpu_seconds=10**9)
    # 400 hours over the turn of the year, half in each, on top of 400 in 2026: that fits exactly.
    both = {"window_from": date(2026, 12, 2), "window_until": date(2027, 1, 30)}
    ask(yearly, committed=Committed(0, 0, {2026: 400 * 3600}), **both)
    with pytest.raises(RuleBroken) as caught:
        ask(yearly, committed=Committed(0, 0, {2026: 400 * 3600 + 1}), **both)
    assert caught.value.facts | {"year": 2026, "rule": "gpu_hours_a_year", "left": "200.00"} == caught.value.facts
    assert "2026" in str(caught.value)


def test_awards_and_bookings_keep_to_the_pools_that_are_named(settings: Any) -> None:
    settings.POOL_CHOICES = "tests.partners.test_policy.pools"
    narrow = other(pools=["pool-1"])
    ask(narrow, pool="pool-1")
    ask(narrow)  # a proposal names a class; which pool it will be, the award says
    start, end = datetime(2026, 5, 1, tzinfo=SEOUL), datetime(2026, 5, 2, tzinfo=SEOUL)
    for refused in (
        lambda: ask(narrow, pool="pool-2"),
        lambda: check_booking(narrow, gpus=1, gpus_running_then=0, starts_at=start, ends_at=end, pool="pool-2"),
    ):
        with pytest.raises(RuleBroken) as caught:
            refused()
        assert caught.value.code == "pool_not_covered"
        assert "One" in str(caught.value)
        assert "Two" not in str(caught.value)


def pools() -> list[tuple[str, str, str]]:
    return [("pool-1", "One", "h100"), ("pool-2", "Two", "h100")]


def test_may_answers_with_the_reason_and_what_would_be_allowed() -> None:
    wish = Wish("propose", date(2026, 5, 1), date(2026, 5, 2), gpus=6, gpu_seconds=3600, gpu_class="h100")
    used = {1: Committed(0, 4)}
    ended = other(pk=2, state="lapsed", valid_from=date(2025, 1, 1), valid_until=date(2025, 12, 31))
    answer = may([ended, AGREEMENT], wish, used)
    assert (answer.allowed, answer.code, answer.agreement) == (False, "ceiling_concurrent_gpus", AGREEMENT)
    assert "6" in answer.reason
    assert "4" in answer.allowed_instead
    assert may([ended, AGREEMENT], wish, {}).agreement is AGREEMENT
    later = Wish("book", date(2027, 5, 1), date(2027, 5, 2))
    assert may([AGREEMENT], later, {}).code == "outside_term"
    assert may([], later, {}).code == "no_agreement"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"state": "active"}, None),
        ({"state": "suspended", "suspension_rule": "own_end"}, None),
        ({"state": "suspended", "suspension_rule": "at_once"}, datetime(2026, 5, 1, 12, tzinfo=SEOUL)),
        ({"state": "suspended", "suspension_rule": "grace"}, datetime(2026, 5, 4, 12, tzinfo=SEOUL)),
        ({"state": "terminated", "ending_rule": "at_once"}, datetime(2026, 5, 1, 12, tzinfo=SEOUL)),
        ({"state": "lapsed", "ending_rule": "grace"}, datetime(2027, 1, 6, tzinfo=SEOUL)),
        ({"state": "lapsed", "ending_rule": "own_end"}, None),
    ],
)
def test_running_reservations_end_by_the_rule_that_the_agreement_states(fields: Any, expected: Any) -> None:
    since = datetime(2026, 5, 1, 12, tzinfo=SEOUL)
    agreement = other(state_since=since, suspension_days=3, ending_days=5, **fields)
    assert cutoff(agreement) == expected


@pytest.mark.parametrize(
    ("state", "code"), [("active", ""), ("suspended", "read_only"), ("terminated", "read_only"), ("draft", "read_only")]
)
def test_signing_in_is_always_allowed_and_says_when_it_is_for_reading(state: str, code: str) -> None:
    answer = sign_in([other(state=state)], date(2026, 5, 1))
    assert (answer.allowed, answer.code) == (True, code)
    assert ("MOU-1" in answer.reason) == bool(code)
    assert sign_in([], date(2026, 5, 1)).code == "read_only"
    assert sign_in([AGREEMENT], date(2027, 5, 1)).code == "read_only"  # its term is over, and the clock comes soon
