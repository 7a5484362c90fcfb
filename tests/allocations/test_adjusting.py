"""A balance is corrected by two people or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from allocations.models import Adjustment, Allocation, LedgerEntry
from allocations.selectors.balances import balance, committed
from allocations.services import adjusting, awards, booking, ending
from audit.models import AuditEvent
from common.errors import DomainError, Forbidden, InvalidTransition, RuleBroken
from notifications.models import Mail, Notification
from tests.allocations.conftest import Stage
from tests.allocations.test_ledger_proof import _small, adds_up, told
from tests.factories import UserFactory, grant_role

HOUR = 3600


@contextmanager
def refused(code: str) -> Iterator[Any]:
    """A refusal with this code, and a remedy."""
    with pytest.raises(DomainError) as found:
        yield found
    assert found.value.code == code and found.value.remedy


def second(stage: Stage) -> Any:
    """Another officer."""
    return grant_role(UserFactory(name="Second Officer"), "officer")


def proposed(stage: Stage, hours: float, **fields: Any) -> Adjustment:
    asked = {"actor": stage.cast.officer, "allocation": stage.allocation, "reason": "a power cut"} | fields
    return adjusting.propose(device_seconds=round(hours * HOUR), **asked)


@pytest.mark.parametrize("hours", [5, -5])
def test_nothing_moves_until_another_officer_has_confirmed(stage: Stage, hours: int) -> None:
    before = balance(stage.allocation).left
    made = proposed(stage, hours)
    assert balance(stage.allocation).left == before and made.state == "proposed"
    made = adjusting.confirm(actor=second(stage), adjustment=made)
    assert balance(stage.allocation).left == before + hours * HOUR
    assert balance(stage.allocation).adjusted == hours * HOUR and made.state == "confirmed" and adds_up()
    assert made.entry and made.entry.why == "a power cut"


def test_whoever_proposed_it_does_not_decide(stage: Stage) -> None:
    made = proposed(stage, 5)
    with refused("second_person"):
        adjusting.confirm(actor=stage.cast.officer, adjustment=made)
    with refused("second_person"):
        adjusting.reject(actor=stage.cast.officer, adjustment=made, reason="no")
    assert not LedgerEntry.objects.filter(kind="adjustment").exists()


def test_the_database_itself_wants_two_people_and_an_entry(stage: Stage) -> None:
    made = proposed(stage, 5)
    with pytest.raises(IntegrityError, match="adjustment_needs_two_people"), transaction.atomic():
        entry = stage.allocation.ledger.get()
        Adjustment.objects.filter(pk=made.pk).update(state="confirmed", decided_by=stage.cast.officer, entry=entry)
    with pytest.raises(IntegrityError, match="adjustment_is_entered"), transaction.atomic():
        Adjustment.objects.filter(pk=made.pk).update(state="confirmed", decided_by=second(stage))


def test_a_decided_one_is_not_decided_again(stage: Stage) -> None:
    other = second(stage)
    for verb in ("confirm", "reject", "withdraw"):
        made = proposed(stage, 5)
        adjusting.confirm(actor=other, adjustment=made)
        with pytest.raises(InvalidTransition):
            _decide(verb, made, stage.cast.officer if verb == "withdraw" else other)
    assert LedgerEntry.objects.filter(kind="adjustment").count() == 3


def _decide(verb: str, made: Adjustment, actor: Any) -> Adjustment:
    said = {"reason": "no"} if verb == "reject" else {}
    decided: Adjustment = getattr(adjusting, verb)(actor=actor, adjustment=made, **said)
    return decided


def test_a_rejection_says_why_and_tells_whoever_proposed_it(stage: Stage) -> None:
    made = proposed(stage, 5)
    with refused("reason_missing"):
        adjusting.reject(actor=second(stage), adjustment=made, reason="  ")
    made = adjusting.reject(actor=second(stage), adjustment=made, reason="not our fault")
    note = Notification.objects.get(event="adjustment_rejected")
    assert note.recipient == stage.cast.officer and "not our fault" in note.body
    assert balance(stage.allocation).adjusted == 0 and made.state == "rejected"


def test_only_whoever_proposed_it_withdraws_it(stage: Stage) -> None:
    made = proposed(stage, 5)
    with pytest.raises(Forbidden):
        adjusting.withdraw(actor=second(stage), adjustment=made)
    assert adjusting.withdraw(actor=stage.cast.officer, adjustment=made).state == "withdrawn"


@pytest.mark.parametrize("who", ["owner", "operator", "auditor", "reviewer"])
def test_only_officers_adjust(stage: Stage, who: str) -> None:
    person, made = getattr(stage.cast, who), proposed(stage, 5)
    for verb in ("confirm", "reject", "withdraw"):
        with pytest.raises(Forbidden):
            _decide(verb, made, person)
    with pytest.raises(Forbidden):
        proposed(stage, 5, actor=person)


def test_a_balance_never_falls_below_zero(stage: Stage) -> None:
    with refused("balance") as found:
        proposed(stage, -10_000.01)
    assert found.value.facts["left_device_seconds"] == 10_000 * HOUR
    made = proposed(stage, -10_000)
    stage.book(1)
    with refused("balance"):
        adjusting.confirm(actor=second(stage), adjustment=made)
    assert balance(stage.allocation).adjusted == 0 and adds_up()


@pytest.mark.parametrize(("hours", "reason"), [(0, "x"), (5, "  ")])
def test_it_moves_something_and_has_a_reason(stage: Stage, hours: int, reason: str) -> None:
    with pytest.raises(RuleBroken):
        proposed(stage, hours, reason=reason)


def test_hours_that_are_added_count_against_the_agreement(stage: Stage) -> None:
    agreement = stage.cast.agreement
    agreement.ceiling_gpu_seconds = committed(agreement).gpu_seconds + 6 * HOUR
    agreement.save()
    adjusting.confirm(actor=second(stage), adjustment=proposed(stage, 5))
    assert committed(agreement).gpu_seconds == agreement.ceiling_gpu_seconds - HOUR
    with refused("ceiling_gpu_hours") as found:
        proposed(stage, 2)
    assert found.value.field == "hours"
    proposed(stage, -2)


def test_an_allocation_that_is_over_is_not_adjusted(stage: Stage) -> None:
    made = proposed(stage, 5)
    awards.close(actor=stage.cast.officer, allocation=stage.allocation, reason="done")
    with refused("allocation_over"):
        adjusting.confirm(actor=second(stage), adjustment=made)
    assert adds_up()


def test_partners_and_officers_are_told_and_both_names_stand_in_the_log(stage: Stage) -> None:
    other = second(stage)
    made = proposed(stage, -5)
    waiting = Notification.objects.filter(event="adjustment_proposed")
    assert [note.recipient for note in waiting] == [other]
    adjusting.confirm(actor=other, adjustment=made)
    notes = Notification.objects.filter(event="allocation_adjusted")
    assert {note.recipient_id for note in notes} == {stage.cast.owner.pk, stage.cast.manager.pk}
    for note in notes:
        assert str(stage.cast.officer) in note.body and "Second Officer" in note.body and "5.00" in note.body
    assert Mail.objects.filter(address=stage.cast.owner.email, subject__contains="adjusted").exists()
    event = AuditEvent.objects.get(verb="adjustment.confirm")
    assert event.actor_label == other.label and event.changes["proposed_by"] == stage.cast.officer.email


def test_the_steps_are_of_what_there_is_with_its_adjustments(stage: Stage) -> None:
    """Of 100 hours 50 are booked; 100 more make that a quarter, and half of 200 is told anew."""
    allocation, people = _small(stage, hours=100), 2
    booked = stage.book(5, start=1, hours=10, allocation=allocation)
    assert len(told()) == people and booked
    _adjusted(stage, allocation, 100)
    assert (_reload(allocation).warned_percent, len(told())) == (0, people)
    stage.book(5, start=20, hours=10, allocation=allocation)
    assert (_reload(allocation).warned_percent, len(told())) == (50, 2 * people), "100 of 200"
    _adjusted(stage, allocation, -90)
    assert (_reload(allocation).warned_percent, len(told())) == (90, 3 * people), "100 of 110"
    _adjusted(stage, allocation, -10)
    assert (_reload(allocation).warned_percent, len(told())) == (100, 4 * people), "100 of 100"
    ending.cancel(actor=stage.cast.owner, lease=booked)
    assert _reload(allocation).warned_percent == 50 and adds_up()


def _adjusted(stage: Stage, allocation: Allocation, hours: int) -> None:
    adjusting.confirm(actor=second(stage), adjustment=proposed(stage, hours, allocation=allocation))


def _reload(allocation: Allocation) -> Allocation:
    allocation.refresh_from_db()
    return allocation


def test_added_hours_can_be_booked(stage: Stage) -> None:
    allocation = _small(stage, hours=1)
    with refused("balance"):
        stage.book(2, hours=1, allocation=allocation)
    _adjusted(stage, allocation, 1)
    assert stage.book(2, hours=1, allocation=allocation) and booking and adds_up()
