"""An allocation whose hours are used up says so once, and is active again when hours come back."""

from datetime import timedelta

import pytest

from allocations.models import Allocation, LedgerEntry
from allocations.services import amending, ledger
from allocations.services.exhausting import keep_balances
from audit.models import AuditEvent
from common.actors import RECONCILER
from common.errors import RuleBroken
from notifications.models import Notification
from tests.allocations.conftest import Stage
from tests.allocations.test_reconcile import brought_back, go, started
from tests.factories import AllocationFactory
from tests.proposals.stage import browser

HOURS_4 = 4 * 3600


def state_of(allocation: Allocation) -> str:
    return Allocation.objects.values_list("state", flat=True).get(pk=allocation.pk)


def test_it_is_exhausted_when_its_last_reservation_is_settled_and_not_while_one_holds(stage: Stage) -> None:
    stage.allocation = AllocationFactory(project=stage.cast.project, pool=stage.pool, awarded_gpu_seconds=HOURS_4)
    lease = started(stage, count=2)
    assert keep_balances(stage.now) == 0 and state_of(stage.allocation) == "active"
    lease = brought_back(go(lease, lease.ends_at), lease.ends_at + timedelta(minutes=2))
    assert lease.state == "ended"
    assert keep_balances(stage.now) == 1 and keep_balances(stage.now) == 0
    assert state_of(stage.allocation) == "exhausted"
    told = Notification.objects.filter(event="allocation_exhausted")
    assert {note.recipient for note in told} == {stage.cast.owner, stage.cast.manager}
    assert AuditEvent.objects.filter(verb="allocation.exhaust").count() == 1
    page = browser(stage.cast.owner).get(stage.allocation.get_absolute_url()).content.decode()
    assert 'id="exhausted"' in page and f"/allocations/{stage.allocation.public_id}/book/" not in page
    with pytest.raises(RuleBroken) as caught:
        stage.book(1, start=30, hours=1)
    assert caught.value.code == "balance"


def test_hours_that_come_back_make_it_active_again(stage: Stage) -> None:
    spent = AllocationFactory(
        project=stage.cast.project, pool=stage.pool, awarded_gpu_seconds=HOURS_4, warned_percent=100
    )
    ledger.enter(spent, LedgerEntry.Kind.SETTLE, -HOURS_4, actor=RECONCILER)
    assert keep_balances(stage.now) == 1 and state_of(spent) == "exhausted"
    amending.add_hours(actor=stage.cast.officer, allocation=spent, gpu_seconds=3600, reason="More.")
    assert state_of(spent) == "active" and keep_balances(stage.now) == 0
    Allocation.objects.filter(pk=spent.pk).update(state="exhausted")  # hours that came back by another verb
    assert keep_balances(stage.now) == 1 and state_of(spent) == "active"
    stage.proved = False  # the charge above has no reservation


def test_the_step_of_warning_alone_exhausts_nothing(stage: Stage) -> None:
    Allocation.objects.filter(pk=stage.allocation.pk).update(warned_percent=100)
    assert keep_balances(stage.now) == 0 and state_of(stage.allocation) == "active"
