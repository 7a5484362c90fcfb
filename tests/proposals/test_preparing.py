"""Prepared, approved by a second person, released together; held; the plain verb under the same rule."""

from typing import Any

import pytest
from django.utils.translation import override

from allocations.models import Envelope
from cluster.models import Pool
from common.errors import Forbidden, InvalidTransition, RuleBroken, WrongState
from common.overtaken import SavedMeanwhile
from notifications.models import Notification
from proposals.models import AwardLine, Call, Decision, DecisionLetter, PreparedDecision, Proposal
from proposals.services import decisions, preparing, releasing
from tests.factories import UserFactory, enable_mfa, grant_role
from tests.proposals.stage import HOUR, Stage


@pytest.fixture
def second() -> Any:
    """Another officer."""
    user = grant_role(UserFactory(name="Second"), "officer")
    enable_mfa(user)
    return user


def prepared(stage: Stage, proposal: Proposal, reason: str = "", why: str = "", **changes: Any) -> Any:
    return preparing.prepare(
        actor=stage.cast.officer,
        proposal=proposal,
        kind="award",
        lines=[stage.ask(proposal, **changes)],
        reason=reason,
        override_reason=why,
    )


def test_what_is_prepared_is_the_agencys_alone_until_it_is_released(stage: Stage) -> None:
    proposal = stage.submitted()
    Notification.objects.all().delete()
    row = prepared(stage, proposal)
    assert Proposal.objects.get(pk=proposal.pk).state == "submitted" and not Notification.objects.exists()
    for who in ("owner", "reviewer", "outsider"):
        assert not PreparedDecision.objects.all().visible_to(getattr(stage.cast, who)).exists()
    [decision] = releasing.release(actor=stage.cast.officer, prepared=[row])
    assert (decision.kind, decision.decided_by, decision.lines.count()) == ("award", stage.cast.officer, 1)
    assert PreparedDecision.objects.get().state == "released"
    with pytest.raises(InvalidTransition):
        releasing.release(actor=stage.cast.officer, prepared=[row])


def test_a_second_officer_sees_the_difference_and_loses_nothing(stage: Stage, second: Any) -> None:
    proposal = stage.submitted()
    prepared(stage, proposal)
    mine = {"proposal": proposal, "kind": "decline", "reason": "Too vague."}
    with override("en"), pytest.raises(SavedMeanwhile) as caught:
        preparing.prepare(actor=second, **mine)
    found = {str(each.label): (each.stored, each.typed) for each in caught.value.differences}
    assert found["Decision"] == ("award", "decline") and found["Reason"] == ("", "Too vague.")
    assert "4 GPUs" in found["Lines"][0] and PreparedDecision.objects.get().kind == "award"
    row = preparing.prepare(actor=second, version=caught.value.facts["version"], **mine)
    assert (row.kind, row.version, row.prepared_by) == ("decline", 2, second)


def test_a_large_award_takes_two_whatever_the_road(stage: Stage, second: Any) -> None:
    Call.objects.update(two_person_gpu_seconds=400 * HOUR)
    proposal = stage.submitted()
    with pytest.raises(RuleBroken) as caught:
        decisions.award(actor=stage.cast.officer, proposal=proposal, lines=[stage.ask(proposal)])
    assert caught.value.code == "second_person"
    row = prepared(stage, proposal)
    with pytest.raises(RuleBroken):
        releasing.release(actor=second, prepared=[row])
    with pytest.raises(RuleBroken):
        preparing.approve(actor=stage.cast.officer, prepared=row, version=row.version)
    preparing.approve(actor=second, prepared=row, version=row.version)
    [decision] = releasing.release(actor=stage.cast.officer, prepared=[row])
    assert (decision.decided_by, decision.approved_by) == (stage.cast.officer, second)
    smaller = stage.submitted()
    asks = [stage.ask(smaller, gpu_seconds=399 * HOUR)]
    assert decisions.award(actor=stage.cast.officer, proposal=smaller, lines=asks, reason="Less.").state == "awarded"


def test_an_approval_is_of_what_was_read(stage: Stage, second: Any) -> None:
    Call.objects.update(two_person_gpu_seconds=1)
    proposal = stage.submitted()
    row = prepared(stage, proposal)
    preparing.prepare(
        actor=stage.cast.officer,
        proposal=proposal,
        kind="award",
        lines=[stage.ask(proposal, gpus=2, gpu_seconds=100 * HOUR)],
        reason="Less.",
        version=1,
    )
    with pytest.raises(WrongState):
        preparing.approve(actor=second, prepared=row, version=1)
    preparing.approve(actor=second, prepared=row, version=2)
    again = prepared_again = preparing.prepare(
        actor=stage.cast.officer, proposal=proposal, kind="decline", reason="No.", version=2
    )
    assert again.state == "prepared" and prepared_again.approved_by is None


