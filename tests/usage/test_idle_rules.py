"""Rules about idle GPUs: bounded, tried out before they are switched on, in versions, the narrowest holds whole."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from allocations.models import Lease
from audit.models import AuditEvent
from common.errors import DomainError, Forbidden
from tests.allocations.conftest import Stage
from tests.factories import grant_role
from tests.usage.conftest import DEFAULT, HOUR, hours_of, rule_on
from usage.models import IdleRule
from usage.rule_words import left_out_in_words, precedence, sentences, tried_in_words
from usage.selectors import tryouts
from usage.selectors.finding import find_idle
from usage.selectors.tryouts import narrower_than, try_out
from usage.services import idle_rules


def refused(code: str, verb: Any, **asked: Any) -> DomainError:
    with pytest.raises(DomainError) as caught:
        verb(**asked)
    assert caught.value.code == code and (caught.value.remedy or code == "invalid_transition")
    return caught.value


def drafted(stage: Stage, **values: Any) -> IdleRule:
    said = DEFAULT | values
    return idle_rules.draft(actor=stage.cast.officer, pool=stage.pool, agreement=None, values=said, reason="as agreed")


def test_a_rule_is_tried_out_before_it_is_switched_on_and_again_after_a_change(stage: Stage) -> None:
    officer, rule = stage.cast.officer, drafted(stage)
    refused("not_tried", idle_rules.switch_on, actor=officer, rule=rule, reason="now")
    idle_rules.try_out(actor=officer, rule=rule)
    idle_rules.change_draft(actor=officer, rule=rule, values={"window_seconds": 7200}, reason="shorter")
    refused("not_tried", idle_rules.switch_on, actor=officer, rule=rule, reason="now")
    rule = idle_rules.try_out(actor=officer, rule=rule)
    assert tried_in_words(rule.tried) and rule.tried["leases"] == 0
    assert idle_rules.switch_on(actor=officer, rule=rule, reason="now").state == "on"
    refused("invalid_transition", idle_rules.change_draft, actor=officer, rule=rule, values={}, reason="later")
    verbs = AuditEvent.objects.filter(target_id=rule.public_id).values_list("verb", flat=True)
    assert {"idle_rule.draft", "idle_rule.change", "idle_rule.try_out", "idle_rule.switch_on"} <= set(verbs)


def test_the_next_version_replaces_the_one_that_held_and_none_is_rewritten(stage: Stage) -> None:
    first = rule_on(stage)
    second = rule_on(stage, window_seconds=6 * 3600)
    first.refresh_from_db()
    assert (first.version, first.state, second.version, second.state) == (1, "replaced", 2, "on")
    off = idle_rules.switch_off(actor=stage.cast.officer, rule=second, reason="a mistake")
    assert off.state == "off" and off.off_at and (off.off_by, off.off_reason) == (stage.cast.officer, "a mistake")
    assert (off.reason, off.on_reason, off.on_by) == ("as agreed", "as agreed", stage.cast.officer)
    third = drafted(stage)
    assert third.version == 3 and idle_rules.discard(actor=stage.cast.officer, rule=third).state == "discarded"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"grace_seconds": 60}, "rule_value"),
        ({"idle_percent": 10}, "rule_value"),
        ({"window_seconds": 5400}, "rule_value"),
        ({"returned_percent": 101}, "rule_value"),
        ({"no_such": 1}, "unknown_rule"),
    ],
)
def test_values_out_of_bounds_are_refused_with_the_bounds(stage: Stage, values: Any, code: str) -> None:
    error = (
        refused(code, idle_rules.draft, actor=stage.cast.officer, pool=None, agreement=None, values=values, reason="x")
        if code == "rule_value"
        else None
    )
    if error is not None:
        assert error.facts["rule"] in values


def test_only_officers_say_rules(stage: Stage) -> None:
    for person in (stage.cast.owner, stage.cast.operator, stage.cast.auditor):
        with pytest.raises(Forbidden):
            idle_rules.draft(actor=person, pool=None, agreement=None, values={}, reason="x")


def test_nobody_says_the_rule_of_their_own_organisation(stage: Stage) -> None:
    rule = rule_on(stage, "agreement")
    own = User.objects.get(pk=grant_role(stage.cast.viewer, "administrator").pk)
    asked: dict[str, Any] = {"actor": own, "reason": "kindly"}
    about = {"agreement": stage.cast.agreement, "pool": None, "values": DEFAULT}
    refused("own_organisation", idle_rules.draft, **asked, **about)
    refused("own_organisation", idle_rules.change_draft, **asked, rule=rule, values={"idle_percent": 100})
    refused("own_organisation", idle_rules.switch_off, **asked, rule=rule)
    everybodys = about | {"agreement": None, "pool": stage.pool}
    assert idle_rules.draft(**asked, **everybodys).state == "draft"


def test_every_sentence_of_a_rule_can_be_said(stage: Stage) -> None:
    for follows in IdleRule.Follows:
        for flag in (True, False):
            said = {"follows": follows, "counts_parked": flag, "counts_hung": not flag, "takes_part": flag}
            rule = IdleRule(made_by=stage.cast.officer, **said)
            assert len(sentences(rule)) >= 7


def test_the_narrowest_rule_holds_whole(stage: Stage, lease: Lease) -> None:
    assert lease.active_at
    now = hours_of(lease, lease.active_at, 6) + HOUR
    assert find_idle(now) == []
    rule_on(stage, "house")
    (found,) = find_idle(now)
    assert found.whole and len(found.devices) == 4 and {row.idle_seconds for row in found.devices} == {4 * 3600}
    pool = rule_on(stage, window_seconds=8 * 3600)
    assert find_idle(now) == [], "the pool's rule wants eight hours"
    agreement = rule_on(stage, "agreement", window_seconds=2 * 3600)
    assert [row.rule_id for row in find_idle(now)] == [agreement.pk] != [pool.pk]


@pytest.mark.parametrize("kind", ["used", "no_data", "fault", "maintenance", "hung"])
def test_neither_use_nor_a_gap_nor_an_ill_gpu_nor_maintenance_is_idle(stage: Stage, lease: Lease, kind: str) -> None:
    rule_on(stage)
    assert lease.active_at
    now = hours_of(lease, lease.active_at, 6, kind) + HOUR
    assert find_idle(now) == []


def test_control_idle_and_parked_hours_are(stage: Stage, lease: Lease) -> None:
    rule_on(stage)
    assert lease.active_at
    now = hours_of(lease, lease.active_at, 2, "parked")
    now = hours_of(lease, now - HOUR, 2) + HOUR
    assert len(find_idle(now)) == 1
    rule_on(stage, counts_parked=False)
    assert find_idle(now) == []


def test_the_first_day_is_left_alone_and_what_is_not_decided_yet_is_a_gap(stage: Stage, lease: Lease) -> None:
    rule_on(stage, first_seconds=24 * 3600)
    assert lease.active_at
    end = hours_of(lease, lease.active_at, 27)
    assert find_idle(end) == [], "the last hour still waits for late data"
    assert find_idle(end + HOUR) == [], "of the last four hours one lies in the first day"
    later = hours_of(lease, end - HOUR, 1) + HOUR
    assert len(find_idle(later)) == 1


def test_a_part_is_named_where_the_rule_takes_parts(stage: Stage, lease: Lease) -> None:
    ids = [row.device_id for row in lease.placements.order_by("device_id")]
    assert lease.active_at
    hours_of(lease, lease.active_at, 5, devices=ids[:3])
    now = hours_of(lease, lease.active_at, 5, "used", devices=ids[3:]) + HOUR
    rule_on(stage)
    (found,) = find_idle(now)
    assert not found.whole and [row.device_id for row in found.devices] == ids[:3]
    rule_on(stage, takes_part=False)
    assert find_idle(now) == []


def test_a_correction_changes_what_is_found(stage: Stage, lease: Lease) -> None:
    rule_on(stage)
    assert lease.active_at
    end = hours_of(lease, lease.active_at, 5)
    assert len(find_idle(end + HOUR)) == 1
    row = lease.placements.order_by("device_id")[0]
    lease.usage_corrections.create(
        device=row.device,
        hour=end - HOUR,
        first_minute=0,
        last_minute=59,
        from_class="idle",
        to_class="used",
        seconds=3600,
        reason="the job wrote no samples",
        actor_label="test",
    )
    (found,) = find_idle(end + HOUR)
    assert not found.whole and row.device_id not in {each.device_id for each in found.devices}


def test_a_try_out_says_what_would_have_come_back(stage: Stage, lease: Lease) -> None:
    """Idle for 10 hours, noticed after 4, decided an hour later, an hour's grace: due 6 hours after the start."""
    assert lease.active_at
    end = hours_of(lease, lease.active_at, 10)
    rule = drafted(stage)
    found = try_out(rule, 30, end + HOUR)
    assert (found.leases, found.devices) == (1, 4)
    assert found.seconds == 4 * 4 * 3600 and found.named[0]["lease"] == lease.public_id
    rule.grace_seconds = 20 * 3600
    assert try_out(rule, 30, end + HOUR).seconds == 0, "what was used or not after that is not known yet"


