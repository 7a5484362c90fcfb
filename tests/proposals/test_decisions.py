"""Review, award, decline, return, accept, refuse."""

from typing import Any

import pytest
from django.urls import reverse

from accounts.models import User
from allocations.models import Allocation
from common.errors import Forbidden, InvalidTransition, RuleBroken
from notifications.models import Notification
from partners.models import Agreement
from projects.models import Project
from proposals.models import AwardLine, Decision, Proposal
from proposals.services import decisions, drafting, preparing, releasing
from tests.factories import enable_mfa, grant_role
from tests.proposals.stage import HOUR, Stage, browser


def award(stage: Stage, proposal: Proposal, reason: str = "", **changes: Any) -> Proposal:
    return decisions.award(
        actor=stage.cast.officer, proposal=proposal, lines=[stage.ask(proposal, **changes)], reason=reason
    )


def test_a_smaller_award_needs_a_reason_and_both_figures_stay(stage: Stage) -> None:
    proposal = stage.submitted()
    with pytest.raises(RuleBroken) as caught:
        award(stage, proposal, gpus=3, gpu_seconds=250 * HOUR)
    assert (caught.value.code, caught.value.field) == ("reason_needed", "reason")
    award(stage, proposal, "The pool is short.", gpus=3, gpu_seconds=250 * HOUR)
    line = AwardLine.objects.get()
    assert (line.gpus, line.request.gpus) == (3, 4)
    assert (line.gpu_seconds, line.request.gpu_seconds) == (250 * HOUR, 400 * HOUR)
    told = Notification.objects.filter(event="proposal_awarded")
    assert {note.recipient for note in told} == {stage.cast.owner, stage.cast.manager}
    assert "The pool is short." in told[0].body


def test_nobody_decides_what_their_own_organisation_asks_for(stage: Stage) -> None:
    proposal, own = stage.submitted(), grant_role(stage.cast.viewer, "officer")
    own = User.objects.get(pk=own.pk)
    other = preparing.prepare(actor=stage.cast.officer, proposal=proposal, kind="decline", reason="Vague.")
    for act in (
        lambda: decisions.start_review(actor=own, proposal=proposal),
        lambda: decisions.award(actor=own, proposal=proposal, lines=[stage.ask(proposal)]),
        lambda: decisions.decline(actor=own, proposal=proposal, reason="No."),
        lambda: preparing.prepare(actor=own, proposal=proposal, kind="decline", reason="No.", version=1),
        lambda: preparing.approve(actor=own, prepared=other, version=1),
        lambda: releasing.release(actor=own, prepared=[other]),
    ):
        with pytest.raises(RuleBroken) as caught:
            act()
        assert caught.value.code == "own_organisation"
    assert Proposal.objects.get().state == "submitted"
    enable_mfa(own)
    client = browser(own)
    page = client.get(proposal.get_absolute_url()).content.decode()
    assert 'id="own-organisation"' in page and "You belong to the organisation that this concerns." in page
    for verb in ("award", "decline", "return", "hold", "prepare"):
        url = reverse(f"proposals:{verb}", args=[proposal.public_id])
        assert url not in page, verb
        Proposal.objects.update(state="in_review")
        told = client.get(url, follow=True)
        assert "You belong to the organisation that this concerns." in told.content.decode(), verb
        assert told.redirect_chain, verb


def test_a_full_award_needs_no_reason(stage: Stage) -> None:
    assert award(stage, stage.submitted()).state == "awarded"


def test_accepting_makes_the_project_and_the_allocation_together(stage: Stage) -> None:
    project = decisions.accept(actor=stage.cast.manager, proposal=stage.awarded(gpus=2, gpu_seconds=100 * HOUR))
    allocation = Allocation.objects.get(project=project)
    assert (allocation.concurrent_gpus, allocation.asked_concurrent_gpus) == (2, 4)
    assert (allocation.awarded_gpu_seconds, allocation.asked_gpu_seconds) == (100 * HOUR, 400 * HOUR)
    assert project.team.get().user == stage.cast.owner
    assert AwardLine.objects.get().allocation_ref == allocation.public_id
    assert Proposal.objects.get().state == "accepted"
    with pytest.raises(InvalidTransition):
        decisions.accept(actor=stage.cast.owner, proposal=Proposal.objects.get())


