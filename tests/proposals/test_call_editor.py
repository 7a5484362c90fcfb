"""A call from its first words to its publication, its copy and its end; two officers at once."""

import io
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone, translation
from rest_framework.test import APIClient

from audit.models import AuditEvent
from common.errors import DomainError, RuleBroken, WrongState
from common.overtaken import SavedMeanwhile
from proposals.models import Call, CallDocument
from proposals.services import call_documents, calls
from proposals.services.calls import create_call, edit_call, publish_call, terms_of
from proposals.terms import SECTIONS, CriterionTerms, DateTerms, Offer, QuestionTerms, StepTerms, mark_of
from tests.html import Reading
from tests.proposals.stage import Stage, browser
from tests.queries import MOST_A_PAGE, queries_of


def page_of(call: Call, name: str) -> str:
    return reverse(f"proposals:{name}", args=[call.public_id])


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Refusals of services in the source's own words."""
    with translation.override("en"):
        yield


@pytest.fixture
def draft(stage: Stage) -> Call:
    """A draft that says everything."""
    call = create_call(actor=stage.cast.officer, title_ko="2027년 1차 공모", title_en="First round of 2027")
    closes = timezone.now() + timedelta(days=30)
    changes: dict[str, Any] = {
        "text_ko": "지원합니다.",
        "text_en": "We support.",
        "closes_at": closes,
        "offers": (Offer(stage.pool, 1_000 * 3600),),
        "criteria": (CriterionTerms("독창성", "Novelty", weight=2), CriterionTerms("필요성", "Need")),
        "questions": (QuestionTerms("종류", "Kind", "choice", choices_ko=("가", "나"), choices_en=("a", "b")),),
        "steps": (
            StepTerms("formal", stage.cast.officer, closes + timedelta(days=3)),
            StepTerms("expert", None, closes + timedelta(days=9)),
        ),
        "dates": (DateTerms((closes + timedelta(days=20)).date(), "발표", "Results"),),
        "sizes": ("micro", "small"),
        "held_back_percent": 50,
    }
    return edit_call(actor=stage.cast.officer, call=call, changes=changes)


def test_a_draft_is_begun_filled_and_published_on_the_pages(stage: Stage) -> None:
    officer = browser(stage.cast.officer)
    begun = officer.post(reverse("proposals:call-new"), {"title_ko": "새 공모", "title_en": "New call"})
    call = Call.objects.get(title_en="New call")
    assert begun.status_code == 302 and begun.url == page_of(call, "call-edit")
    refused = officer.post(page_of(call, "call-publish"), {"at": ""})
    assert refused.status_code == 422
    for lacking in ("Korean is missing", "English is missing", "offers no pool"):
        assert lacking in refused.content.decode()
    texts = {
        "title_ko": "새 공모",
        "title_en": "New call",
        "text_ko": "가",
        "text_en": "A",
        "contact": "ai@example.test",
    }
    assert officer.post(page_of(call, "call-edit"), texts).status_code == 302
    pools = {f"pool_{stage.pool.public_id}": "on", f"budget_{stage.pool.public_id}": "12.5"}
    assert officer.post(page_of(call, "call-pools"), pools).status_code == 302
    assert call.offers.get().budget_gpu_seconds == 45_000
    assert browser(stage.cast.owner).get(call.get_absolute_url()).status_code == 404
    assert officer.get(page_of(call, "call-preview")).status_code == 200
    assert officer.post(page_of(call, "call-publish"), {"at": ""}).status_code == 302
    assert browser(stage.cast.owner).get(call.get_absolute_url()).status_code == 200
    assert officer.post(page_of(call, "call-publish"), {"at": ""}).status_code == 422


def test_rows_are_added_ordered_and_taken_away_without_scripts(stage: Stage, draft: Call) -> None:
    officer, page = browser(stage.cast.officer), page_of(draft, "call-criteria")
    sent = next(form for form in Reading(officer.get(page).content.decode()).forms if form.method == "post").filled()
    sent |= {"criteria-0-DELETE": ["on"], "criteria-1-ORDER": ["9"]}
    sent |= {"criteria-2-label_ko": ["실적"], "criteria-2-label_en": ["Record"], "criteria-2-ORDER": ["1"]}
    assert officer.post(page, sent).status_code == 302
    assert [row.label_en for row in draft.criteria.all()] == ["Record", "Need"]
    sent = next(form for form in Reading(officer.get(page).content.decode()).forms if form.method == "post").filled()
    refused = officer.post(page, sent | {"criteria-0-weight": ["0"]})
    assert refused.status_code == 422 and "Record" in refused.content.decode()


