"""The pages of proposals: what they show, what they keep, whom they let in."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from partners.models import Agreement
from proposals.models import AwardLine, Decision, Proposal, ProposalStep
from proposals.services import appealing, decisions
from tests.factories import PoolFactory
from tests.proposals.jury import make_jury
from tests.proposals.stage import Stage, browser
from tests.queries import MOST_A_PAGE, queries_of


def new_url(stage: Stage) -> str:
    return reverse("proposals:proposal-new", args=[stage.call.public_id])


def url(name: str, proposal: Proposal) -> str:
    return reverse(f"proposals:{name}", args=[proposal.public_id])


def award_form(stage: Stage, proposal: Proposal, **changes: Any) -> dict[str, Any]:
    line = proposal.lines.get()
    return {
        "lines-0-pool": stage.pool.public_id,
        "lines-0-gpus": line.gpus,
        "lines-0-gpu_hours": line.gpus * line.hours,
        "lines-0-window_from": line.window_from.isoformat(),
        "lines-0-window_until": line.window_until.isoformat(),
        "reason": "",
        **changes,
    }


def test_another_organisations_agreement_is_unknown_to_the_form(stage: Stage) -> None:
    answer = browser(stage.cast.outsider).post(new_url(stage), stage.about_form())
    assert answer.status_code == 403  # the outsider has no agreement at all
    check = reverse("proposals:proposal-check", args=[stage.call.public_id])
    assert browser(stage.cast.outsider).post(check, stage.lines_form()).status_code == 404


def test_the_officer_awards_less_with_a_reason_and_the_partner_accepts(stage: Stage) -> None:
    proposal, officer, owner = stage.submitted(), browser(stage.cast.officer), browser(stage.cast.owner)
    form_page = officer.get(url("award", proposal)).content.decode()
    assert 'value="400.00"' in form_page
    assert "8 of 8 GPUs free throughout" in form_page
    less = award_form(stage, proposal, **{"lines-0-gpus": 3, "lines-0-gpu_hours": "300"})
    refused = officer.post(url("award", proposal), less)
    assert refused.status_code == 422
    assert "a reason is needed" in refused.content.decode()
    assert officer.post(url("award", proposal), less | {"reason": "The pool is short."}).status_code == 302
    for client in (officer, owner):
        page = client.get(url("proposal", proposal)).content.decode()
        assert "400.00" in page
        assert "300.00" in page
        assert "The pool is short." in page
    accepted = owner.post(url("proposal-accept", proposal), follow=True)
    assert "Pretraining of the next Solar LLM" in accepted.content.decode()
    assert AwardLine.objects.get().allocation_ref


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lines-0-gpus": 9}, "An award lies between 1 and the 4 GPUs"),
        ({"lines-0-gpus": -1}, "greater than or equal to 0"),
        ({"lines-0-gpus": 0}, "Nothing is awarded on any line."),
        ({"lines-0-gpu_hours": "lots"}, "Enter a number"),
        ({"lines-0-window_until": "2020-01-01"}, "The window ends before it begins."),
        ({"lines-0-pool": "pool-nosuch"}, "Select a valid choice"),
        ({"lines-0-gpu_hours": "9000"}, "within the 400.00 GPU-hours"),
        ({"reason": "x" * 4_001}, "at most 4000 characters"),
    ],
)
def test_an_award_that_cannot_be_is_answered_on_the_form(stage: Stage, changes: dict[str, Any], words: str) -> None:
    proposal = stage.submitted()
    form = award_form(stage, proposal, reason="Kept reason.") | changes
    answer = browser(stage.cast.officer).post(url("award", proposal), form)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    proposal.refresh_from_db()
    assert proposal.state == "submitted"


def test_an_award_past_the_ceiling_names_it_in_the_form(stage: Stage) -> None:
    proposal = stage.submitted()
    Agreement.objects.update(ceiling_concurrent_gpus=2)
    answer = browser(stage.cast.officer).post(url("award", proposal), award_form(stage, proposal))
    assert answer.status_code == 422
    assert "allows 2 GPUs at once" in answer.content.decode()


def test_return_decline_and_refuse_need_their_reason(stage: Stage) -> None:
    officer, owner = browser(stage.cast.officer), browser(stage.cast.owner)
    for name in ("return", "decline"):
        proposal = stage.submitted()
        assert officer.get(url(name, proposal)).status_code == 200
        assert officer.post(url(name, proposal), {"reason": " "}).status_code == 422
        assert officer.post(url(name, proposal), {"reason": "Because."}).status_code == 302
        assert "Because." in owner.get(url("proposal", proposal)).content.decode()
    awarded = stage.awarded()
    assert owner.post(url("proposal-refuse", awarded), {"reason": ""}).status_code == 422
    assert owner.post(url("proposal-refuse", awarded), {"reason": "Late."}).status_code == 302


def test_a_stale_decision_is_refused_clearly(stage: Stage) -> None:
    proposal, officer = stage.awarded(), browser(stage.cast.officer)
    answer = officer.post(url("decline", proposal), {"reason": "Too late."})
    assert answer.status_code == 422
    assert "This cannot be done now" in answer.content.decode()


@pytest.mark.parametrize("name", ["proposal", "proposal-edit", "proposal-refuse"])
@pytest.mark.parametrize("who", ["outsider", "reviewer"])
def test_outsiders_find_nothing(stage: Stage, name: str, who: str) -> None:
    assert browser(getattr(stage.cast, who)).get(url(name, stage.submitted())).status_code == 404


@pytest.mark.parametrize("name", ["award", "decline", "return"])
def test_staff_pages_do_not_exist_for_partners_and_are_closed_to_operators(stage: Stage, name: str) -> None:
    proposal = stage.submitted()
    assert browser(stage.cast.owner).get(url(name, proposal)).status_code == 404
    assert browser(stage.cast.operator).get(url(name, proposal)).status_code == 403
    assert browser(stage.cast.owner).post(url("start-review", proposal)).status_code == 404


def test_verbs_of_outsiders_are_404_and_of_viewers_refused(stage: Stage) -> None:
    proposal = stage.awarded()
    for name in ("proposal-accept", "proposal-withdraw"):
        assert browser(stage.cast.outsider).post(url(name, proposal)).status_code == 404
        page = browser(stage.cast.viewer).post(url(name, proposal), follow=True)
        assert "Your role does not allow this." in page.content.decode()
    proposal.refresh_from_db()
    assert proposal.state == "awarded"


def test_withdrawing_says_first_that_it_is_for_good(stage: Stage) -> None:
    proposal, said = stage.submitted(), "A withdrawn proposal cannot be taken up again."
    assert said in browser(stage.cast.owner).get(url("proposal", proposal)).content.decode()
    assert said not in browser(stage.cast.viewer).get(url("proposal", proposal)).content.decode()


def test_accepting_says_first_what_it_means(stage: Stage) -> None:
    page = browser(stage.cast.owner).get(url("proposal", stage.awarded())).content.decode()
    asked = page[page.index("ask-first") :].split("</details>")[0]
    assert "400.00 GPU-hours count against the agreement" in asked and "can no longer be refused" in asked
    assert page.count(url("proposal-accept", Proposal.objects.get())) == 1  # behind the question, and nowhere else


def test_a_form_that_is_opened_too_late_leads_back_with_the_word(stage: Stage) -> None:
    proposal = stage.awarded()
    decisions.accept(actor=stage.cast.owner, proposal=proposal)
    officer, owner = browser(stage.cast.officer), browser(stage.cast.owner)
    for name in ("award", "decline", "return", "hold", "prepare", "uphold", "dismiss"):
        answer = officer.get(url(name, proposal), follow=True)
        assert answer.redirect_chain == [(proposal.get_absolute_url(), 302)], name
        assert "the proposal is in the state" in answer.content.decode(), name
    for name in ("proposal-refuse", "proposal-appeal"):
        assert "the proposal is in the state" in owner.get(url(name, proposal), follow=True).content.decode(), name
    sent = owner.post(url("proposal-refuse", proposal), {"reason": "It took too long."})
    assert sent.status_code == 422 and "It took too long." in sent.content.decode()  # nothing typed is lost


def test_a_form_that_its_reader_may_not_send_is_not_opened(stage: Stage) -> None:
    declined = decisions.decline(actor=stage.cast.officer, proposal=stage.submitted(), reason="Vague.")
    Decision.objects.update(decided_at=timezone.now() - timedelta(days=400))
    late = browser(stage.cast.owner).get(url("proposal-appeal", declined), follow=True).content.decode()
    assert "An appeal was possible until" in late
    Decision.objects.update(decided_at=timezone.now())
    appealing.appeal(actor=stage.cast.owner, proposal=declined, reason="It is not vague.")
    again = browser(stage.cast.owner).get(url("proposal-appeal", declined), follow=True).content.decode()
    assert "there is one only" in again
    own = browser(stage.cast.officer).get(url("uphold", declined), follow=True).content.decode()
    assert "You had a part in the decision" in own


def test_drafts_are_the_organisations_own(stage: Stage) -> None:
    draft = stage.draft()
    assert browser(stage.cast.officer).get(url("proposal", draft)).status_code == 404
    assert browser(stage.cast.teammate).get(url("proposal", draft)).status_code == 200


def test_the_queue_shows_what_waits_and_exports_it(stage: Stage) -> None:
    waiting, done = stage.submitted(), stage.awarded()
    queue, officer = reverse("proposals:queue"), browser(stage.cast.officer)
    page = officer.get(queue).content.decode()
    assert str(waiting.number) in page
    assert str(done.number) not in page
    assert str(done.number) in officer.get(queue, {"state": "all", "sort": "-asked_gpus"}).content.decode()
    lines = b"".join(officer.get(queue, {"format": "csv", "state": "all"}).streaming_content).decode()
    assert str(done.number) in lines
    assert browser(stage.cast.owner).get(queue).status_code == 404
    assert officer.get(queue, {"state": "nonsense", "page": "x", "sort": "__"}).status_code == 200


def test_the_queue_says_what_is_overdue_and_since_when(stage: Stage) -> None:
    jury = make_jury(stage)
    late, other = jury.started(), jury.started()
    overdue = ProposalStep.objects.filter(proposal=late, kind="formal")
    overdue.update(due_at=timezone.now() - timedelta(days=3, hours=1))
    queue, officer = reverse("proposals:queue"), browser(stage.cast.officer)
    found = {word: officer.get(queue, {"overdue": word}).content.decode() for word in ("", "true", "false")}
    assert [str(late.number) in page for page in found.values()] == [True, True, False]
    assert [str(other.number) in page for page in found.values()] == [True, False, True]
    lines = b"".join(officer.get(queue, {"format": "csv", "sort": "overdue"}).streaming_content).decode().splitlines()
    assert [line.rpartition(",")[2] for line in lines if str(late.number) in line] == ["3"]
    assert [line.rpartition(",")[2] for line in lines if str(other.number) in line] == [""]


def _copies(proposal: Proposal, count: int) -> None:
    for number in range(count):
        line = proposal.lines.get()
        copy = Proposal.objects.get(pk=proposal.pk)
        copy.pk, copy.public_id, copy.number = None, f"prop-copy{number:04d}", f"2020-{number:04d}"
        copy.save(force_insert=True)
        line.pk, line.proposal = None, copy
        line.save(force_insert=True)


def test_pages_cost_the_same_with_one_row_and_with_fifty(stage: Stage) -> None:
    proposal = stage.submitted()
    officer, owner = browser(stage.cast.officer), browser(stage.cast.owner)
    pages = [
        (officer, reverse("proposals:queue")),
        (owner, reverse("proposals:proposals")),
        (owner, reverse("proposals:calls")),
    ]
    before = [len(queries_of(lambda c=client, a=address: c.get(a))) for client, address in pages]
    _copies(proposal, 49)
    after = [len(queries_of(lambda c=client, a=address: c.get(a))) for client, address in pages]
    assert before == after
    assert max(after) <= MOST_A_PAGE, after
    for client in (officer, owner):
        statements = queries_of(lambda c=client: c.get(url("proposal", proposal)))
        assert len(statements) <= MOST_A_PAGE, "\n".join(statements)
    statements = queries_of(lambda: owner.get(reverse("proposals:call", args=[stage.call.public_id])))
    assert len(statements) <= MOST_A_PAGE, "\n".join(statements)


def test_the_award_page_costs_the_same_with_more_lines_and_more_pools(stage: Stage) -> None:
    officer = browser(stage.cast.officer)
    alone = stage.submitted()
    few = queries_of(lambda: officer.get(url("award", alone)))
    for number in range(5):
        stage.call.pools.add(PoolFactory(name=f"more-{number}", gpu_class=stage.pool.gpu_class))
    proposal = stage.submitted(*[stage.line(gpus=1, smallest_gpus=1)] * 4)
    many = queries_of(lambda: officer.get(url("award", proposal)))
    assert len(few) == len(many) <= MOST_A_PAGE, "\n".join(many)
    assert officer.get(url("award", proposal)).content.decode().count("more-4") >= 4


def test_the_award_page_says_what_the_calls_budget_still_gives(stage: Stage) -> None:
    stage.call.offers.update(budget_gpu_seconds=1_000 * 3600)
    stage.awarded()
    page = browser(stage.cast.officer).get(url("award", stage.submitted())).content.decode()
    assert "600.00 of 1,000.00 GPU-hours are left" in page


def test_a_pool_of_another_class_cannot_be_chosen_on_the_award_page(stage: Stage) -> None:
    proposal, foreign = stage.submitted(), PoolFactory(name="foreign")
    sent = browser(stage.cast.officer).post(
        url("award", proposal), award_form(stage, proposal, **{"lines-0-pool": foreign.public_id})
    )
    assert sent.status_code == 422
    assert not AwardLine.objects.exists()


def test_a_call_that_is_closed_says_so(stage: Stage) -> None:
    stage.call.closes_at = stage.call.published_at + timedelta(minutes=1)
    stage.call.save()
    page = browser(stage.cast.owner).get(stage.call.get_absolute_url()).content.decode()
    assert "This call no longer takes proposals." in page
    answer = browser(stage.cast.owner).post(new_url(stage), stage.about_form())
    assert answer.status_code == 422


def test_the_calls_filter_offers_all_yes_and_no(stage: Stage) -> None:
    client, address = browser(stage.cast.manager), reverse("proposals:calls")
    page = client.get(address).content.decode()
    assert '<option value="" selected>All</option>' in page and "Unknown" not in page
    assert stage.call.public_id in client.get(address, {"open": "true"}).content.decode()
    assert stage.call.public_id not in client.get(address, {"open": "false"}).content.decode()
