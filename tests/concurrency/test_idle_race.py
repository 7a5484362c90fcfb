"""An officer stops a case at the moment in which it is carried out: one of them has the word, never both."""

from typing import Any

import pytest
from django.utils import timezone

from allocations.models import Lease
from common.errors import DomainError
from tests.allocations.conftest import stage as stage
from tests.allocations.test_no_show import measured
from tests.concurrency.test_booking_race import RACE
from tests.concurrency.test_operators_race import race
from tests.usage.conftest import HOUR, hours_of, rule_on
from tests.usage.conftest import lease as lease
from usage.lifecycle import IDLE_CASE
from usage.models import IdleCase
from usage.services import answering, following


@RACE
def test_a_stop_and_the_taking_never_both_happen(stage: Any, lease: Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    rule_on(stage)
    assert lease.active_at
    now = hours_of(lease, lease.active_at, 5) + HOUR
    monkeypatch.setattr(timezone, "now", lambda: now)
    following.watch(now)
    case, due = IdleCase.objects.get(), now + HOUR
    measured(lease, due)
    monkeypatch.setattr(timezone, "now", lambda: due)

    # The control: whoever looks at the case before the other has written finds that it may be done.
    assert IDLE_CASE.allows(case.state, "stop") and IDLE_CASE.allows(case.state, "come_due") and case.due_at == due

    results = race(
        lambda: answering.stop(actor=stage.cast.officer, case=case, reason="our network was down"),
        lambda: following.follow(due),
    )
    broken = [each for each in results if isinstance(each, Exception) and not isinstance(each, DomainError)]
    case.refresh_from_db()
    lease.refresh_from_db()
    assert not broken, results
    assert (case.state, lease.state) in {("stopped", "active"), ("executing", "draining")}, results
    assert case.steps.filter(kind__in=("stopped", "executing")).count() == 1