def test_a_refusal_of_a_row_stands_on_its_field(stage: Stage, draft: Call) -> None:
    officer, page = browser(stage.cast.officer), page_of(draft, "call-questions")
    sent = next(form for form in Reading(officer.get(page).content.decode()).forms if form.method == "post").filled()
    refused = officer.post(page, sent | {"questions-0-choices_en": ["only one"]})
    assert refused.status_code == 422
    assert "A choice needs two to 50 different answers" in refused.content.decode()
    assert "only one" in refused.content.decode()


def test_two_officers_at_once_lose_nothing(stage: Stage, draft: Call) -> None:
    mine, page = browser(stage.cast.officer), page_of(draft, "call-edit")
    opened = next(form for form in Reading(mine.get(page).content.decode()).forms if form.method == "post").filled()
    edit_call(actor=stage.cast.administrator, call=draft, changes={"text_en": "Their words."})
    edit_call(
        actor=stage.cast.administrator, call=draft, changes={"most_years": 7}
    )  # another page: no business of mine
    refused = mine.post(page, opened | {"text_en": ["My words."], "title_en": ["My title"]})
    body = refused.content.decode()
    assert refused.status_code == 422 and "Somebody else saved this" in body
    assert "Their words." in body and "My words." in body and "My title" in body
    draft.refresh_from_db()
    assert draft.text_en == "Their words."
    again = next(form for form in Reading(body).forms if form.method == "post").filled()
    assert mine.post(page, again).status_code == 302  # compared, and meant
    draft.refresh_from_db()
    assert (draft.text_en, draft.title_en, draft.most_years) == ("My words.", "My title", 7)


def test_the_api_refuses_a_stale_version_and_says_what_differs(stage: Stage, draft: Call) -> None:
    api = APIClient()
    api.force_authenticate(stage.cast.officer)
    url = f"/api/v1/calls/{draft.public_id}/"
    version = api.get(f"{url}terms/").data["version"]
    assert api.patch(url, {"version": version, "most_years": 7}, format="json").status_code == 200
    stale = api.patch(url, {"version": version, "most_years": 3}, format="json")
    assert (stale.status_code, stale.data["code"]) == (409, "overtaken")
    assert [row["field"] for row in stale.data["facts"]["differences"]] == ["most_years"]
    api.force_authenticate(stage.cast.owner)
    assert api.get(f"{url}terms/").status_code == 404


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({"criteria": ()}, "it has no criteria"),
        ({"steps": (StepTerms("expert"),)}, "has no deadline"),
        ({"text_ko": ""}, "Korean is missing"),
        ({"offers": ()}, "offers no pool"),
    ],
)
def test_what_is_missing_keeps_a_call_from_its_publication(
    stage: Stage, draft: Call, changes: dict[str, Any], lacking: str
) -> None:
    edit_call(actor=stage.cast.officer, call=draft, changes=changes)
    with pytest.raises(RuleBroken) as caught:
        publish_call(actor=stage.cast.officer, call=draft)
    assert caught.value.code == "call_incomplete" and lacking in str(caught.value)


def test_deadlines_follow_the_cut_off_and_each_other(stage: Stage, draft: Call) -> None:
    assert draft.closes_at
    early = (StepTerms("expert", None, draft.closes_at - timedelta(days=1)),)
    edit_call(actor=stage.cast.officer, call=draft, changes={"steps": early})
    with pytest.raises(RuleBroken, match="deadline of the step"):
        publish_call(actor=stage.cast.officer, call=draft)
    late, later = draft.closes_at + timedelta(days=1), draft.closes_at + timedelta(days=2)
    with pytest.raises(RuleBroken) as caught:
        steps = (StepTerms("formal", None, later), StepTerms("expert", None, late))
        edit_call(actor=stage.cast.officer, call=draft, changes={"steps": steps})
    assert caught.value.field == "steps.expert.due_at"