def test_all_are_released_or_none_and_the_trial_says_which_would_fail(stage: Stage) -> None:
    Pool.objects.update(overcommit_percent=0)
    stage.pool.refresh_from_db()
    fits, too, declined = stage.submitted(), stage.submitted(), stage.submitted()
    third = stage.submitted()
    rows = [prepared(stage, proposal, guaranteed_gpus=2) for proposal in (fits, too, third)]
    rows.append(
        preparing.prepare(actor=stage.cast.officer, proposal=declined, kind="decline", reason="Out of the call's aim.")
    )
    Notification.objects.all().delete()
    outcomes = releasing.trial(actor=stage.cast.officer, prepared=rows)
    assert [outcome.error.code if outcome.error else "" for outcome in outcomes] == ["", "", "over_committed", ""]
    assert not Decision.objects.exists() and not Envelope.objects.exists() and not Notification.objects.exists()
    with pytest.raises(RuleBroken) as caught:
        releasing.release(actor=stage.cast.officer, prepared=rows)
    assert third.number and third.number in str(caught.value)
    assert not Decision.objects.exists() and set(Proposal.objects.values_list("state", flat=True)) == {"submitted"}
    releasing.release(actor=stage.cast.officer, prepared=[rows[0], rows[1], rows[3]])
    assert sorted(Proposal.objects.values_list("state", flat=True)) == ["awarded", "awarded", "declined", "submitted"]


def test_many_are_declined_with_one_reason(stage: Stage) -> None:
    proposals = [stage.submitted() for _turn in range(3)]
    rows = preparing.prepare_declines(actor=stage.cast.officer, proposals=proposals[:2], reason="Scarce.")
    with pytest.raises(RuleBroken) as caught:
        preparing.prepare_declines(actor=stage.cast.officer, proposals=proposals, reason="Scarce.")
    assert caught.value.code == "prepared_already" and PreparedDecision.objects.count() == 2
    releasing.release(actor=stage.cast.officer, prepared=rows)
    assert {letter.decision.reason for letter in DecisionLetter.objects.all()} == {"Scarce."}


def test_a_bound_is_passed_by_two_officers_with_a_reason_and_not_without_end(
    stage: Stage, second: Any, settings: Any
) -> None:
    settings.OVERRIDE_PERCENT = 50
    Pool.objects.update(overcommit_percent=0)
    stage.pool.refresh_from_db()
    for _turn in range(2):
        stage.awarded(guaranteed_gpus=0)
    proposal = stage.submitted()
    with pytest.raises(RuleBroken) as caught:
        decisions.award(
            actor=stage.cast.officer, proposal=proposal, lines=[stage.ask(proposal)], override_reason="Urgent."
        )
    assert caught.value.code == "second_person"
    row = prepared(stage, proposal, why="The ministry asks for it.")
    last = stage.submitted()
    too_much = prepared(stage, last, why="One more.")
    preparing.approve(actor=second, prepared=row, version=1)
    preparing.approve(actor=second, prepared=too_much, version=1)
    [decision] = releasing.release(actor=second, prepared=[row])
    assert (decision.override_reason, decision.approved_by) == ("The ministry asks for it.", second)
    for late in (
        lambda: releasing.release(actor=second, prepared=[too_much]),
        lambda: prepared(stage, stage.submitted(), why="And another."),  # what is known is said while it is prepared
    ):
        with pytest.raises(RuleBroken) as caught:
            late()
        assert caught.value.code == "over_committed" and caught.value.facts["ceiling"] == 12


def test_a_held_proposal_is_taken_up_again_or_decided(stage: Stage) -> None:
    proposal = decisions.start_review(actor=stage.cast.officer, proposal=stage.submitted())
    with pytest.raises(RuleBroken):
        decisions.hold(actor=stage.cast.officer, proposal=proposal, reason=" ")
    held = decisions.hold(actor=stage.cast.officer, proposal=proposal, reason="The budget is not decided.")
    assert held.state == "held" and "budget" in Notification.objects.filter(event="proposal_held")[0].body
    assert decisions.resume(actor=stage.cast.officer, proposal=held).state == "in_review"
    decisions.hold(actor=stage.cast.officer, proposal=proposal, reason="Again.")
    assert decisions.award(actor=stage.cast.officer, proposal=proposal, lines=[stage.ask(proposal)]).state == "awarded"
    assert AwardLine.objects.count() == 1


def test_a_decision_by_other_means_voids_what_was_prepared(stage: Stage) -> None:
    proposal = stage.submitted()
    row = prepared(stage, proposal)
    decisions.decline(actor=stage.cast.officer, proposal=proposal, reason="No.")
    row.refresh_from_db()
    assert row.state == "discarded"


@pytest.mark.parametrize("who", ["owner", "reviewer", "operator", "auditor"])
def test_only_officers_prepare_approve_and_release(stage: Stage, who: str) -> None:
    actor, proposal = getattr(stage.cast, who), stage.submitted()
    row = prepared(stage, proposal)
    for verb in (
        lambda: preparing.prepare(actor=actor, proposal=proposal, kind="decline", reason="x", version=1),
        lambda: preparing.approve(actor=actor, prepared=row, version=1),
        lambda: preparing.discard(actor=actor, prepared=row),
        lambda: releasing.release(actor=actor, prepared=[row]),
        lambda: releasing.trial(actor=actor, prepared=[row]),
    ):
        with pytest.raises(Forbidden):
            verb()
