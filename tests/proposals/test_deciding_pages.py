"""The pages and the API of what is prepared, released, written and appealed against."""

from typing import Any

import pytest
from django.urls import reverse

from cluster.models import Pool
from common.errors import RuleBroken
from common.overtaken import SavedMeanwhile
from proposals.letter_texts import filled
from proposals.models import Call, DecisionLetter, LetterTemplate, PreparedDecision, Proposal
from proposals.services import decisions, letters, preparing
from reports.selectors.home import partner_home
from tests.factories import UserFactory, enable_mfa, grant_role
from tests.proposals.stage import HOUR, Stage, browser


def typed(stage: Stage, proposal: Proposal, **changes: Any) -> dict[str, Any]:
    line = proposal.lines.get()
    return {
        "kind": "award",
        "lines-0-pool": stage.pool.public_id,
        "lines-0-gpus": 4,
        "lines-0-guaranteed_gpus": "",
        "lines-0-gpu_hours": 400,
        "lines-0-window_from": line.window_from.isoformat(),
        "lines-0-window_until": line.window_until.isoformat(),
        "reason": "",
        "override_reason": "",
        "version": 0,
        **changes,
    }


def line_of(stage: Stage, proposal: Proposal) -> dict[str, Any]:
    """A whole award, as the API takes it."""
    ask = stage.ask(proposal)
    return {
        "request_line": ask.request_line.pk,
        "pool": stage.pool.public_id,
        "gpus": 4,
        "gpu_seconds": 400 * HOUR,
        "window_from": ask.window_from.isoformat(),
        "window_until": ask.window_until.isoformat(),
    }


def test_preparing_page_keeps_what_was_typed_and_shows_what_differs(stage: Stage) -> None:
    proposal = decisions.start_review(actor=stage.cast.officer, proposal=stage.submitted())
    page, address = browser(stage.cast.officer), reverse("proposals:prepare", args=[proposal.public_id])
    assert page.post(address, typed(stage, proposal, **{"lines-0-gpus": 9})).status_code == 422
    assert page.post(address, typed(stage, proposal)).status_code == 302
    answer = page.post(address, typed(stage, proposal, kind="hold", reason="Wait for the budget."))
    text = answer.content.decode()
    assert answer.status_code == 422 and "What differs" in text and "Wait for the budget." in text
    assert 'name="version" value="1"' in text
    assert page.post(address, typed(stage, proposal, kind="hold", reason="Wait.", version=1)).status_code == 302
    assert PreparedDecision.objects.get().kind == "hold"
    assert "Wait." in page.get(address).content.decode()


