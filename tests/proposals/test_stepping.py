"""The steps between submission and answer."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from common.errors import Forbidden, InvalidTransition, RuleBroken, WrongState
from common.templatetags.bitgoeul import moment
from notifications.models import Notification
from proposals.models import Assignment, CallStep, Proposal, ProposalStep
from proposals.selectors.reviewing import standing_of
from proposals.services import decisions, drafting, preparing, releasing, stepping
from proposals.services.readiness import check_ready
from proposals.services.reminding import remind
from tests.proposals.jury import Jury
from tests.proposals.stage import Stage, browser


def states(proposal: Proposal) -> dict[str, str]:
    return dict(ProposalStep.objects.filter(proposal=proposal).current().values_list("kind", "state"))


def test_each_step_opens_when_the_one_before_it_has_passed(jury: Jury) -> None:
    cast, proposal = jury.stage.cast, jury.started()
    assert states(proposal) == {"formal": "open", "technical": "waiting", "expert": "waiting", "panel": "waiting"}
    with pytest.raises(InvalidTransition):
        stepping.judge(actor=cast.operator, step=jury.step(proposal, "technical"), verdict="pass", pool=jury.stage.pool)
    stepping.judge(actor=cast.officer, step=jury.step(proposal, "formal"), verdict="pass")
    assert states(proposal)["technical"] == "open"
    assert Notification.objects.get(event="step_opened").recipient == cast.operator, (
        "nobody owns it: operators are told"
    )
    with pytest.raises(RuleBroken) as caught:
        check_ready(proposal)
    assert caught.value.facts["waiting"] == ["technical", "expert", "panel"]
    assert standing_of(proposal).open_step.kind == "technical"  # type: ignore[union-attr]


def test_a_call_without_steps_is_ready_at_once(stage: Stage) -> None:
    proposal = decisions.start_review(actor=stage.cast.officer, proposal=stage.submitted())
    check_ready(proposal)
    assert not states(proposal) and standing_of(proposal).is_ready


def test_a_proposal_whose_review_has_not_begun_is_not_ready(jury: Jury) -> None:
    with pytest.raises(RuleBroken) as caught:
        check_ready(jury.stage.submitted())
    assert caught.value.code == "steps_not_begun"


def test_nothing_is_declined_before_a_step_has_failed_or_all_have_ended(jury: Jury) -> None:
    officer = jury.stage.cast.officer
    waiting, proposal = jury.stage.submitted(), jury.started()
    for row, code in ((waiting, "steps_not_begun"), (proposal, "step_not_ended")):
        with pytest.raises(RuleBroken) as caught:
            decisions.decline(actor=officer, proposal=row, reason="No.")
        assert caught.value.code == code
    prepared = preparing.prepare(actor=officer, proposal=proposal, kind="decline", reason="The seal is missing.")
    with pytest.raises(RuleBroken):
        releasing.release(actor=officer, prepared=[prepared])
    stepping.judge(actor=officer, step=jury.step(proposal, "formal"), verdict="fail", note="No seal.")
    releasing.release(actor=officer, prepared=[prepared])
    assert Proposal.objects.get(pk=proposal.pk).state == "declined"
    heard = jury.started()
    ProposalStep.objects.filter(proposal=heard).update(state="passed")
    assert decisions.decline(actor=officer, proposal=heard, reason="Too little money.").state == "declined"


def test_the_page_leads_to_what_comes_first_and_offers_no_award_before(jury: Jury) -> None:
    cast = jury.stage.cast
    client = browser(cast.officer)
    award, decline = "/award/", "/decline/"
    page = client.get(jury.stage.submitted().get_absolute_url()).content.decode()
    assert "Start the review first" in page and award not in page and decline not in page
    proposal = jury.started()
    page = client.get(proposal.get_absolute_url()).content.decode()
    assert "Take the step: formal check" in page and "once these steps have passed" in page and award not in page
    stepping.judge(actor=cast.officer, step=jury.step(proposal, "formal"), verdict="pass")
    page = client.get(proposal.get_absolute_url()).content.decode()
    assert "Operators take the technical check" in page and "Take the step" not in page
    ProposalStep.objects.filter(proposal=proposal).update(state="passed")
    page = client.get(proposal.get_absolute_url()).content.decode()
    assert award in page and decline in page and 'id="missing"' not in page


def test_an_expert_review_that_passed_by_itself_says_when(jury: Jury) -> None:
    jury.stage.call.reviews_needed = 1
    jury.stage.call.save()
    proposal = jury.at_experts()
    jury.submitted(jury.opened(proposal, jury.reviewers[0]))
    step, officer = jury.step(proposal, "expert"), browser(jury.stage.cast.officer)
    assert step.state == "passed" and step.closed_by is None
    for page in (step.get_absolute_url(), proposal.get_absolute_url()):
        text = officer.get(page).content.decode()
        assert "the portal" in text and moment(step.closed_at) in text


def test_the_technical_check_is_the_operators_and_names_a_pool(jury: Jury) -> None:
    cast, proposal = jury.stage.cast, jury.started()
    with pytest.raises(Forbidden):
        stepping.judge(actor=cast.operator, step=jury.step(proposal, "formal"), verdict="pass")
    stepping.judge(actor=cast.officer, step=jury.step(proposal, "formal"), verdict="pass")
    step = jury.step(proposal, "technical")
    with pytest.raises(Forbidden):
        stepping.judge(actor=cast.officer, step=step, verdict="pass", pool=jury.stage.pool)
    with pytest.raises(RuleBroken) as caught:
        stepping.judge(actor=cast.operator, step=step, verdict="pass")
    assert caught.value.field == "pool"
    stepping.judge(actor=cast.operator, step=step, verdict="pass", pool=jury.stage.pool, note="Fits on two nodes.")
    assert jury.step(proposal, "technical").pool == jury.stage.pool


def test_a_step_that_fails_needs_a_reason_and_can_be_opened_again(jury: Jury) -> None:
    cast, proposal = jury.stage.cast, jury.started()
    step = jury.step(proposal, "formal")
    with pytest.raises(RuleBroken) as caught:
        stepping.judge(actor=cast.officer, step=step, verdict="fail")
    assert caught.value.field == "note"
    stepping.judge(actor=cast.officer, step=step, verdict="fail", note="No seal.")
    assert states(proposal)["technical"] == "waiting"
    assert Notification.objects.filter(event="step_failed", recipient=cast.officer).exists()
    stepping.reopen(actor=cast.officer, step=step, reason="The seal came.")
    stepping.judge(actor=cast.officer, step=step, verdict="pass")
    assert states(proposal)["technical"] == "open"
    with pytest.raises(InvalidTransition):  # the second of two officers who had the form open
        stepping.judge(actor=cast.administrator, step=step, verdict="fail", note="No seal.")


def test_an_operator_may_return_it_and_the_next_version_begins_anew(jury: Jury) -> None:
    cast, proposal = jury.stage.cast, jury.started()
    stepping.judge(actor=cast.officer, step=jury.step(proposal, "formal"), verdict="pass")
    stepping.judge(
        actor=cast.operator, step=jury.step(proposal, "technical"), verdict="return", note="Ask for H100s instead."
    )
    proposal.refresh_from_db()
    assert proposal.state == "returned" and proposal.decisions.get().reason == "Ask for H100s instead."
    proposal = drafting.submit(actor=cast.owner, proposal=proposal)
    decisions.start_review(actor=cast.officer, proposal=proposal)
    assert states(proposal) == {"formal": "open", "technical": "waiting", "expert": "waiting", "panel": "waiting"}
    with pytest.raises(WrongState):
        old = ProposalStep.objects.get(proposal=proposal, version=1, kind="technical")
        stepping.judge(actor=cast.operator, step=old, verdict="pass", pool=jury.stage.pool)


def test_the_experts_pass_with_the_last_review_that_is_needed_and_the_panel_writes_down_why(jury: Jury) -> None:
    cast, proposal = jury.stage.cast, jury.at_experts()
    with pytest.raises(RuleBroken) as caught:
        stepping.judge(actor=cast.officer, step=jury.step(proposal, "expert"), verdict="pass")
    assert caught.value.facts == {"found": 0, "needed": 2}
    for person in jury.reviewers[:2]:
        jury.submitted(jury.opened(proposal, person))
    assert states(proposal)["expert"] == "passed" and states(proposal)["panel"] == "open"
    panel = jury.step(proposal, "panel")
    with pytest.raises(RuleBroken):
        stepping.judge(actor=cast.officer, step=panel, verdict="pass")
    stepping.judge(actor=cast.officer, step=panel, verdict="pass", note="Third of forty.")
    check_ready(Proposal.objects.get(pk=proposal.pk))
    with pytest.raises(RuleBroken) as late:
        stepping.reopen(actor=cast.officer, step=jury.step(proposal, "expert"), reason="Late review.")
    assert late.value.code == "later_step_ended"


def test_reminders_go_out_once_before_a_deadline_and_once_after(jury: Jury) -> None:
    CallStep.objects.filter(kind="expert").update(due_at=timezone.now() + timedelta(days=20))
    proposal = jury.at_experts()
    assignment = jury.sent(proposal, jury.reviewers[0])[0]
    due = assignment.due_at
    assert due is not None
    counts = []
    for now in (due - timedelta(days=9), due - timedelta(days=2), due - timedelta(days=1), due, due):
        remind(now=now)
        told = Notification.objects.filter(recipient=jury.reviewers[0])
        counts.append([told.filter(event=f"review_{name}").count() for name in ("due", "overdue")])
    assert counts == [[0, 0], [1, 0], [1, 0], [1, 1], [1, 1]]
    assert Notification.objects.filter(recipient=jury.stage.cast.officer, event="step_overdue").count() == 1
    assert Assignment.objects.get().is_overdue is False  # by the clock of now


def test_page_and_api_know_what_is_overdue(jury: Jury) -> None:
    late, other = jury.started(), jury.started()
    ProposalStep.objects.filter(proposal=late).update(due_at=timezone.now() - timedelta(days=1))
    client = browser(jury.stage.cast.officer)
    found = client.get("/api/v1/proposals/", {"overdue": "true"}).json()["results"]
    assert [row["id"] for row in found] == [late.public_id]
    page = client.get(reverse("proposals:queue"), {"overdue": "false"}).content.decode()
    assert other.public_id in page and late.public_id not in page
