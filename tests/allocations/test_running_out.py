"""An agreement that ends or is suspended plays out on what is open, by the rule that it states."""

from datetime import timedelta
from typing import Any

import pytest

from allocations.models import Allocation, Lease
from allocations.services import extending, reconcile
from allocations.services.running_out import NOT_BEGUN_OVER, NOT_BEGUN_SUSPENDED, RULE_SUSPENDED
from common.actors import RECONCILER
from common.errors import DomainError
from notifications.models import Notification
from partners.models import Agreement
from partners.services import agreements
from tests.allocations.conftest import Stage
from tests.allocations.test_reconcile import brought_back, started
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


def state_rule(stage: Stage, **fields: Any) -> Agreement:
    Agreement.objects.filter(pk=stage.cast.agreement.pk).update(**fields)
    stage.cast.agreement.refresh_from_db()
    return stage.cast.agreement


def state_of(lease: Lease) -> str:
    lease.refresh_from_db()
    return lease.state


@pytest.mark.parametrize(
    ("rule", "days", "state"), [("at_once", 0, "draining"), ("grace", 2, "active"), ("own_end", 0, "active")]
)
def test_a_suspension_ends_what_runs_by_its_rule(stage: Stage, rule: str, days: int, state: str) -> None:
    running = started(stage)
    agreement = state_rule(stage, suspension_rule=rule, suspension_days=days)
    agreements.suspend(actor=stage.cast.officer, agreement=agreement, reason="Audit.")
    reconcile.tick()
    assert state_of(running) == state
    with pytest.raises(DomainError):
        extending.extend(actor=stage.cast.owner, lease=running, ends_at=running.ends_at + timedelta(hours=1))
    with pytest.raises(DomainError):
        stage.book(start=9)
    if state == "draining":
        assert (running.end_reason, running.state_reason) == ("reclaimed", RULE_SUSPENDED)
        told = Notification.objects.filter(event="lease_ending", recipient=stage.cast.owner).get()
        assert "suspended" in told.body
        assert brought_back(running, running.drained_at).state == "ended"  # type: ignore[arg-type]


def test_grace_is_over_after_its_days(stage: Stage) -> None:
    running = started(stage, hours=100)
    agreement = state_rule(stage, suspension_rule="grace", suspension_days=2)
    suspended = agreements.suspend(actor=stage.cast.officer, agreement=agreement, reason="Audit.")
    for hours, state in ((47, "active"), (48, "draining")):
        reconcile.tick(now=suspended.state_since + timedelta(hours=hours))
        assert state_of(running) == state


def test_what_would_begin_while_suspended_falls_away_at_its_beginning_alone(stage: Stage) -> None:
    soon, later = stage.book(start=1), stage.book(start=20)
    agreement = agreements.suspend(actor=stage.cast.officer, agreement=stage.cast.agreement, reason="Audit.")
    reconcile.tick()
    assert (state_of(soon), state_of(later)) == ("scheduled", "scheduled")
    reconcile.tick(now=soon.starts_at - timedelta(minutes=5))
    assert (state_of(soon), soon.state_reason) == ("cancelled", NOT_BEGUN_SUSPENDED)
    agreements.resume(actor=stage.cast.officer, agreement=agreement)
    reconcile.tick(now=later.starts_at - timedelta(minutes=5))
    assert state_of(later) == "preparing"


def test_a_termination_cancels_what_has_not_begun_and_closes_the_awards(stage: Stage) -> None:
    running, booked = started(stage), stage.book(start=20)
    over = agreements.terminate(actor=stage.cast.officer, agreement=stage.cast.agreement, reason="Over.")
    reconcile.tick()
    assert (state_of(booked), booked.state_reason) == ("cancelled", NOT_BEGUN_OVER)
    assert state_of(running) == "active"  # the agreement lets it run to its own end
    assert Allocation.objects.get(pk=stage.allocation.pk).state == "closed"
    over.refresh_from_db()
    assert not over.played_out
    reconcile.tick(now=running.ends_at)
    assert state_of(running) == "draining"
    brought_back(running, running.ends_at)
    reconcile.tick()
    over.refresh_from_db()
    assert over.played_out


def test_an_award_that_is_used_up_is_closed_with_its_agreement(stage: Stage) -> None:
    Allocation.objects.filter(pk=stage.allocation.pk).update(state="exhausted")
    over = agreements.terminate(actor=stage.cast.officer, agreement=stage.cast.agreement, reason="Over.")
    reconcile.tick()
    reconcile.tick()
    over.refresh_from_db()
    assert Allocation.objects.get(pk=stage.allocation.pk).state == "closed" and over.played_out


def test_a_lapse_takes_back_what_outlives_the_last_day(stage: Stage) -> None:
    """The term was shortened after it was booked."""
    running = started(stage, hours=60)
    agreement = state_rule(stage, ending_rule="at_once", valid_until=stage.now.date() - timedelta(days=1))
    assert agreements.lapse_due(actor=RECONCILER, today=stage.now.date()) == 1
    reconcile.tick()
    assert state_of(running) == "draining"
    agreement.refresh_from_db()
    assert agreement.state == "lapsed"


def test_a_tick_with_nothing_to_play_out_looks_once(stage: Stage) -> None:
    def asked() -> int:
        return sum("played_out" in statement for statement in queries_of(reconcile.tick))

    stage.book()
    assert asked() == 1
