"""Assigning, and writing a review."""

from decimal import Decimal

import pytest

from common.errors import Forbidden, RuleBroken, WrongState
from common.overtaken import SavedMeanwhile
from notifications.models import Mail, Notification
from proposals.models import Assignment, Proposal, ReviewerProfile
from proposals.selectors.reviewing import standing_of
from proposals.services import assigning, reviewing
from proposals.services.reviewing import content_of
from tests.proposals.jury import Jury, marks
from tests.proposals.test_conflicts import same


def test_a_plan_fills_what_is_missing_and_is_sent_in_one_mail_a_person(jury: Jury) -> None:
    officer, call = jury.stage.cast.officer, jury.stage.call
    first, second = jury.at_experts(), jury.at_experts()
    same(jury.stage, jury.reviewers[0])
    with pytest.raises(Forbidden):
        assigning.propose_for_call(actor=jury.reviewers[1], call=call)
    plan = assigning.propose_for_call(actor=officer, call=call)
    assert {(match.work, match.candidate) for match in plan.matches} == {
        (proposal.pk, person.pk) for proposal in (first, second) for person in jury.reviewers[1:]
    }
    assert Assignment.objects.filter(reviewer=jury.reviewers[1])[0].grounds["topics"] == ["LLM"]
    assert not Assignment.objects.visible_to(jury.reviewers[1]).exists()  # not sent yet
    assert not assigning.propose_for_call(actor=officer, call=call).matches
    assert assigning.send(actor=officer, call=call) == 4
    told = Notification.objects.filter(event="review_asked")
    assert told.count() == 2 and Mail.objects.filter(address=jury.reviewers[1].email).count() == 1
    assert "Upstage" not in told[0].body and "업스테이지" not in told[0].body
    with pytest.raises(RuleBroken):
        assigning.send(actor=officer, call=call)


def test_a_full_desk_and_a_second_time_are_refused_and_a_removed_one_can_come_back(jury: Jury) -> None:
    officer, person, proposal = jury.stage.cast.officer, jury.reviewers[0], jury.at_experts()
    assignment = assigning.assign(actor=officer, proposal=proposal, reviewer=person)
    with pytest.raises(RuleBroken) as caught:
        assigning.assign(actor=officer, proposal=proposal, reviewer=person)
    assert caught.value.code == "assigned_already"
    ReviewerProfile.objects.update(load_limit=1)
    with pytest.raises(RuleBroken) as full:
        assigning.assign(actor=officer, proposal=jury.at_experts(), reviewer=person)
    assert full.value.code == "desk_full"
    assigning.remove(actor=officer, assignment=assignment)
    assert assigning.assign(actor=officer, proposal=proposal, reviewer=person).pk == assignment.pk
    with pytest.raises(WrongState):
        assigning.assign(actor=officer, proposal=jury.stage.submitted(), reviewer=person)


def test_a_draft_may_be_incomplete_and_a_submitted_review_may_not(jury: Jury) -> None:
    proposal = jury.at_experts()
    assignment = jury.opened(proposal, jury.reviewers[0])
    person = assignment.reviewer
    review = reviewing.save_draft(actor=person, assignment=assignment, content=marks(None, 3), revision=0)
    for content, field in (
        (marks(None, 3), "points_1"),
        (marks(11, 3), "points_1"),
        (marks(8, 3, comments={1: "", 2: " "}), "comment_2"),
        (marks(comment="x" * 10_001), "comment"),
    ):
        with pytest.raises(RuleBroken) as caught:
            reviewing.submit(actor=person, assignment=assignment, content=content, revision=review.revision)
        assert caught.value.field == field
    review = reviewing.submit(actor=person, assignment=assignment, content=marks(), revision=review.revision)
    assert review.total == Decimal("80.000")
    with pytest.raises(WrongState):
        reviewing.save_draft(actor=person, assignment=assignment, content=marks(), revision=review.revision)


def test_the_second_of_two_who_save_sees_both_and_loses_nothing(jury: Jury) -> None:
    assignment = jury.opened(jury.at_experts(), jury.reviewers[0])
    person = assignment.reviewer
    reviewing.save_draft(actor=person, assignment=assignment, content=marks(1, 1), revision=0)
    with pytest.raises(SavedMeanwhile) as caught:
        reviewing.save_draft(actor=person, assignment=assignment, content=marks(9, 5), revision=0)
    found = {each.name: (each.stored, each.typed) for each in caught.value.differences}
    assert found == {"points_1": ("1", "9"), "points_2": ("1", "5")} and caught.value.facts["revision"] == 1
    review = reviewing.save_draft(actor=person, assignment=assignment, content=marks(9, 5), revision=1)
    assert content_of(review).points == {1: 9, 2: 5}


def test_before_the_declaration_and_for_others_nothing_is_written(jury: Jury) -> None:
    assignment = jury.sent(jury.at_experts(), jury.reviewers[0])[0]
    with pytest.raises(WrongState):
        reviewing.save_draft(actor=jury.reviewers[0], assignment=assignment, content=marks(), revision=0)
    with pytest.raises(Forbidden):
        reviewing.save_draft(actor=jury.reviewers[1], assignment=assignment, content=marks(), revision=0)


def test_an_officer_opens_a_review_again_and_the_experts_with_it(jury: Jury) -> None:
    proposal = jury.at_experts()
    one, two = (jury.opened(proposal, person) for person in jury.reviewers[:2])
    jury.submitted(one, 10, 5)
    jury.submitted(two, 0, 3)
    standing = standing_of(Proposal.objects.get(pk=proposal.pk))
    assert standing.scores is not None
    assert (standing.scores.mean, standing.scores.range) == (Decimal("72.500"), Decimal("55.000"))
    with pytest.raises(Forbidden):
        reviewing.reopen(actor=two.reviewer, assignment=two, reason="Mistyped.")
    reviewing.reopen(actor=jury.stage.cast.officer, assignment=two, reason="Mistyped.")
    assert jury.step(proposal, "expert").state == "open" and jury.step(proposal, "panel").state == "waiting"
    assert standing_of(Proposal.objects.get(pk=proposal.pk)).scores.count == 1  # type: ignore[union-attr]
    reviewing.submit(actor=two.reviewer, assignment=two, content=marks(10, 3), revision=1)
    assert jury.step(proposal, "panel").state == "open"
