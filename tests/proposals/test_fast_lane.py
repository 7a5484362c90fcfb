"""Small asks: by an officer alone, or at once where agreement, capacity and budget allow it; budgets of a call."""

from typing import Any

import pytest
from django.utils import translation

from allocations.models import Envelope
from audit.models import AuditEvent
from common.errors import RuleBroken
from proposals.models import Call, FastLane
from proposals.selectors.budgets import budgets_of
from proposals.selectors.call_figures import figures_of, with_figures
from proposals.selectors.fast_lane import lane_of, skips_review
from proposals.services import decisions, drafting
from proposals.services.budgets import check_budget
from proposals.services.granting import consider, consider_waiting
from tests.proposals.stage import Stage, browser
from tests.queries import MOST_A_PAGE, queries_of

HOUR = 3600


def lane(stage: Stage, kind: str, hours: int = 1_000) -> None:
    Call.objects.filter(pk=stage.call.pk).update(fast_lane=kind, fast_lane_gpu_seconds=hours * HOUR)
    stage.call.refresh_from_db()


def test_the_lane_is_the_calls_and_only_for_small_asks(stage: Stage) -> None:
    lane(stage, "automatic", 400)
    assert [lane_of(stage.call, hours * HOUR) for hours in (400, 401)] == ["automatic", "off"]
    assert not FastLane.objects.exists()


def test_a_small_ask_is_granted_at_once_by_the_portal(stage: Stage) -> None:
    lane(stage, "automatic")
    proposal = stage.submitted()
    assert FastLane.objects.get().outcome == "waiting"
    assert consider_waiting() == 1 and consider_waiting() == 0
    proposal.refresh_from_db()
    assert proposal.state == "awarded" and skips_review(proposal)
    assert proposal.decisions.get().lines.get().gpu_seconds == 400 * HOUR
    event = AuditEvent.objects.get(verb="proposal.award", target_id=proposal.public_id)
    assert event.actor_label == "system:fast-lane"
    page = browser(stage.cast.owner).get(proposal.get_absolute_url()).content.decode()
    assert "granted at once" in page


@pytest.mark.parametrize(
    ("stands_against", "code"), [("capacity", "no_capacity"), ("budget", "budget_passed"), ("officer", "taken_up")]
)
def test_what_is_not_granted_goes_the_ordinary_way_with_the_reason(
    stage: Stage, stands_against: str, code: str
) -> None:
    lane(stage, "automatic", 100_000)
    if stands_against == "budget":
        stage.call.offers.update(budget_gpu_seconds=399 * HOUR)
    proposal = stage.submitted(stage.line(gpus=9 if stands_against == "capacity" else 4))
    if stands_against == "officer":
        decisions.start_review(actor=stage.cast.officer, proposal=proposal)
    assert not consider(proposal.public_id)
    row = FastLane.objects.get()
    assert (row.outcome, row.code) == ("ordinary", code)
    assert row.note_ko and row.note_en and row.note_ko != row.note_en
    assert not skips_review(proposal) and not Envelope.objects.exists()
    proposal.refresh_from_db()
    assert proposal.state in ("submitted", "in_review")
    page = browser(stage.cast.officer).get(proposal.get_absolute_url()).content.decode()
    assert "ordinary way" in page and row.note_en[:40] in page


def test_an_officer_alone_decides_where_the_call_says_so(stage: Stage) -> None:
    lane(stage, "officer")
    proposal = stage.submitted()
    assert skips_review(proposal) and not consider(proposal.public_id)
    assert FastLane.objects.get().outcome == "officer"


def test_the_steps_of_the_call_come_first_but_for_the_fast_lane(stage: Stage) -> None:
    stage.call.steps.create(kind="formal")
    ordinary = stage.submitted()
    with pytest.raises(RuleBroken) as caught:
        decisions.award(actor=stage.cast.officer, proposal=ordinary, lines=[stage.ask(ordinary)])
    assert caught.value.code == "steps_not_begun"
    lane(stage, "officer")
    small = stage.submitted()
    assert decisions.award(actor=stage.cast.officer, proposal=small, lines=[stage.ask(small)]).state == "awarded"


def test_a_larger_ask_after_a_return_leaves_the_lane(stage: Stage) -> None:
    lane(stage, "officer", 400)
    proposal = stage.submitted()
    decisions.return_for_changes(actor=stage.cast.officer, proposal=proposal, reason="x")
    lane(stage, "officer", 399)
    drafting.submit(actor=stage.cast.owner, proposal=proposal)
    assert not FastLane.objects.exists()


def test_no_more_is_awarded_than_the_budget_of_the_call(stage: Stage) -> None:
    stage.call.offers.update(budget_gpu_seconds=500 * HOUR)
    first, second = stage.awarded(), stage.submitted()
    with translation.override("en"), pytest.raises(RuleBroken, match=r"500\.00 GPU-hours for h100") as caught:
        decisions.award(actor=stage.cast.officer, proposal=second, lines=[stage.ask(second)])
    assert (caught.value.code, caught.value.field) == ("budget_passed", "lines.0.gpu_hours")
    check_budget(stage.call, stage.pool, 100 * HOUR)
    check_budget(stage.call, stage.pool, 500 * HOUR, but=first)
    row = budgets_of(stage.call)[0]
    assert (row.asked, row.awarded, row.left) == (800 * HOUR, 400 * HOUR, 100 * HOUR)
    decisions.refuse(actor=stage.cast.owner, proposal=first, reason="no")
    check_budget(stage.call, stage.pool, 500 * HOUR)


def test_figures_of_a_call_are_the_sums_of_its_proposals(stage: Stage) -> None:
    stage.call.offers.update(budget_gpu_seconds=1_000 * HOUR)
    stage.cast.organisation.size = "small"
    stage.cast.organisation.save()
    stage.awarded(gpu_seconds=100 * HOUR)
    stage.submitted()
    stage.draft()
    figures = figures_of(stage.call)
    assert (figures.proposals, figures.organisations, figures.awarded, figures.accepted) == (2, 1, 1, 0)
    assert (figures.asked_gpu_seconds, figures.awarded_gpu_seconds) == (800 * HOUR, 100 * HOUR)
    assert (figures.demand, figures.states) == (0.8, {"submitted": 1, "awarded": 1})
    assert [(share.key, share.proposals, share.awarded) for share in figures.sizes] == [("small", 2, 1)]
    row: Any = with_figures(Call.objects.all()).get()
    assert (row.handed_in, row.waiting, row.awarded, row.asked_seconds) == (2, 1, 1, 800 * HOUR)
    assert (row.awarded_seconds, row.budget_seconds) == (100 * HOUR, 1_000 * HOUR)
    officer = browser(stage.cast.officer)
    for page in ("/staff/calls/", f"/staff/calls/{stage.call.public_id}/figures/"):
        assert len(queries_of(lambda page=page: officer.get(page))) <= MOST_A_PAGE
    assert "800.00" in officer.get("/staff/calls/?stage=open").content.decode()
