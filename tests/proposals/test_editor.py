"""Writing a proposal page by page: what is kept, what is said, and what two people do to each other."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import AuditEvent
from partners.models import Agreement
from proposals.asks import GivenAnswer, Plan
from proposals.models import Answer, Call, Proposal, Question
from proposals.selectors import draft_of, seen
from proposals.services import decisions, sections
from tests.html import Reading
from tests.proposals.stage import HOUR, Stage, browser, make_stage
from tests.queries import MOST_A_PAGE, queries_of

STEPS = ("about", "plan", "team", "lines", "questions", "attachments", "submit")
JAMO = "\u1112\u1161\u11ab\u1100\u1173\u11af"
"""한글, letter by letter, as macOS writes it."""


def step(proposal: Proposal, name: str) -> str:
    return reverse(f"proposals:edit-{name}", args=[proposal.public_id])


def opened(client: Client, address: str) -> dict[str, Any]:
    """What a browser would send of a page, without a button."""
    form = Reading(client.get(address).content.decode()).forms[0]
    return form.filled()


def team_form(*people: tuple[str, str, str]) -> dict[str, Any]:
    form: dict[str, Any] = {"team-TOTAL_FORMS": len(people), "team-INITIAL_FORMS": 0}
    for place, (name, email, part) in enumerate(people):
        form |= {f"team-{place}-name": name, f"team-{place}-email": email, f"team-{place}-part": part}
    return form


def question(call: Call, kind: str, **more: Any) -> Question:
    fields = {"place": call.questions.count(), "label_ko": f"질문 {kind}", "label_en": f"Question {kind}"}
    return call.questions.create(kind=kind, **{**fields, **more})


def test_a_proposal_is_written_from_the_first_page_to_the_last(stage: Stage) -> None:
    client = browser(stage.cast.manager)
    begun = client.post(reverse("proposals:proposal-new", args=[stage.call.public_id]), stage.about_form())
    draft = Proposal.objects.get()
    assert begun.url == step(draft, "plan")
    page = client.get(step(draft, "submit")).content.decode()
    assert "Describe the plan" in page and "fill in at least one request line" in page
    assert f'href="{step(draft, "plan")}#id_plan"' in page
    assert client.post(step(draft, "plan"), {"plan": "Train it.", "action": "next"}).url == step(draft, "team")
    assert client.post(step(draft, "team"), team_form(("Kim", "", "Lead")) | {"action": "next"}).url == step(
        draft, "lines"
    )
    assert client.post(step(draft, "lines"), stage.lines_form(action="next")).url == step(draft, "attachments")
    assert client.get(reverse("proposals:proposal-edit", args=[draft.public_id])).url == step(draft, "submit")
    sent = client.post(step(draft, "submit"), {"action": "submit"}, follow=True)
    draft.refresh_from_db()
    assert draft.state == "submitted" and str(draft.number) in sent.content.decode()
    assert draft.versions.get().content["team"][0]["name"] == "Kim"


def test_a_form_sent_twice_makes_one_proposal(stage: Stage) -> None:
    client, address = browser(stage.cast.owner), reverse("proposals:proposal-new", args=[stage.call.public_id])
    form = stage.about_form(submission="3f0c2f9e-8c5d-4a58-9d2e-0d7c5d0e7a11")
    client.post(address, form)
    client.post(address, form)
    assert Proposal.objects.count() == 1


def test_a_page_saves_by_itself_and_says_how_far_the_proposal_is(stage: Stage) -> None:
    client, draft = browser(stage.cast.owner), stage.draft(plan="", lines=[])
    form = opened(client, step(draft, "plan")) | {"plan": "Typed so far", "action": "autosave"}
    told = client.post(step(draft, "plan"), form).content.decode()
    draft.refresh_from_db()
    assert draft.plan == "Typed so far" and draft.edited_by == stage.cast.owner
    assert "Saved." in told and "<html" not in told and 'hx-swap-oob="true"' in told
    count = AuditEvent.objects.count()
    client.post(step(draft, "plan"), form)  # nothing has changed
    assert AuditEvent.objects.count() == count


def test_saving_by_itself_and_the_button_of_one_form_never_stand_in_each_others_way(stage: Stage) -> None:
    client, draft = browser(stage.cast.owner), stage.draft()
    form = opened(client, step(draft, "plan"))
    client.post(step(draft, "plan"), form | {"plan": "One", "action": "autosave"})
    assert client.post(step(draft, "plan"), form | {"plan": "Two", "action": "save"}).status_code == 302
    draft.refresh_from_db()
    assert draft.plan == "Two"


def test_of_two_who_save_the_second_sees_the_difference_and_loses_nothing(stage: Stage) -> None:
    draft, first, second = stage.draft(), browser(stage.cast.owner), browser(stage.cast.manager)
    forms = [opened(client, step(draft, "plan")) for client in (first, second)]
    assert first.post(step(draft, "plan"), forms[0] | {"plan": "Train it well."}).status_code == 302
    mine = forms[1] | {"plan": "Train it twice."}
    refused = second.post(step(draft, "plan"), mine)
    page = refused.content.decode()
    draft.refresh_from_db()
    assert refused.status_code == 409 and draft.plan == "Train it well."
    assert "Owner saved this page" in page and "Train it twice.</textarea>" in page
    assert "<del>" in page and "well</del>" in page.replace('<span class="visually-hidden">]</span>', "")
    quiet = second.post(step(draft, "plan"), mine | {"action": "autosave"}).content.decode()
    assert "Not saved:" in quiet
    again = Reading(page).forms[0].filled() | {"action": "save"}
    assert second.post(step(draft, "plan"), again).status_code == 302
    draft.refresh_from_db()
    assert draft.plan == "Train it twice."


def test_two_who_save_different_pages_do_not_meet(stage: Stage) -> None:
    draft, first, second = stage.draft(), browser(stage.cast.owner), browser(stage.cast.manager)
    plan, about = opened(first, step(draft, "plan")), opened(second, step(draft, "about"))
    assert first.post(step(draft, "plan"), plan | {"plan": "Mine"}).status_code == 302
    assert second.post(step(draft, "about"), about | {"title": "Hers"}).status_code == 302
    draft.refresh_from_db()
    assert (draft.plan, draft.title) == ("Mine", "Hers")


@pytest.mark.parametrize("part", ["team", "lines"])
def test_two_who_save_rows_at_once_see_whose_they_are(stage: Stage, part: str) -> None:
    draft, first, second = stage.draft(), browser(stage.cast.owner), browser(stage.cast.manager)
    mark = opened(first, step(draft, part))["opened"]
    forms = {
        "team": (team_form(("Kim", "", "Lead")), team_form(("Lee", "", "Lead"))),
        "lines": (stage.lines_form(stage.line(gpus=5)), stage.lines_form(stage.line(gpus=6))),
    }[part]
    assert first.post(step(draft, part), forms[0] | {"opened": mark}).status_code == 302
    refused = second.post(step(draft, part), forms[1] | {"opened": mark})
    assert refused.status_code == 409
    assert ("Kim" if part == "team" else "Line 1 · GPUs") in refused.content.decode()


@pytest.mark.parametrize(
    ("name", "half", "whole"),
    [
        ("lines", {"lines-TOTAL_FORMS": 2, "lines-1-gpus": "16"}, {"lines-TOTAL_FORMS": 1}),
        ("team", {"team-TOTAL_FORMS": 1, "team-0-part": "Lead"}, {"team-TOTAL_FORMS": 1, "team-0-name": "Kim"}),
        ("about", {"title": ""}, {"title": "Whole again"}),
        ("plan", {"plan": "x" * 20_001}, {"plan": "Short"}),
    ],
)
def test_what_is_half_typed_is_kept_as_it_was_typed(stage: Stage, name: str, half: Any, whole: Any) -> None:
    draft = stage.draft()
    client = browser(stage.cast.manager)
    lines = [vars(line) for line in draft_of(draft).lines]
    form = opened(client, step(draft, name)) | {"action": "autosave"}
    said = client.post(step(draft, name), form | half).content.decode()
    assert "Kept as you typed it." in said and 'id="opened"' in said
    page = client.get(step(draft, name)).content.decode()
    assert "not whole yet" in page
    again = Reading(page).forms[0].filled()
    for key, value in half.items():
        assert again.get(key) == [str(value)]
    draft.refresh_from_db()
    assert [vars(line) for line in draft_of(draft).lines] == lines and draft.title == stage.content().title
    refused = client.post(step(draft, "submit"), {"action": "submit"}).content.decode()
    assert "not whole yet" in refused and Proposal.objects.get().state == "draft"
    # Of one open form the mark stays good; what is whole takes the place of what was not.
    mend = again | {"team-0-part": "Lead"} | whole | {"action": "autosave"}
    assert "Saved." in client.post(step(draft, name), mend).content.decode()
    draft.refresh_from_db()
    assert draft.unfinished == {} and not [gap for gap in draft_of(draft).gaps if "whole" in gap.message]


def test_half_a_line_overwrites_nothing_that_somebody_else_saved(stage: Stage) -> None:
    draft = stage.draft()
    first, second = browser(stage.cast.owner), browser(stage.cast.manager)
    mine, theirs = (opened(client, step(draft, "lines")) for client in (first, second))
    assert first.post(step(draft, "lines"), mine | {"lines-0-gpus": "7", "action": "save"}).status_code == 302
    said = second.post(step(draft, "lines"), theirs | {"lines-0-gpus": "", "action": "autosave"}).content.decode()
    assert "Press Save to see what differs" in said
    draft.refresh_from_db()
    assert draft.unfinished == {} and draft_of(draft).lines[0].gpus == 7


def test_titles_of_ten_thousand_characters_are_refused_and_kept_in_the_form(stage: Stage) -> None:
    draft = stage.draft()
    answer = browser(stage.cast.owner).post(step(draft, "about"), stage.about_form(title="가" * 10_000))
    page = answer.content.decode()
    assert answer.status_code == 422 and "at most 200 characters" in page and "가" * 10_000 in page


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (JAMO, "한글"),
        ("  Two\t words\n", "Two words"),
        ("🦀👩\u200d💻 emoji", "🦀👩\u200d💻 emoji"),
        ("مشروع נסיון", "مشروع נסיון"),
        ("a\u0007b", "ab"),
    ],
)
def test_titles_are_kept_as_people_read_them(stage: Stage, typed: str, kept: str) -> None:
    draft, client = stage.draft(), browser(stage.cast.owner)
    assert client.post(step(draft, "about"), stage.about_form(title=typed)).status_code == 302
    draft.refresh_from_db()
    assert draft.title == kept
    assert f"<bdi>{kept}</bdi>" in client.get(step(draft, "plan")).content.decode()


def test_the_team_knows_its_people_by_their_address(stage: Stage) -> None:
    draft = stage.draft()
    people = team_form(
        ("Mate", stage.cast.teammate.email.upper(), "Data"), ("Guest", "guest@lab.example.test", "Advice")
    )
    assert browser(stage.cast.owner).post(step(draft, "team"), people).status_code == 302
    assert list(draft.team.values_list("name", "user")) == [("Mate", stage.cast.teammate.pk), ("Guest", None)]


@pytest.mark.parametrize(
    ("people", "words"),
    [
        (team_form(("Kim", "kim", "Lead")), "valid email"),
        (team_form(("Kim", "kim@a.example", "")), "required"),
        (team_form(("Kim", "k@a.example", "A"), ("Kim", "K@a.example", "B")), "stands in the team twice"),
        (team_form(("x" * 101, "", "A")), "at most 100 characters"),
    ],
)
def test_a_team_that_cannot_be_is_answered_at_its_field(stage: Stage, people: dict[str, Any], words: str) -> None:
    answer = browser(stage.cast.owner).post(step(stage.draft(), "team"), people)
    assert answer.status_code == 422 and words in answer.content.decode()


@pytest.mark.parametrize("part", ["team", "lines"])
def test_rows_are_added_and_removed_without_losing_anything(stage: Stage, part: str) -> None:
    client, draft = browser(stage.cast.owner), stage.draft()
    form = (
        team_form(("123", "", "x"), ("77", "", "y"))
        if part == "team"
        else stage.lines_form(stage.line(hours=123), stage.line(hours=77))
    )
    more = client.post(step(draft, part), form | {"action": "add_row"}).content.decode()
    assert 'value="123"' in more and f'name="{part}-2-' in more
    assert 'hx-trigger="load, input' in more  # it keeps what it shows, though nobody types any more
    less = client.post(step(draft, part), form | {"action": "remove_row:0"}).content.decode()
    assert 'value="77"' in less and 'value="123"' not in less


def test_checking_says_for_each_line_whether_it_fits(stage: Stage) -> None:
    Agreement.objects.update(ceiling_concurrent_gpus=20)
    client, draft = browser(stage.cast.owner), stage.draft()
    form = stage.lines_form(stage.line(), stage.line(gpus=18), action="check")
    for address in (step(draft, "lines"), reverse("proposals:proposal-check", args=[stage.call.public_id])):
        page = client.post(address, form).content.decode()
        for verdict in ("allowed", "refused", "free", "scarce"):
            assert f'data-check="{verdict}"' in page
    assert draft.lines.count() == 1


def test_whoever_may_not_begin_is_told_why(stage: Stage) -> None:
    Agreement.objects.update(state="suspended")
    answer = browser(stage.cast.owner).get(reverse("proposals:proposal-new", args=[stage.call.public_id]))
    assert answer.status_code == 403 and "has an active agreement" in answer.content.decode()


def test_no_fewer_than_asked_follows_the_number_of_gpus(stage: Stage) -> None:
    client, draft = browser(stage.cast.owner), stage.draft()
    assert client.post(step(draft, "lines"), stage.lines_form(stage.line(gpus=18, smallest_gpus=""))).status_code == 302
    again = opened(client, step(draft, "lines"))
    assert (again["lines-0-gpus"], again["lines-0-smallest_gpus"]) == (["18"], [""])
    assert client.post(step(draft, "lines"), again | {"lines-0-gpus": "4"}).status_code == 302
    assert draft.lines.get().smallest_gpus == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"lines-0-gpu_class": "b300"},
        {"lines-0-gpus": "0"},
        {"lines-0-gpus": "9" * 30},
        {"lines-0-hours": ""},
        {"lines-0-window_from": "2020-01-01"},
        {"lines-0-window_until": "2026-13-45"},
        {"lines-TOTAL_FORMS": "abc"},
        {"lines-TOTAL_FORMS": "5000"},
    ],
)
@pytest.mark.parametrize("action", ["save", "next", "check"])
def test_lines_that_cannot_be_are_answered_on_the_form(stage: Stage, changes: dict[str, Any], action: str) -> None:
    draft = stage.draft()
    answer = browser(stage.cast.owner).post(step(draft, "lines"), stage.lines_form(action=action) | changes)
    assert answer.status_code == 422
    assert draft.lines.get().gpus == 4


def test_past_the_ceiling_is_refused_at_the_end_and_everything_stays(stage: Stage) -> None:
    Agreement.objects.update(ceiling_gpu_seconds=300 * HOUR)
    draft = stage.draft()
    answer = browser(stage.cast.owner).post(step(draft, "submit"), {"action": "submit"})
    assert answer.status_code == 422
    assert "At most 300.00 GPU-hours are left." in answer.content.decode()
    assert Proposal.objects.get().state == "draft"


def test_questions_are_answered_in_the_column_of_their_kind(stage: Stage) -> None:
    kinds = {
        kind: question(stage.call, kind, choices_ko=["가", "나"], choices_en=["A", "B"])
        for kind in Question.Kind.values
    }
    draft, client = stage.draft(), browser(stage.cast.owner)
    given = {"text": JAMO, "number": "10.50", "choice": "1", "yes_no": "no"}
    form = {kinds[kind].public_id: value for kind, value in given.items()}
    assert client.post(step(draft, "questions"), form | {"action": "next"}).url == step(draft, "attachments")
    rows = {answer.question.kind: answer.value for answer in Answer.objects.select_related("question")}
    assert rows == {"text": "한글", "number": 10.5, "choice": 1, "yes_no": False}
    page = client.get(step(draft, "submit")).content.decode()
    assert '<dd dir="auto">B</dd>' in page and "10.5" in page
    client.post(step(draft, "questions"), form | {kinds["text"].public_id: ""})
    assert not draft.answers.filter(question=kinds["text"]).exists()


def test_a_required_question_is_missing_until_it_is_answered(stage: Stage) -> None:
    asked = question(stage.call, "yes_no", is_required=True)
    draft, client = stage.draft(), browser(stage.cast.owner)
    refused = client.post(step(draft, "submit"), {"action": "submit"}).content.decode()
    assert "Please answer: Question yes_no" in refused and f"{step(draft, 'questions')}#id_{asked.public_id}" in refused
    client.post(step(draft, "questions"), {asked.public_id: "yes"})
    assert client.post(step(draft, "submit"), {"action": "submit"}).status_code == 302


def test_the_cut_off_may_pass_while_a_form_is_open_and_nothing_typed_is_lost(stage: Stage) -> None:
    draft, client = stage.draft(), browser(stage.cast.owner)
    form = opened(client, step(draft, "plan"))
    Call.objects.update(closes_at=timezone.now() - timedelta(microseconds=1))
    assert client.post(step(draft, "plan"), form | {"plan": "Written at the last moment"}).status_code == 302
    refused = client.post(step(draft, "submit"), {"action": "submit"})
    page = refused.content.decode()
    assert refused.status_code == 422 and "the cut-off was" in page and "KST" in page
    draft.refresh_from_db()
    assert (draft.state, draft.plan) == ("draft", "Written at the last moment")


def test_the_clock_says_the_servers_time_and_the_cut_off_to_the_second(stage: Stage) -> None:
    Call.objects.update(closes_at=timezone.now() + timedelta(hours=3))
    page = browser(stage.cast.owner).get(step(stage.draft(), "plan")).content.decode()
    assert 'data-clock data-closes="' in page and 'data-zone="Asia/Seoul"' in page
    assert timezone.now().astimezone(timezone.get_default_timezone()).strftime("%Y-%m-%d %H:%M") in page


def test_a_return_is_answered_with_what_was_asked_and_what_differs(stage: Stage) -> None:
    proposal, client = stage.submitted(), browser(stage.cast.owner)
    decisions.return_for_changes(actor=stage.cast.officer, proposal=proposal, reason="Say which data.")
    Call.objects.update(closes_at=timezone.now() - timedelta(days=1))  # a returned one may come back
    client.post(step(proposal, "plan"), {"plan": "Train it.", "data": "Public Korean text."})
    page = client.get(step(proposal, "submit")).content.decode()
    assert "Say which data." in page and "<ins>" in page and "Korean" in page
    client.post(step(proposal, "submit"), {"reply": "The data is named now.", "action": "submit"})
    proposal.refresh_from_db()
    assert (proposal.state, proposal.version, proposal.reply) == ("submitted", 2, "")
    assert proposal.versions.first().reply == "The data is named now."
    assert "The data is named now." in browser(stage.cast.officer).get(proposal.get_absolute_url()).content.decode()


def test_a_submission_that_is_refused_keeps_the_reply(stage: Stage) -> None:
    proposal, client = stage.submitted(), browser(stage.cast.owner)
    decisions.return_for_changes(actor=stage.cast.officer, proposal=proposal, reason="More.")
    Agreement.objects.update(state="suspended")
    sent = client.post(step(proposal, "submit"), {"reply": "Kept words", "action": "submit"})
    proposal.refresh_from_db()
    assert (sent.status_code, proposal.state, proposal.reply) == (422, "returned", "Kept words")


@pytest.mark.parametrize("name", STEPS)
def test_each_page_has_its_people_and_its_queries(stage: Stage, name: str) -> None:
    question(stage.call, "text")
    draft = stage.draft()
    for who, status in (("outsider", 404), ("viewer", 403), ("teammate", 403), ("officer", 404), ("manager", 200)):
        assert browser(getattr(stage.cast, who)).get(step(draft, name)).status_code == status
    client = browser(stage.cast.owner)
    assert len(queries_of(lambda: client.get(step(draft, name)))) <= MOST_A_PAGE + (
        3 if name in ("lines", "submit") else 0
    )


def test_what_is_submitted_cannot_be_opened_for_writing(stage: Stage) -> None:
    proposal = stage.submitted()
    for name in STEPS[:4]:
        answer = browser(stage.cast.owner).get(step(proposal, name))
        assert answer.status_code == 302 and answer.url == proposal.get_absolute_url()
    assert browser(stage.cast.owner).post(step(proposal, "plan"), {"plan": "x"}).status_code == 422


def test_what_the_call_asks_is_said_before_somebody_submits(stage: Stage) -> None:
    Call.objects.update(sizes=["small"], most_proposals=0, largest_gpu_seconds=100 * HOUR)
    draft, client = stage.draft(), browser(stage.cast.owner)
    page = client.get(step(draft, "submit")).content.decode()
    assert "Company size: small enterprise" in page and "at most 100.00 GPU-hours" in page
    assert len(queries_of(lambda: client.get(step(draft, "submit")))) <= MOST_A_PAGE


def test_a_row_that_was_added_and_left_empty_is_nobody(stage: Stage) -> None:
    draft, client = stage.draft(), browser(stage.cast.owner)
    form = team_form(("Kim", "", "Lead"), ("", "", "")) | {"team-INITIAL_FORMS": 2}
    assert client.post(step(draft, "team"), form).status_code == 302
    assert draft.team.count() == 1


def test_the_bar_is_full_when_nothing_is_missing(stage: Stage) -> None:
    asked = question(stage.call, "text", is_required=True)
    draft = stage.draft(plan="", lines=[])
    assert draft_of(draft).percent == 25
    whole = stage.draft(answers=[GivenAnswer(asked.public_id, "Yes.")])
    assert draft_of(whole).percent == 100 and not draft_of(whole).gaps


@pytest.mark.parametrize(("marked", "kept"), [(True, 1), (False, 2)])
@pytest.mark.django_db(transaction=True, available_apps=[app.name for app in apps.get_app_configs()])
def test_of_two_who_save_in_the_same_moment_one_is_told(marked: bool, kept: int) -> None:
    """Without the mark, as a control, both are kept, one over the other."""
    stage = make_stage()
    draft = stage.draft()
    opened_on = seen(draft, "plan") if marked else None
    both = threading.Barrier(2)

    def save(words: str) -> bool:
        both.wait()
        try:
            sections.save_part(actor=stage.cast.owner, proposal=draft, part=Plan(words), opened=opened_on)
        except sections.Overtaken:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(save, ["Hers", "Mine"])) == kept
