"""No agreement is in force without its signed document: page and API say so and say what to do."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from audit.models import AuditEvent
from common.errors import Forbidden, RuleBroken, WrongState
from partners.models import Agreement
from partners.services import agreements
from tests.factories import AgreementFactory, Cast
from tests.partners.test_agreements import PDF, form
from tests.proposals.stage import browser

RULE = "An agreement comes into force only with its signed document"
REMEDY = "Upload the agreement as a PDF"


@pytest.fixture(autouse=True)
def media(tmp_path: Path, settings: Any) -> None:
    """Uploads go to a folder of the test."""
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def draft(cast: Cast) -> Agreement:
    term = {
        "valid_from": timezone.localdate() + timedelta(days=400),
        "valid_until": timezone.localdate() + timedelta(days=500),
    }
    agreement: Agreement = AgreementFactory(
        organisation=cast.organisation, state="draft", document="", document_name="", document_sha256="", **term
    )
    return agreement


def pdf(content: bytes = PDF) -> SimpleUploadedFile:
    return SimpleUploadedFile("업무협약서.pdf", content, content_type="application/pdf")


def api_of(user: Any) -> APIClient:
    api = APIClient()
    api.force_authenticate(user)
    return api


def url(draft: Agreement, verb: str) -> str:
    return f"/api/v1/agreements/{draft.public_id}/{verb}/"


def test_the_page_refuses_names_the_rule_and_the_remedy(cast: Cast, draft: Agreement) -> None:
    officer = browser(cast.officer)
    answer = officer.post(reverse("partners:agreement-activate", args=[draft.public_id]), follow=True)
    said = answer.content.decode()
    assert RULE in said and REMEDY in said
    draft.refresh_from_db()
    assert draft.state == "draft"
    assert not AuditEvent.objects.filter(verb="agreement.activate").exists()
    assert "only when both sides have signed its PDF" in officer.get(draft.get_absolute_url()).content.decode()


def test_the_api_refuses_names_the_rule_and_the_remedy(cast: Cast, draft: Agreement) -> None:
    refused = api_of(cast.officer).post(url(draft, "activate"), headers={"accept-language": "en"})
    assert refused.status_code == 422
    assert (refused.data["code"], refused.data["field"]) == ("document_missing", "document")
    assert RULE in refused.data["title"] and REMEDY in refused.data["detail"]


def test_with_the_document_on_the_page_it_is_activated(cast: Cast, draft: Agreement) -> None:
    officer = browser(cast.officer)
    edit = reverse("partners:agreement-edit", args=[draft.public_id])
    assert officer.post(edit, form(number=draft.number)).status_code == 302
    officer.post(reverse("partners:agreement-activate", args=[draft.public_id]))
    draft.refresh_from_db()
    assert draft.state == "active"


def test_with_the_document_through_the_api_it_is_activated(cast: Cast, draft: Agreement) -> None:
    officer = api_of(cast.officer)
    upload = {"document": pdf(), "signed_on_paper": "true"}
    sent = officer.post(url(draft, "document"), upload, format="multipart")
    assert sent.data["document_sha256"] == hashlib.sha256(PDF).hexdigest()
    assert sent.data["document_name"] == "업무협약서.pdf"
    assert AuditEvent.objects.get(verb="agreement.attach_document").changes["document_name"] == "업무협약서.pdf"
    assert officer.post(url(draft, "activate")).data["state"] == "active"
    late = officer.post(url(draft, "document"), {"document": pdf()}, format="multipart")
    assert late.status_code == 409  # what was signed stays


@pytest.mark.parametrize("content", [b"", b"MZ not a pdf", b" %PDF-1.7"])
def test_what_is_no_pdf_is_refused(cast: Cast, draft: Agreement, content: bytes) -> None:
    refused = api_of(cast.officer).post(url(draft, "document"), {"document": pdf(content)}, format="multipart")
    assert (refused.status_code, refused.data["code"]) == (422, "not_a_pdf")
    draft.refresh_from_db()
    assert not draft.document


@pytest.mark.parametrize("body", [{}, {"document": "a text"}, {"other": "x"}])
def test_a_body_without_a_file_is_a_400(cast: Cast, draft: Agreement, body: dict[str, str]) -> None:
    assert api_of(cast.officer).post(url(draft, "document"), body, format="multipart").status_code == 400
    assert api_of(cast.officer).post(url(draft, "document"), body, format="json").status_code == 415


def test_a_file_that_is_too_large_is_refused(cast: Cast, draft: Agreement, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 20
    refused = api_of(cast.officer).post(url(draft, "document"), {"document": pdf()}, format="multipart")
    assert refused.data["code"] == "file_too_large"


def test_only_officers_put_documents_and_outsiders_find_nothing(cast: Cast, draft: Agreement) -> None:
    for who, status in ((cast.owner, 403), (cast.operator, 403), (cast.outsider, 404)):
        answer = api_of(who).post(url(draft, "document"), {"document": pdf()}, format="multipart")
        assert answer.status_code == status
    with pytest.raises(Forbidden):
        agreements.attach_document(actor=cast.auditor, agreement=draft, document=pdf())
    with pytest.raises(WrongState):
        agreements.attach_document(actor=cast.officer, agreement=cast.agreement, document=pdf())


def test_a_wrong_state_is_said_before_a_missing_document(cast: Cast, draft: Agreement) -> None:
    Agreement.objects.filter(pk=draft.pk).update(state="terminated")
    assert api_of(cast.officer).post(url(draft, "activate")).status_code == 409
    Agreement.objects.filter(pk=draft.pk).update(state="suspended")  # an old row without a document may come back
    assert agreements.resume(actor=cast.officer, agreement=draft).state == "active"


def test_the_rule_holds_for_the_service_itself(cast: Cast, draft: Agreement) -> None:
    with pytest.raises(RuleBroken) as caught:
        agreements.activate(actor=cast.officer, agreement=draft)
    assert caught.value.facts["rule"] == "document"