def test_a_suspended_agreement_stops_the_acceptance_whole(stage: Stage) -> None:
    proposal, before = stage.awarded(), Project.objects.count()
    Agreement.objects.update(state="suspended")
    with pytest.raises(RuleBroken):
        decisions.accept(actor=stage.cast.owner, proposal=proposal)
    assert Project.objects.count() == before
    assert Proposal.objects.get().state == "awarded"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"gpus": 5}, "gpus"),
        ({"gpus": 0}, "gpus"),
        ({"gpu_seconds": 401 * HOUR}, "gpu_hours"),
        ({"gpus": 1, "gpu_seconds": 400 * HOUR}, None),
    ],
)
def test_an_award_stays_within_the_ask(stage: Stage, changes: dict[str, int], field: str | None) -> None:
    proposal = stage.submitted()
    if field is None:  # one GPU can run 720 hours in the window, so 400 fit
        assert award(stage, proposal, "Slower.", **changes).state == "awarded"
        return
    with pytest.raises(RuleBroken) as caught:
        award(stage, proposal, "Because.", **changes)
    assert caught.value.field == f"lines.0.{field}"


def test_an_award_past_a_ceiling_or_the_pool_is_refused(stage: Stage) -> None:
    proposal = stage.submitted(stage.line(gpus=12, smallest_gpus=1))
    with pytest.raises(RuleBroken) as caught:
        award(stage, proposal)
    assert caught.value.code == "past_pool"
    assert caught.value.facts["ceiling"] == 8
    Agreement.objects.update(ceiling_concurrent_gpus=3)
    with pytest.raises(RuleBroken) as caught:
        award(stage, proposal, "Less.", gpus=4)
    assert caught.value.code == "ceiling_concurrent_gpus"
    assert Proposal.objects.get().state == "submitted"


def test_nothing_and_foreign_lines_cannot_be_awarded(stage: Stage) -> None:
    one, other = stage.submitted(), stage.submitted()
    with pytest.raises(RuleBroken) as caught:
        decisions.award(actor=stage.cast.officer, proposal=one, lines=[], reason="x")
    assert caught.value.code == "empty_award"
    with pytest.raises(RuleBroken) as caught:
        decisions.award(actor=stage.cast.officer, proposal=one, lines=[stage.ask(other)], reason="x")
    assert caught.value.code == "foreign_line"


def test_a_returned_proposal_comes_back_under_its_number(stage: Stage) -> None:
    proposal = decisions.start_review(actor=stage.cast.officer, proposal=stage.submitted())
    with pytest.raises(RuleBroken):
        decisions.return_for_changes(actor=stage.cast.officer, proposal=proposal, reason="  ")
    returned = decisions.return_for_changes(actor=stage.cast.officer, proposal=proposal, reason="Say more.")
    again = drafting.submit(actor=stage.cast.owner, proposal=returned)
    assert (again.number, again.version) == (proposal.number, 2)
    assert again.versions.count() == 2


def test_declining_and_refusing_keep_their_reason(stage: Stage) -> None:
    declined = decisions.decline(actor=stage.cast.administrator, proposal=stage.submitted(), reason="No capacity.")
    assert declined.decisions.get().reason == "No capacity."
    refused = decisions.refuse(actor=stage.cast.owner, proposal=stage.awarded(), reason="Too late.")
    assert refused.state == "refused"
    assert refused.decisions.first().kind == Decision.Kind.REFUSE  # type: ignore[union-attr]
    assert "Too late." in Notification.objects.get(event="proposal_refused").body


@pytest.mark.parametrize("who", ["owner", "teammate", "outsider", "reviewer", "operator", "auditor"])
def test_only_officers_decide(stage: Stage, who: str) -> None:
    proposal, actor = stage.submitted(), getattr(stage.cast, who)
    for verb in (decisions.decline, decisions.return_for_changes):
        with pytest.raises(Forbidden):
            verb(actor=actor, proposal=proposal, reason="x")
    with pytest.raises(Forbidden):
        decisions.award(actor=actor, proposal=proposal, lines=[stage.ask(proposal)])


@pytest.mark.parametrize("who", ["teammate", "viewer", "outsider", "officer"])
def test_only_owners_and_managers_answer(stage: Stage, who: str) -> None:
    proposal = stage.awarded()
    with pytest.raises(Forbidden):
        decisions.accept(actor=getattr(stage.cast, who), proposal=proposal)