def test_a_bound_is_said_while_a_decision_is_prepared(stage: Stage, settings: Any) -> None:
    settings.OVERRIDE_PERCENT = 50
    Pool.objects.update(overcommit_percent=0)
    stage.pool.refresh_from_db()
    stage.awarded(guaranteed_gpus=0), stage.awarded(guaranteed_gpus=0)
    proposal = stage.submitted()
    officer, address = browser(stage.cast.officer), reverse("proposals:prepare", args=[proposal.public_id])
    text = officer.post(address, typed(stage, proposal)).content.decode()
    assert "may promise 8 GPUs at once" in text and "Two officers together" in text
    body = {"proposal": proposal.public_id, "kind": "award", "lines": [line_of(stage, proposal)]}
    refused = officer.post("/api/v1/prepared-decisions/", body, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (422, "over_committed")
    assert refused.json()["field"] == "lines.0.gpus" and not PreparedDecision.objects.exists()
    answer = officer.post(address, typed(stage, proposal, override_reason="Urgent."))
    assert answer.status_code == 302  # with a reason it is prepared, for a second officer to approve


def test_the_list_adds_up_and_releases_what_passes(stage: Stage, django_assert_max_num_queries: Any) -> None:
    Pool.objects.update(overcommit_percent=0)
    stage.pool.refresh_from_db()
    offer = stage.call.offers.get()
    offer.budget_gpu_seconds = 1_000 * HOUR
    offer.save()
    for _turn in range(3):
        proposal = stage.submitted()
        preparing.prepare(actor=stage.cast.officer, proposal=proposal, kind="award", lines=[stage.ask(proposal)])
    page, address = browser(stage.cast.officer), reverse("proposals:prepared-list")
    with django_assert_max_num_queries(15):
        text = page.get(address, {"call": stage.call.public_id}).content.decode()
    assert "1,200.00" in text and "-200.00" in text and "past the bound" in text
    send = reverse("proposals:release")
    looked = page.post(send, {"scope": "all", "call": stage.call.public_id, "action": "look"})
    assert looked.status_code == 200 and looked.content.decode().count("can be released") >= 2
    assert [row.state for row in Proposal.objects.all()] == ["submitted"] * 3
    rows = PreparedDecision.objects.order_by("pk")
    keys = [row.public_id for row in rows]
    whole = page.post(send, {"prepared": keys, "action": "release"})
    assert whole.status_code == 200 and not Proposal.objects.filter(state="awarded").exists()
    first, second = PreparedDecision.objects.order_by("pk")[:2]
    assert f'value="{first.public_id}:{first.version}"' in looked.content.decode()
    PreparedDecision.objects.filter(pk=first.pk).update(version=first.version + 1)  # by another officer, meanwhile
    shown = [f"{row.public_id}:{row.version}" for row in (first, second)]
    again = page.post(send, {"prepared": shown, "action": "release"})
    assert again.status_code == 200 and "has been changed since you looked" in again.content.decode()
    assert not Proposal.objects.filter(state="awarded").exists()
    assert page.post(send, {"prepared": keys[:2], "action": "release"}).status_code == 302
    assert Proposal.objects.filter(state="awarded").count() == 2
    back = page.post(send, {"prepared": keys[:2], "action": "release"}, follow=True)  # the back button, and again
    assert "does not wait for release any more" in back.content.decode()
    assert b"\xef\xbb\xbf" in b"".join(page.get(address, {"format": "csv", "state": "all"}).streaming_content)  # type: ignore[attr-defined]


def test_refusals_are_prepared_for_the_ticked_ones(stage: Stage) -> None:
    proposals = [stage.submitted() for _turn in range(3)]
    page, address = browser(stage.cast.officer), reverse("proposals:decline-many")
    assert page.post(address, {"proposals": ["prop-22222222"], "reason": "x"}).status_code == 422
    said = {"proposals": [row.public_id for row in proposals[:2]], "reason": "Too many asks."}
    assert page.post(address, said).status_code == 302
    assert PreparedDecision.objects.filter(kind="decline", reason="Too many asks.").count() == 2


def test_the_second_person_approves_on_the_page(stage: Stage) -> None:
    Call.objects.update(two_person_gpu_seconds=1)
    proposal = stage.submitted()
    row = preparing.prepare(
        actor=stage.cast.administrator, proposal=proposal, kind="award", lines=[stage.ask(proposal)]
    )
    page = browser(stage.cast.officer)
    assert "needed before the release" in page.get(row.get_absolute_url()).content.decode()
    page.post(reverse("proposals:prepared-approve", args=[row.public_id]), {"version": 7})
    assert PreparedDecision.objects.get().state == "prepared"
    page.post(reverse("proposals:prepared-approve", args=[row.public_id]), {"version": 1})
    assert PreparedDecision.objects.get().approved_by == stage.cast.officer
    assert browser(stage.cast.owner).get(row.get_absolute_url()).status_code == 404


def test_a_letter_is_kept_as_it_was_sent_and_shown_to_its_partner(stage: Stage) -> None:
    stage.call.held_back_percent = 30
    stage.call.save()
    proposal = stage.awarded(gpus=2, gpu_seconds=100 * HOUR)
    letter = DecisionLetter.objects.get()
    assert letter.kind == "partial" and "Scarce." in letter.body_ko and "업스테이지 귀중" in letter.body_ko
    assert "To Upstage" in letter.body_en and "100.00" in letter.body_en and proposal.number in letter.subject_en
    assert "30 % are held back" in letter.body_en and "30%" in letter.body_ko
    assert "(30 %) are held back" in browser(stage.cast.owner).get(proposal.get_absolute_url()).content.decode()
    assert "{" not in letter.body_ko + letter.body_en + letter.subject_ko
    page = browser(stage.cast.viewer)
    assert "To Upstage" in page.get(letter.get_absolute_url(), {"in": "en"}).content.decode()
    assert "업스테이지 귀중" in page.get(letter.get_absolute_url(), {"in": "ko"}).content.decode()
    file = page.get(reverse("proposals:letter-file", args=[letter.public_id]), {"in": "ko"})
    assert "업스테이지 귀중" in file.content.decode("utf-8-sig") and "attachment" in file["Content-Disposition"]
    assert browser(stage.cast.outsider).get(letter.get_absolute_url()).status_code == 404


def test_texts_of_letters_are_changed_without_running_anything(stage: Stage) -> None:
    text = letters.text_of("decline")
    said = {name: getattr(text, name) for name in letters.FIELDS}
    with pytest.raises(RuleBroken) as caught:
        letters.change_text(
            actor=stage.cast.officer, kind="decline", texts=said | {"body_en": "{reason.__class__}"}, version=0
        )
    assert (caught.value.code, caught.value.field) == ("unknown_place", "body_en")
    mine = said | {"body_en": "{% now 'Y' %} {{ reason }} {reason}", "subject_en": "No: {title}"}
    letters.change_text(actor=stage.cast.officer, kind="decline", texts=mine, version=0)
    with pytest.raises(SavedMeanwhile):
        letters.change_text(actor=stage.cast.administrator, kind="decline", texts=said, version=0)
    proposal = decisions.decline(actor=stage.cast.officer, proposal=stage.submitted(), reason="{title} & <b>")
    letter = DecisionLetter.objects.get()
    assert letter.body_en == "{% now 'Y' %} {{ reason }} {title} & <b>" and letter.template_version == 1
    assert "&lt;b&gt;" in browser(stage.cast.owner).get(letter.get_absolute_url(), {"in": "en"}).content.decode()
    assert proposal.state == "declined" and LetterTemplate.objects.get().changed_by == stage.cast.officer


def test_every_text_that_comes_with_the_portal_has_only_places_that_there_are() -> None:
    for kind in letters.STANDARD:
        shown = letters.preview(dict(zip(letters.FIELDS, letters.STANDARD[kind], strict=True)))
        assert all(text and "{" not in text for text in shown.values())
    assert filled("{a} {reason} {reason}", {"reason": "{a}"}) == "{a} {a} {a}"


def test_the_page_of_a_text_shows_it_before_it_is_saved(stage: Stage) -> None:
    page, address = browser(stage.cast.officer), reverse("proposals:letter-text", args=["award"])
    said = {"subject_ko": "선정", "body_ko": "{title}", "subject_en": "Award", "body_en": "{title}", "version": 0}
    shown = page.post(address, said | {"action": "preview"})
    assert shown.status_code == 200 and "An example of a title" in shown.content.decode()
    assert not LetterTemplate.objects.exists()
    assert page.post(address, said | {"action": "preview", "body_en": "{x}"}).status_code == 422
    assert page.post(address, said | {"action": "save"}).status_code == 302
    assert page.post(address, said | {"action": "save", "subject_en": "Mine"}).status_code == 422
    assert LetterTemplate.objects.get().subject_en == "Award"


def test_both_sides_see_an_appeal_and_its_answer(stage: Stage) -> None:
    another = grant_role(UserFactory(), "officer")
    enable_mfa(another)
    proposal = decisions.decline(actor=stage.cast.officer, proposal=stage.submitted(), reason="Vague.")
    owner, address = browser(stage.cast.owner), proposal.get_absolute_url()
    assert "You may appeal once" in owner.get(address).content.decode()
    owner.post(reverse("proposals:proposal-appeal", args=[proposal.public_id]), {"reason": "It is precise."})
    decided = reverse("proposals:uphold", args=[proposal.public_id])
    assert "another officer answers it" in browser(stage.cast.officer).get(address).content.decode()
    assert decided in browser(another).get(address).content.decode()
    assert browser(stage.cast.officer).post(decided, {"reason": "Right."}).status_code == 422
    assert browser(another).post(decided, {"reason": "It is indeed."}).status_code == 302
    for person in (stage.cast.owner, stage.cast.officer):
        text = browser(person).get(address).content.decode()
        assert "It is precise." in text and "It is indeed." in text


def test_the_api_does_the_same(stage: Stage) -> None:
    proposal, other = stage.submitted(), stage.submitted()
    api = browser(stage.cast.officer)

    def send(path: str, body: Any) -> Any:
        return api.post(f"/api/v1/{path}", body, content_type="application/json")

    said = {"proposal": proposal.public_id, "kind": "award", "lines": [line_of(stage, proposal)]}
    made = send("prepared-decisions/", said)
    assert made.status_code == 201 and made.json()["needs_second"] is False
    again = send("prepared-decisions/", said)
    assert again.status_code == 409 and again.json()["facts"]["version"] == 1
    declined = send("prepared-decisions/decline/", {"proposals": [other.public_id], "reason": "No."}).json()
    keys = [made.json()["id"], declined[0]["id"]]
    tried = send("prepared-decisions/release/", {"prepared": keys, "dry_run": True}).json()
    assert [row["released"] for row in tried] == [False, False] and {row["code"] for row in tried} == {""}
    assert api.get("/api/v1/prepared-decisions/sums/").json()[0]["prepared"] == 400 * HOUR
    assert send("prepared-decisions/release/", {"prepared": keys}).status_code == 200
    shown = browser(stage.cast.owner).get(f"/api/v1/proposals/{proposal.public_id}/").json()["decisions"][0]
    assert shown["answer_by"] and shown["letter"] == DecisionLetter.objects.get(kind="award").public_id
    texts = api.get("/api/v1/letter-texts/award/").json()
    assert api.put("/api/v1/letter-texts/award/", texts, content_type="application/json").json()["version"] == 1


def test_home_counts_an_award_that_waits_for_an_answer(stage: Stage) -> None:
    (room,) = _home_rooms(stage)
    stage.awarded()
    (then,) = _home_rooms(stage)
    assert room.left_gpu_seconds - then.left_gpu_seconds == 400 * HOUR


def _home_rooms(stage: Stage) -> Any:
    home = partner_home(stage.cast.owner)
    assert home is not None
    return home.rooms