def test_an_announced_call_may_be_moved_and_nobody_sees_it_before(stage: Stage, draft: Call) -> None:
    at = timezone.now() + timedelta(days=2)
    assert publish_call(actor=stage.cast.officer, call=draft, at=at).stage == "announced"
    assert publish_call(actor=stage.cast.officer, call=draft, at=at + timedelta(days=1)).stage == "announced"
    assert browser(stage.cast.owner).get(draft.get_absolute_url()).status_code == 404
    with pytest.raises(RuleBroken, match="is not complete"):  # it stays complete
        edit_call(actor=stage.cast.officer, call=draft, changes={"text_en": ""})
    with pytest.raises(RuleBroken, match="in the past"):
        publish_call(actor=stage.cast.officer, call=draft, at=timezone.now() - timedelta(days=1))


def test_a_copy_says_everything_but_the_dates(stage: Stage, draft: Call) -> None:
    draft.documents.create(file="calls/terms.pdf", name="약관.pdf", sha256="0" * 64)
    sent = browser(stage.cast.officer).post(page_of(draft, "call-copy"))
    made = Call.objects.get(previous=draft)
    assert sent.url == page_of(made, "call-dates")
    said, before = terms_of(made), terms_of(draft)
    for name in set(vars(said)) - {"closes_at", "dates", "steps"}:
        assert getattr(said, name) == getattr(before, name), name
    assert (said.closes_at, said.dates, made.stage) == (None, (), "draft")
    assert said.steps == (StepTerms("formal", stage.cast.officer), StepTerms("expert"))
    assert made.documents.get().name == "약관.pdf"


def test_only_a_draft_is_cancelled(stage: Stage, draft: Call) -> None:
    officer = browser(stage.cast.officer)
    assert officer.post(page_of(draft, "call-cancel"), {"reason": "no budget"}).status_code == 302
    draft.refresh_from_db()
    assert draft.stage == "cancelled"
    again = officer.get(page_of(draft, "call-cancel"), follow=True)
    assert again.redirect_chain == [(draft.get_absolute_url(), 302)] and b"no budget" in again.content
    for verb in (
        lambda: publish_call(actor=stage.cast.officer, call=draft),
        lambda: edit_call(actor=stage.cast.officer, call=draft, changes={"title_en": "x"}),
        lambda: calls.cancel_call(actor=stage.cast.officer, call=draft),
        lambda: calls.cancel_call(actor=stage.cast.officer, call=stage.call),
    ):
        with pytest.raises(WrongState):
            verb()


def test_documents_are_looked_at_kept_and_shared_by_copies(
    stage: Stage, draft: Call, settings: Any, tmp_path: Any
) -> None:
    settings.MEDIA_ROOT = tmp_path
    officer, page = browser(stage.cast.officer), page_of(draft, "call-documents")
    pdf = SimpleUploadedFile("공고문.pdf", b"%PDF-1.7 ...")
    assert officer.post(page, {"document": pdf}).status_code == 302
    for name, body in (("x.pdf", b"MZ..."), ("x.exe", b"%PDF-1.7"), ("x.docx", b"%PDF-1.7")):
        refused = officer.post(page, {"document": SimpleUploadedFile(name, body)})
        assert refused.status_code == 422 and "not a document" in refused.content.decode(), name
    zeros = io.BytesIO()
    with zipfile.ZipFile(zeros, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"\x00" * 160 * 1024 * 1024)
    for body, why in ((zeros.getvalue(), "too large when it is opened"), (b"PK\x03\x04" + b"\xff" * 99, "damaged")):
        refused = officer.post(page, {"document": SimpleUploadedFile("x.zip", body)})
        assert refused.status_code == 422 and why in refused.content.decode()
    document = draft.documents.get()
    address = reverse("proposals:call-document", args=[draft.public_id, document.public_id])
    assert officer.get(address).status_code == 200 and browser(stage.cast.owner).get(address).status_code == 404
    copy = calls.copy_call(actor=stage.cast.officer, call=draft)
    assert (
        officer.post(reverse("proposals:call-document-remove", args=[draft.public_id, document.public_id])).status_code
        == 302
    )
    assert not draft.documents.exists() and CallDocument.objects.get(call=copy).file.read() == b"%PDF-1.7 ..."


