"""A proposal once more in the next round, and its team in the project."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from common.errors import Forbidden, RuleBroken
from partners.models import Agreement
from proposals.asks import GivenAnswer, TeamRow
from proposals.models import Call, Proposal
from proposals.services import decisions, drafting
from proposals.services.cloning import Copied, copy_proposal
from tests.factories import AgreementFactory, GpuClassFactory, PoolFactory, UserFactory
from tests.factories.partners import MembershipFactory
from tests.proposals.stage import Stage, browser


def following(stage: Stage, **more: Any) -> Call:
    call = Call.objects.create(
        title_ko="다음",
        title_en="Next",
        text_ko="-",
        text_en="-",
        published_at=timezone.now(),
        previous=stage.call,
        **more,
    )
    call.pools.add(stage.pool)
    return call


def copy(stage: Stage, proposal: Proposal, call: Call, **more: Any) -> Copied:
    given = {"actor": stage.cast.manager, "proposal": proposal, "call": call, "agreement": stage.cast.agreement}
    return copy_proposal(**{**given, **more})


def test_a_copy_takes_texts_team_and_lines_as_far_ahead_as_they_were(stage: Stage) -> None:
    proposal = stage.draft(stage.line(), team=[TeamRow("Kim", "", "Lead")])
    drafting.submit(actor=stage.cast.owner, proposal=proposal)
    Proposal.objects.update(submitted_at=timezone.now() - timedelta(days=200))
    old = proposal.lines.get()
    proposal.lines.update(
        window_from=old.window_from - timedelta(days=200), window_until=old.window_until - timedelta(days=200)
    )
    new = copy(stage, proposal, following(stage)).proposal
    line = new.lines.get()
    assert (new.state, new.number, new.title, new.plan, new.copied_from) == (
        "draft",
        None,
        proposal.title,
        proposal.plan,
        proposal,
    )
    assert (line.window_from, line.window_until) == (old.window_from, old.window_until)
    assert new.team.get().name == "Kim"


def test_lines_of_a_draft_that_waited_begin_tomorrow_at_the_earliest(stage: Stage) -> None:
    proposal = stage.draft()
    proposal.lines.update(window_from=stage.today - timedelta(days=9), window_until=stage.today)
    line = copy(stage, proposal, following(stage)).proposal.lines.get()
    assert (line.window_from, line.window_until) == (
        stage.today + timedelta(days=1),
        stage.today + timedelta(days=10),
    )


@pytest.mark.usefixtures("english")
def test_answers_come_along_where_the_call_asks_the_same_and_the_rest_is_named(stage: Stage) -> None:
    call = following(stage)
    ask = {"label_en": "Which", "choices_ko": ["가", "나"], "choices_en": ["A", "B"], "kind": "choice"}
    old = [
        stage.call.questions.create(place=0, label_ko="무엇", **ask),
        stage.call.questions.create(place=1, label_ko="없음", **{**ask, "label_en": "Gone"}),
    ]
    new = call.questions.create(place=5, label_ko="무엇", **{**ask, "choices_ko": ["나", "다"]})
    proposal = stage.draft(answers=[GivenAnswer(one.public_id, 1) for one in old])
    copied = copy(stage, proposal, call)
    assert [(row.question, row.choice) for row in copied.proposal.answers.all()] == [(new, 0)]
    assert copied.left_out == ("the answer to “Gone”",)


@pytest.mark.usefixtures("english")
def test_a_class_that_the_call_does_not_offer_stays_behind(stage: Stage) -> None:
    proposal, call = stage.draft(), following(stage)
    call.pools.set([PoolFactory(name="other", gpu_class=GpuClassFactory(code="a100-sxm-80"))])
    copied = copy(stage, proposal, call)
    assert not copied.proposal.lines.exists() and "line 1" in copied.left_out[0]


def test_only_into_an_open_call_under_an_agreement_of_ones_own(stage: Stage) -> None:
    proposal, call = stage.draft(), following(stage)
    with pytest.raises(Forbidden):
        copy(stage, proposal, call, actor=stage.cast.viewer)
    with pytest.raises(RuleBroken, check=lambda error: error.code == "other_agreement"):
        copy(stage, proposal, call, agreement=AgreementFactory())
    Agreement.objects.update(state="suspended")
    with pytest.raises(RuleBroken, check=lambda error: error.code == "agreement_not_active"):
        copy(stage, proposal, call)
    Agreement.objects.update(state="active")
    call.closes_at = timezone.now()
    with pytest.raises(RuleBroken, check=lambda error: error.code == "call_closed"):
        copy(stage, proposal, call)


def test_the_page_offers_the_next_round_first_and_says_what_stayed(stage: Stage) -> None:
    call, client = following(stage), browser(stage.cast.manager)
    stage.call.questions.create(place=0, kind="text", label_ko="무엇", label_en="What")
    proposal = stage.draft(answers=[GivenAnswer(stage.call.questions.get().public_id, "x")])
    address = reverse("proposals:proposal-copy", args=[proposal.public_id])
    assert f'<option value="{call.public_id}" selected>' in client.get(address).content.decode()
    sent = client.post(
        address, {"call": call.public_id, "agreement": stage.cast.agreement.public_id}, follow=True
    ).content.decode()
    assert "Left behind: the answer to “What”." in sent
    assert Proposal.objects.get(call=call).copied_from == proposal


def test_the_team_becomes_the_projects_team_where_they_are_users(stage: Stage) -> None:
    cast = stage.cast
    later = UserFactory(email="later@upstage.example.test")
    people = [cast.teammate.email, cast.viewer.email, cast.outsider.email, later.email, cast.owner.email, ""]
    proposal = stage.draft(team=[TeamRow(f"P{n}", email, "Work") for n, email in enumerate(people)])
    drafting.submit(actor=cast.owner, proposal=proposal)
    MembershipFactory(organisation=cast.organisation, user=later)
    decisions.award(actor=cast.officer, proposal=proposal, lines=[stage.ask(proposal)])
    project = decisions.accept(actor=cast.manager, proposal=proposal)
    team = {(row.user, row.is_lead) for row in project.team.all()}
    assert team == {(cast.owner, True), (cast.teammate, False), (later, False)}
