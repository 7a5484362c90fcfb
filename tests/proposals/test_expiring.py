"""An award waits for its answer until a moment; a refusal can be appealed against once."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from allocations.models import Envelope
from common.errors import Forbidden, InvalidTransition, RuleBroken
from common.moments import agency_day
from notifications.models import Notification
from proposals.models import Call, Decision, DecisionLetter, Proposal
from proposals.selectors import committed
from proposals.services import appealing, decisions, expiring, preparing, releasing
from tests.factories import UserFactory, enable_mfa, grant_role
from tests.proposals.stage import Stage, browser


def test_the_last_moment_is_the_end_of_the_calls_last_day(stage: Stage) -> None:
    stage.awarded()
    found = Decision.objects.get().answer_by
    assert found is not None
    local = timezone.localtime(found, timezone.get_default_timezone())
    assert (local.hour, local.minute) == (0, 0)
    assert local.date() == agency_day(timezone.now()) + timedelta(days=15)


def test_nobody_answers_and_everything_flows_back(stage: Stage) -> None:
    proposal = stage.awarded(guaranteed_gpus=4)
    moment = Decision.objects.get().answer_by
    assert moment is not None
    assert expiring.keep_answers(moment - timedelta(seconds=1))[0] == 0
    assert expiring.keep_answers(moment) == (1, 0) and expiring.keep_answers(moment) == (0, 0)
    proposal.refresh_from_db()
    assert proposal.state == "expired" and committed(stage.cast.agreement).gpu_seconds == 0
    assert Envelope.objects.get().let_go_at and not Envelope.objects.get().placements.exists()
    assert Notification.objects.filter(event="proposal_came_free", recipient=stage.cast.officer).count() == 1
    with pytest.raises(RuleBroken) as caught:
        decisions.accept(actor=stage.cast.owner, proposal=proposal)
    assert caught.value.code == "answer_late"
    queue = browser(stage.cast.officer).get(reverse("proposals:queue")).content.decode()
    assert "h100: 4 GPUs, 400.00 GPU-hours, of 1 award" in queue


def test_it_is_too_late_even_before_the_clock_has_come_round(stage: Stage) -> None:
    proposal = stage.awarded()
    Decision.objects.update(answer_by=timezone.now() - timedelta(seconds=1))
    with pytest.raises(RuleBroken) as caught:
        decisions.accept(actor=stage.cast.owner, proposal=proposal)
    assert caught.value.code == "answer_late" and caught.value.remedy
    assert Proposal.objects.get().state == "awarded"


def test_each_reminder_is_sent_once(stage: Stage) -> None:
    stage.awarded()
    moment = Decision.objects.get().answer_by
    assert moment is not None
    told = [expiring.keep_answers(moment - timedelta(days=days))[1] for days in (9, 6, 5, 2, 2, 0.5, 0.4)]
    assert told == [0, 1, 0, 1, 0, 1, 0]
    assert Notification.objects.filter(event="proposal_answer_due", recipient=stage.cast.owner).count() == 3
    Call.objects.update(answer_days=3)
    stage.awarded()
    latest = Decision.objects.first()
    assert latest and latest.answer_by
    assert expiring.keep_answers(timezone.now())[1] == 0


@pytest.fixture
def another() -> Any:
    return grant_role(UserFactory(name="Second"), "officer")


def test_an_appeal_is_answered_by_somebody_else_and_made_once(stage: Stage, another: Any) -> None:
    proposal = decisions.decline(actor=stage.cast.officer, proposal=stage.submitted(), reason="Vague.")
    with pytest.raises(Forbidden):
        appealing.appeal(actor=stage.cast.teammate, proposal=proposal, reason="It is not.")
    made = appealing.appeal(actor=stage.cast.owner, proposal=proposal, reason="It is not.")
    assert Proposal.objects.get().state == "appealed" and made.against.reason == "Vague."
    with pytest.raises(RuleBroken) as caught:
        appealing.uphold(actor=stage.cast.officer, proposal=proposal, reason="Right.")
    assert caught.value.code == "took_part" and Proposal.objects.get().state == "appealed"
    made = appealing.uphold(actor=another, proposal=proposal, reason="The plan is clear enough.")
    assert made.upheld and Proposal.objects.get().state == "in_review"
    for verb in (decisions.decline, preparing.prepare):
        more = {"kind": "decline"} if verb is preparing.prepare else {}
        with pytest.raises(RuleBroken) as caught:
            verb(actor=stage.cast.officer, proposal=proposal, reason="No.", **more)
        assert caught.value.code == "took_part" and stage.cast.officer.name in caught.value.message
    decisions.decline(actor=another, proposal=proposal, reason="No GPUs.")
    last, first = DecisionLetter.objects.filter(kind="decline").order_by("-pk")
    assert "once, by" in first.body_en and "final" in last.body_en and "once, by" not in last.body_en
    with pytest.raises(RuleBroken) as caught:
        appealing.appeal(actor=stage.cast.owner, proposal=proposal, reason="Again.")
    assert caught.value.code == "appealed_already"


def test_nobody_who_prepared_approved_or_released_the_refusal_answers_the_appeal(stage: Stage, another: Any) -> None:
    third, fourth = (grant_role(UserFactory(name=name), "officer") for name in ("Third", "Fourth"))
    for person in (another, third, fourth):
        enable_mfa(person)
    proposal = stage.submitted()
    row = preparing.prepare(actor=stage.cast.officer, proposal=proposal, kind="decline", reason="Vague.")
    row = preparing.approve(actor=another, prepared=row, version=row.version)
    made = releasing.release(actor=third, prepared=[row])[0]
    assert (made.decided_by, made.approved_by, made.released_by) == (stage.cast.officer, another, third)
    appealing.appeal(actor=stage.cast.owner, proposal=proposal, reason="It is not.")
    for person in (stage.cast.officer, another, third):
        page = browser(person).get(proposal.get_absolute_url()).content.decode()
        assert "Uphold the appeal" not in page and "released by Third" in page
        with pytest.raises(RuleBroken) as caught:
            appealing.dismiss(actor=person, proposal=proposal, reason="It is.")
        assert caught.value.code == "took_part"
    assert "Uphold the appeal" in browser(fourth).get(proposal.get_absolute_url()).content.decode()
    appealing.uphold(actor=fourth, proposal=proposal, reason="It is not.")
    row = preparing.prepare(actor=fourth, proposal=proposal, kind="decline", reason="Too late.")
    for act in (
        lambda: preparing.approve(actor=third, prepared=row, version=row.version),
        lambda: releasing.release(actor=another, prepared=[row]),
    ):
        with pytest.raises(RuleBroken) as caught:
            act()
        assert caught.value.code == "took_part"


def test_a_dismissed_appeal_leaves_it_declined(stage: Stage, another: Any) -> None:
    proposal = decisions.decline(actor=stage.cast.officer, proposal=stage.submitted(), reason="Vague.")
    with pytest.raises(InvalidTransition):
        appealing.dismiss(actor=another, proposal=proposal, reason="x")
    appealing.appeal(actor=stage.cast.owner, proposal=proposal, reason="It is not.")
    appealing.dismiss(actor=another, proposal=proposal, reason="It is.")
    assert Proposal.objects.get().state == "declined" and appealing.appealable(Proposal.objects.get()) is None


def test_an_appeal_has_its_days(stage: Stage, settings: Any) -> None:
    proposal = decisions.decline(actor=stage.cast.officer, proposal=stage.submitted(), reason="Vague.")
    Decision.objects.update(decided_at=timezone.now() - timedelta(days=settings.APPEAL_DAYS, seconds=1))
    with pytest.raises(RuleBroken) as caught:
        appealing.appeal(actor=stage.cast.owner, proposal=proposal, reason="It is not.")
    assert caught.value.code == "appeal_late" and Proposal.objects.get().state == "declined"