def test_documents_of_an_open_call_stand(stage: Stage, settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    made = call_documents.add_document(
        actor=stage.cast.officer, call=stage.call, upload=SimpleUploadedFile("a.pdf", b"%PDF-1.7")
    )
    with pytest.raises(WrongState):
        call_documents.remove_document(actor=stage.cast.officer, call=stage.call, document=made)


def test_the_api_writes_publishes_copies_and_cancels(stage: Stage) -> None:
    api = APIClient()
    api.force_authenticate(stage.cast.officer)
    made = api.post("/api/v1/calls/", {"title_ko": "새 공모", "title_en": "New"}, format="json")
    url = f"/api/v1/calls/{made.data['id']}/"
    body = {
        "text_ko": "가",
        "text_en": "A",
        "offers": [{"pool": stage.pool.public_id, "budget_gpu_seconds": 3600}],
        "criteria": [{"label_ko": "독창성", "label_en": "Novelty"}],
        "questions": [{"label_ko": "국가", "label_en": "Country", "kind": "text", "is_required": True}],
        "steps": [{"kind": "expert", "owner": stage.cast.officer.public_id}],
        "sizes": ["small", "micro"],
    }
    assert api.patch(url, body, format="json").status_code == 200
    terms = api.get(f"{url}terms/").data
    assert terms["offers"] == [{"pool": stage.pool.public_id, "budget_gpu_seconds": 3600}]
    assert terms["steps"][0]["owner"] == stage.cast.officer.public_id and terms["stage"] == "draft"
    assert api.post(f"{url}publish/").data["is_open"] is True
    copied = api.post(f"{url}copy/")
    assert copied.status_code == 201 and copied.data["published_at"] is None
    assert api.post(f"/api/v1/calls/{copied.data['id']}/cancel/", {"reason": "x"}, format="json").status_code == 200
    assert api.post(f"{url}cancel/", {"reason": "x"}, format="json").status_code == 409
    assert AuditEvent.objects.filter(verb__in=("call.create", "call.publish", "call.copy", "call.cancel")).count() == 4


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"smallest_gpu_seconds": 7200, "largest_gpu_seconds": 3600}, "largest_gpu_hours"),
        ({"fast_lane": "automatic"}, "fast_lane_gpu_hours"),
        ({"held_back_percent": 91}, "held_back_percent"),
        ({"most_years": 0}, "most_years"),
        ({"sizes": ("huge",)}, "sizes"),
        ({"criteria": (CriterionTerms("x", " "),)}, "criteria.0.label_en"),
        ({"criteria": (CriterionTerms("x", "y", weight=0),)}, "criteria.0.weight"),
        ({"questions": (QuestionTerms("x", "y", "rune"),)}, "questions.0.kind"),
        ({"steps": (StepTerms("panel"), StepTerms("panel"))}, "steps"),
        ({"title_ko": "가" * 10_000}, "title_ko"),
    ],
)
def test_the_service_refuses_what_contradicts_itself(stage: Stage, draft: Call, changes: Any, field: str) -> None:
    with pytest.raises(DomainError) as caught:
        edit_call(actor=stage.cast.officer, call=draft, changes=changes)
    assert caught.value.field == field


def test_jamo_are_composed_and_marks_follow_the_words(stage: Stage, draft: Call) -> None:
    mark = mark_of(terms_of(draft), SECTIONS["texts"])
    jamo = "\u1100\u1161"  # 가, as macOS sends it
    changed = edit_call(actor=stage.cast.officer, call=draft, changes={"title_ko": f"  {jamo}  공모"}, opened_on="")
    assert changed.title_ko == "가 공모"
    with pytest.raises(SavedMeanwhile):
        edit_call(
            actor=stage.cast.officer,
            call=draft,
            changes={"title_en": "x"},
            opened_on=mark,
            opened_parts=SECTIONS["texts"],
        )


@pytest.mark.parametrize(
    "name", ["call-edit", "call-who", "call-pools", "call-criteria", "call-steps", "call-documents"]
)
def test_pages_of_the_editor_ask_little(stage: Stage, draft: Call, name: str) -> None:
    officer, page = browser(stage.cast.officer), page_of(draft, name)
    assert len(queries_of(lambda: officer.get(page))) <= MOST_A_PAGE


def test_the_fields_of_a_step_stand_together_under_its_name(stage: Stage) -> None:
    draft = calls.create_call(actor=stage.cast.officer, title_ko="새 공모", title_en="New")
    page = browser(stage.cast.officer).get(reverse("proposals:call-steps", args=[draft.public_id])).content.decode()
    groups = {each.partition("</legend>")[0].rpartition(">")[2]: each for each in page.split("<fieldset")[1:]}
    for label, kind in (("formal check", "formal"), ("expert review", "expert")):
        assert all(f'name="{kind}_{field}' in groups[label] for field in ("on", "owner", "due_at"))
    assert 'name="blind"' in groups["Reviews and decisions"]
