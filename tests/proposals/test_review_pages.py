"""The pages and the API of reviews: what a reviewer sees, and what never."""

import io
import re
from datetime import timedelta
from typing import Any

import openpyxl
import pytest
from django.core.files.base import ContentFile
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from common.errors import RuleBroken
from proposals.models import Assignment, Attachment, CallPool, Proposal, ProposalMember, ReviewerInvitation
from proposals.services import assigning, decisions, reviewers, stepping
from tests.factories import grant_role
from tests.proposals.jury import Jury
from tests.proposals.stage import HOUR, browser
from tests.proposals.test_conflicts import same


def page(name: str, obj: Any, **more: Any) -> str:
    return reverse(f"proposals:{name}", args=[obj.public_id, *more.values()])


def api(user: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def form(**changes: Any) -> dict[str, Any]:
    fields = {"points_1": 8, "comment_1": "", "points_2": 4, "comment_2": "Feasible.", "comment": "", "revision": 0}
    return {**fields, "partner_comment": "", **changes}


def test_a_reviewer_declares_reads_saves_and_submits(jury: Jury) -> None:
    person = jury.reviewers[0]
    assignment = jury.sent(jury.at_experts(), person)[0]
    client = browser(person)
    assert assignment.public_id in client.get(reverse("proposals:reviews")).content.decode()
    assert client.get(page("review", assignment))["Location"] == page("review-declare", assignment)
    shut = client.get(page("review-declare", assignment)).content.decode()
    assert "Upstage" in shut and "Train it." not in shut
    assert client.post(page("review-declare", assignment), {"conflict": "yes", "words": ""}).status_code == 422
    client.post(page("review-declare", assignment), {"conflict": "no"})
    assert "Train it." in client.get(page("review", assignment)).content.decode()
    saved = client.post(page("review-save", assignment), form(points_1=""))
    assert 'value="1"' in saved.content.decode()
    assert "not saved by itself" in client.post(page("review-save", assignment), form(points_1=2)).content.decode()
    half = client.post(page("review", assignment), form(action="submit", points_1="", comment="More."))
    assert "What differs" in half.content.decode()  # said before what is missing
    stale = client.post(page("review", assignment), form(action="save", points_1=7))
    assert stale.status_code == 422 and 'name="revision" value="1"' in stale.content.decode()
    again = client.post(page("review", assignment), form(action="submit", revision=1))
    assert again.status_code == 302 and Assignment.objects.get().state == "done"
    assert "80.00" in client.get(page("review", assignment)).content.decode()


def test_a_conflict_is_a_404_on_every_address_and_in_the_api(jury: Jury) -> None:
    person, proposal = jury.reviewers[0], jury.at_experts()
    assignment = jury.opened(proposal, person)
    same(jury.stage, person)
    client, machine = browser(person), api(person)
    for name in ("review", "review-declare"):
        assert client.get(page(name, assignment)).status_code == 404
    assert client.post(page("review-save", assignment), form()).status_code == 404
    for tail in ("", "proposal/"):
        assert machine.get(f"/api/v1/reviews/{assignment.public_id}/{tail}").status_code == 404
    assert machine.get("/api/v1/reviews/").json()["results"] == []
    other = browser(jury.reviewers[1])
    assert other.get(page("proposal", proposal)).status_code == 404


def test_in_a_blind_call_no_name_reaches_the_reviewer(jury: Jury, settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    jury.stage.call.blind = True
    jury.stage.call.save()
    person, cast = jury.reviewers[0], jury.stage.cast
    proposal = jury.at_experts(title="Upstage builds Solar", plan="업스테이지 and Owner, with Kim Minji.")
    ProposalMember.objects.create(proposal=proposal, place=0, name="Kim Minji", part="lead of Upstage")
    file = Attachment(proposal=proposal, name="Upstage-plan.pdf", kind="pdf", size_bytes=4, sha256="0" * 64)
    file.added_by = cast.owner
    file.file.save("x.pdf", ContentFile(b"%PDF"))
    file.save()
    assignment = jury.opened(proposal, person)
    client, machine = browser(person), api(person)
    told = [
        client.get(reverse("proposals:reviews")).content.decode(),
        client.get(reverse("proposals:reviews") + "?format=csv").getvalue().decode(),  # type: ignore[attr-defined]
        client.get(page("review-declare", assignment)).content.decode(),
        client.get(page("review", assignment)).content.decode(),
        client.get(reverse("notifications:inbox")).content.decode(),
        machine.get("/api/v1/reviews/").content.decode(),
        machine.get(f"/api/v1/reviews/{assignment.public_id}/proposal/").content.decode(),
    ]
    for text in told:
        assert not re.search("Upstage|업스테이지|Minji|owner@upstage", text, re.IGNORECASE), text
    handed = client.get(page("review-file", assignment, file=file.public_id))
    assert handed["Content-Disposition"] == 'attachment; filename="1.pdf"'
    assert handed["Content-Security-Policy"].startswith("sandbox") and "no-store" in handed["Cache-Control"]


def test_a_blind_call_is_reviewed_by_nobody_who_works_for_the_agency(jury: Jury) -> None:
    call, cast, person = jury.stage.call, jury.stage.cast, jury.reviewers[0]
    proposal = jury.at_experts()
    jury.opened(proposal, person)
    grant_role(person, "operator")
    person = User.objects.get(pk=person.pk)
    desk = browser(person)
    assert proposal.number in desk.get(reverse("proposals:reviews")).content.decode()  # not blind: both may be done
    call.blind = True
    call.save()
    assignment = Assignment.objects.get()
    assert proposal.number not in desk.get(reverse("proposals:reviews")).content.decode()
    assert desk.get(page("review", assignment)).status_code == 404
    assert api(person).get(f"/api/v1/reviews/{assignment.public_id}/proposal/").status_code == 404
    assigning.remove(actor=cast.officer, assignment=assignment, reason="Works for the agency.")
    asked = {"reviewer": person.public_id}
    assert browser(cast.officer).post(page("proposal-assign", proposal), asked).status_code == 422
    refused = api(cast.officer).post("/api/v1/reviews/", {**asked, "proposal": proposal.public_id})
    assert (refused.status_code, refused.json()["code"]) == (422, "staff_in_blind_call")
    plan = assigning.propose_for_call(actor=cast.officer, call=call)
    grant_role(jury.reviewers[1], "auditor")  # proposed already: is not asked
    assigning.send(actor=cast.officer, call=call)
    assert set(Assignment.objects.filter(state="sent").values_list("reviewer", flat=True)) == {jury.reviewers[2].pk}
    assert {match.candidate for match in plan.matches} == {other.pk for other in jury.reviewers[1:]}


def test_who_reviews_is_told_to_those_alone_who_see_reviewers(jury: Jury) -> None:
    jury.submitted(jury.opened(jury.at_experts(), jury.reviewers[0]))
    cast, call = jury.stage.cast, jury.stage.call
    address = f"/api/v1/call-reviews/{call.public_id}/progress/"
    for person, sees in (
        (cast.officer, True),
        (cast.administrator, True),
        (cast.auditor, True),
        (cast.operator, False),
        (cast.owner, None),
        (jury.reviewers[1], None),
    ):
        shown, told = browser(person).get(page("call-progress", call)), api(person).get(address)
        assert (shown.status_code == 200, told.status_code == 200) == (sees is not None,) * 2, person
        assert ("Juror 0" in shown.content.decode(), "Juror 0" in told.content.decode()) == (bool(sees),) * 2, person
        for link in re.findall(rf'nav-link[^>]* href="(/staff/calls/{call.public_id}/[^"]*)"', shown.content.decode()):
            assert browser(person).get(link).status_code == 200, (
                person,
                link,
            )  # no tab leads to a page that is not theirs


def test_what_others_wrote_is_read_after_ones_own_and_their_names_only_in_an_open_call(jury: Jury) -> None:
    proposal = jury.at_experts()
    first, second = (jury.opened(proposal, person) for person in jury.reviewers[:2])
    jury.submitted(first)
    address = f"/api/v1/reviews/{second.public_id}/proposal/"
    assert api(second.reviewer).get(address).json()["others"] == []
    jury.submitted(second)
    assert api(second.reviewer).get(address).json()["others"][0]["label"] == "Juror 0"
    jury.stage.call.blind = True
    jury.stage.call.save()
    assert api(second.reviewer).get(address).json()["others"][0]["label"] in ("Reviewer 1", "평가위원 1")


def test_the_api_does_what_the_pages_do(jury: Jury) -> None:
    cast, proposal, person = jury.stage.cast, jury.started(), jury.reviewers[0]
    officer, operator, juror = api(cast.officer), api(cast.operator), api(person)
    steps = {row["kind"]: row["id"] for row in officer.get("/api/v1/steps/").json()["results"]}
    assert officer.post(f"/api/v1/steps/{steps['formal']}/judge/", {"verdict": "pass"}).status_code == 200
    told = operator.post(
        f"/api/v1/steps/{steps['technical']}/judge/", {"verdict": "pass", "pool": jury.stage.pool.public_id}
    )
    assert told.json()["gpu_class"] == "h100-sxm-80"
    assert api(cast.owner).get(f"/api/v1/steps/{steps['technical']}/").json()["pool"] is None
    asked = {"proposal": proposal.public_id, "reviewer": person.public_id}
    assert officer.post("/api/v1/reviews/", asked).status_code == 201
    assert api(cast.operator).post("/api/v1/reviews/", asked).status_code == 403
    call = f"/api/v1/call-reviews/{jury.stage.call.public_id}"
    assert officer.post(f"{call}/propose/").json() == {"proposed": 1, "short": 0}
    assert officer.post(f"{call}/send/").json() == {"sent": 2}
    review = juror.get("/api/v1/reviews/").json()["results"][0]["id"]
    body = {"revision": 0, "scores": [{"criterion": 1, "points": 8}, {"criterion": 2, "points": 4, "comment": "Yes."}]}
    assert juror.post(f"/api/v1/reviews/{review}/submit/", body, format="json").status_code == 409
    assert juror.post(f"/api/v1/reviews/{review}/declare/", {"conflict": False}, format="json").status_code == 200
    assert juror.post(f"/api/v1/reviews/{review}/draft/", body, format="json").status_code == 200
    late = juror.post(f"/api/v1/reviews/{review}/submit/", body, format="json")
    assert (late.status_code, late.json()["code"], late.json()["facts"]["revision"]) == (409, "overtaken", 1)
    sent = juror.post(f"/api/v1/reviews/{review}/submit/", {**body, "revision": 1}, format="json")
    assert sent.json()["review"]["total"] == "80.000"
    row = officer.get(f"{call}/ranking/").json()["rows"][0]
    assert (row["rank"], row["scores"]["count"], row["by_criterion"]) == (1, 1, {"1": "8.000", "2": "4.000"})
    assert officer.get(f"{call}/progress/").json()["reviewers"][0]["done"] == 1
    for reader, status in ((operator, 404), (juror, 404), (api(cast.auditor), 200)):
        assert reader.get(f"{call}/ranking/").status_code == status


def test_the_ranking_draws_the_line_where_the_money_ends_and_leaves_as_text(jury: Jury) -> None:
    CallPool.objects.update(budget_gpu_seconds=900 * HOUR)  # two of three
    titles = ("=HYPERLINK(1)", "Second", "Third")
    for title, points in zip(titles, (10, 8, 6), strict=True):
        jury.submitted(jury.opened(jury.at_experts(title=title), jury.reviewers[0]), points, 5)
    client = browser(jury.stage.cast.officer)
    address = page("call-ranking", jury.stage.call)
    body = client.get(address).content.decode()
    assert '<select name="gpu_class"' in body and body.count("format=csv") == 1 == body.count("format=xlsx")
    code = jury.stage.pool.gpu_class.code
    assert "Third" in client.get(address, {"gpu_class": code}).content.decode()
    places = [body.index(word) for word in ("HYPERLINK", "Second", "Here the budget ends", "Third")]
    assert places == sorted(places)
    third = Proposal.objects.get(title="Third")
    stepping.judge(
        actor=jury.stage.cast.officer, step=jury.step(third, "expert"), verdict="fail", note="Below the line."
    )
    decisions.decline(actor=jury.stage.cast.officer, proposal=third, reason="Too little money.")
    refused = client.get(address).content.decode()
    assert "first 2 of 2" in refused and "Here the budget ends" not in refused  # it takes no money any more
    narrow = client.get(address, {"q": "Third", "col": ["mean", "criterion_1"], "sort": "-mean"}).content.decode()
    assert (
        "Second" not in narrow and "<th" in narrow and "Fit" in narrow and 'class="text-end text-nowrap">3<' in narrow
    )
    csv = client.get(address, {"format": "csv"}).getvalue().decode()  # type: ignore[attr-defined]
    assert "'=HYPERLINK(1)" in csv
    book = openpyxl.load_workbook(io.BytesIO(client.get(address, {"format": "xlsx"}).content))
    cell = book.active["C2"]  # type: ignore[index]
    assert cell.data_type == "s" and cell.value == "'=HYPERLINK(1)"
    assert browser(jury.stage.cast.operator).get(address).status_code == 404


def test_officers_see_board_progress_sheet_and_steps(jury: Jury) -> None:
    cast, proposal = jury.stage.cast, jury.at_experts()
    client = browser(cast.officer)
    board = page("call-assignments", jury.stage.call)
    assert client.post(page("call-propose", jury.stage.call))["Location"] == board
    assert "Juror 0" in client.get(board).content.decode()
    assert client.post(page("call-send", jury.stage.call))["Location"] == board
    Assignment.objects.update(due_at=timezone.now() - timedelta(days=1))
    assert "overdue" in client.get(board).content.decode()
    assert "Juror 0" in client.get(page("call-progress", jury.stage.call)).content.decode()
    assignment = jury.sent(proposal, jury.reviewers[2])
    sheet = client.get(page("proposal-reviews", proposal)).content.decode()
    assert assignment and "Juror 2" in sheet and "Feasibility" in sheet
    assert "Feasibility" not in browser(cast.operator).get(page("proposal-reviews", proposal)).content.decode()
    assert proposal.number in client.get(reverse("proposals:steps") + "?state=now").content.decode()
    step = jury.step(proposal, "expert")
    assert client.post(page("step", step), {"verdict": "pass", "note": ""}).status_code == 422
    assert "technical check" in browser(cast.owner).get(page("proposal", proposal)).content.decode()


def test_the_partner_reads_what_was_written_for_them_after_the_decision(jury: Jury) -> None:
    proposal = jury.at_experts()
    jury.submitted(jury.opened(proposal, jury.reviewers[0]))
    client = browser(jury.stage.cast.owner)
    assert "Say more of the data." not in client.get(page("proposal", proposal)).content.decode()
    Proposal.objects.update(state="declined")
    body = client.get(page("proposal", proposal)).content.decode()
    assert "Say more of the data." in body and "Good." not in body and "Juror" not in body


def test_a_reviewer_joins_by_mail_and_two_who_save_a_profile_lose_nothing(jury: Jury, client: Any) -> None:
    officer = jury.stage.cast.officer
    person = jury.stage.cast.outsider
    desk = browser(officer)
    asked = {"email": person.email, "topics": "LLM, speech", "load_limit": 4, "purposes": ["pretraining"]}
    assert desk.post(reverse("proposals:reviewer-invite"), asked).status_code == 302
    invitation = ReviewerInvitation.objects.get()
    profile = reviewers.accept(actor=person, invitation=invitation)
    assert profile.topics == ["LLM", "speech"] and person.role_grants.get().role == "reviewer"
    data = {"topics": "LLM", "load_limit": 3, "is_available": "on", "employers": "Upstage, 2026-01-31", "revision": 1}
    assert desk.post(page("reviewer", profile), data).status_code == 302
    late = desk.post(page("reviewer", profile), {**data, "load_limit": 9})
    shown = late.content.decode()
    assert late.status_code == 422 and 'value="9"' in shown and "Most reviews at a time: 3" in shown
    assert profile.former_employers.get().organisation == jury.stage.cast.organisation
    assert desk.post(page("reviewer", profile), {**data, "employers": "Upstage", "revision": 2}).status_code == 422
    assert "Outsider" in desk.get(reverse("proposals:reviewers")).content.decode()


def test_an_officer_invites_reviewers_within_bounds(jury: Jury) -> None:
    officer, expertise = jury.stage.cast.officer, reviewers.Expertise()
    ReviewerInvitation.objects.bulk_create(
        ReviewerInvitation(email=f"{n}@x.test", token_hash=str(n), public_id=f"rinv-{n}", invited_by=officer, **at)
        for n in range(reviewers.MOST_AN_HOUR)
        for at in [{"expires_at": timezone.now()}]
    )
    with pytest.raises(RuleBroken) as caught:
        reviewers.invite(actor=officer, email="new@x.test", expertise=expertise)
    assert caught.value.code == "too_many_invitations"
    ReviewerInvitation.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert reviewers.invite(actor=officer, email="new@x.test", expertise=expertise).pk


def test_an_invitation_that_waits_is_listed_and_revoked_on_the_page_and_through_the_api(jury: Jury) -> None:
    officer = jury.stage.cast.officer
    first, second = (
        reviewers.invite(actor=officer, email=f"{name}@x.test", expertise=reviewers.Expertise()) for name in "ab"
    )
    desk, listed = browser(officer), reverse("proposals:reviewers")
    assert "a@x.test" in desk.get(listed).content.decode()
    assert desk.post(page("reviewer-invitation-revoke", first)).url == listed
    assert "a@x.test" not in desk.get(listed).content.decode()
    assert reviewers.invite(actor=officer, email="a@x.test", expertise=reviewers.Expertise()).pk
    url = "/api/v1/reviewers/"
    assert {row["email"] for row in api(officer).get(f"{url}invitations/").data} == {"a@x.test", "b@x.test"}
    assert api(jury.reviewers[0]).get(f"{url}invitations/").status_code == 403
    revoke = f"{url}revoke-invitation/"
    assert api(jury.reviewers[0]).post(revoke, {"invitation": second.public_id}).status_code == 403
    assert api(officer).post(revoke, {"invitation": second.public_id}).status_code == 200
    assert api(officer).post(revoke, {"invitation": second.public_id}).status_code == 409


def test_each_page_of_a_call_costs_the_same_statements_however_many_proposals(
    jury: Jury, django_assert_max_num_queries: Any
) -> None:
    counts = []
    for _turn in range(2):
        for _more in range(2):
            jury.submitted(jury.opened(jury.at_experts(), jury.reviewers[0]), 6, 3)
        client = browser(jury.stage.cast.officer)
        client.get(reverse("home"))
        found = []
        narrowed = {"q": "e", "col": ["step", "size", "region", "criterion_1"]}
        for name, asked in (
            ("call-ranking", {}),
            ("call-ranking", narrowed),
            ("call-assignments", {}),
            ("call-progress", {}),
        ):
            with django_assert_max_num_queries(15) as captured:
                assert client.get(page(name, jury.stage.call), asked).status_code == 200
            found.append(len(captured))
        counts.append(found)
    assert counts[0] == counts[1]