def test_a_try_out_lets_those_go_who_used_theirs_again(stage: Stage, lease: Lease) -> None:
    assert lease.active_at
    end = hours_of(lease, lease.active_at, 4)
    end = hours_of(lease, end - HOUR, 6, "used")
    assert try_out(drafted(stage), 30, end + HOUR).leases == 0
    with pytest.raises(DomainError):
        idle_rules.try_out(actor=stage.cast.officer, rule=IdleRule.objects.get(), days=1000)


def test_a_try_out_of_the_house_leaves_out_whom_a_narrower_rule_holds_for(stage: Stage, lease: Lease) -> None:
    assert lease.active_at
    end = hours_of(lease, lease.active_at, 10)
    house = idle_rules.draft(actor=stage.cast.officer, pool=None, agreement=None, values=DEFAULT, reason="x")
    found = try_out(house, 30, end + timedelta(hours=1))
    assert (found.leases, found.left_out) == (1, 0)
    pool = rule_on(stage)
    found = try_out(house, 30, end + timedelta(hours=1))
    assert (found.leases, found.left_out) == (0, 1) and left_out_in_words(found.as_json())
    agreement = rule_on(stage, "agreement")
    assert set(narrower_than(house)) == {pool, agreement}
    assert list(narrower_than(pool)) == [agreement] and not narrower_than(agreement).exists()
    assert precedence(house) and precedence(pool) and not precedence(agreement)


def test_too_much_history_is_said_with_the_way_out_and_breaks_nothing_else(
    stage: Stage, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The try-out has a bound of time, which it must not leave behind for the statements that follow."""
    rule = drafted(stage)
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        before = cursor.fetchone()
    monkeypatch.setattr(tryouts, "_WOULD", "SELECT pg_sleep(5)")
    monkeypatch.setattr(tryouts, "MOST_SECONDS", 0.05)
    found = refused("too_much_history", idle_rules.try_out, actor=stage.cast.officer, rule=rule)
    assert "0.05" in str(found.message)
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == before
    rule.refresh_from_db()
    assert rule.tried_at is None
