"""Organisations and agreements: registering, documents, lifecycle, pages."""

import hashlib
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from common.actors import RECONCILER
from common.errors import Forbidden, InvalidTransition, RuleBroken, WrongState
from notifications.models import Notification
from partners.models import Agreement, Organisation
from partners.services import agreements
from partners.services.organisations import register_organisation
from partners.terms import following_term
from tests.factories import (
    AgreementFactory,
    Cast,
    LeaseFactory,
    MembershipFactory,
    OrganisationFactory,
    registration_number,
)
from tests.proposals.stage import browser
from tests.queries import MOST_A_PAGE, queries_of

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"


@pytest.fixture(autouse=True)
def media(tmp_path: Path, settings: Any) -> None:
    """Uploads go to a folder of the test."""
    settings.MEDIA_ROOT = tmp_path


def form(**changes: Any) -> dict[str, Any]:
    """A term that begins when the cast's own agreement is over, signed on paper today."""
    today = timezone.localdate()
    return {
        "number": "MOU-9",
        "title": "Joint work",
        "signed_on": str(today),
        "valid_from": str(today + timedelta(days=400)),
        "valid_until": str(today + timedelta(days=765)),
        "ending_rule": "own_end",
        "suspension_rule": "own_end",
        "signed_on_paper": "on",
        "agency_signatory": "A",
        "partner_signatory": "B",
        "cooperation": ["business", "data"],
        "ceiling_gpu_hours": "1500.5",
        "ceiling_concurrent_gpus": "64",
        "gpu_classes": ["h100-sxm-80"],
        "document": SimpleUploadedFile("업무협약서 최종.pdf", PDF, content_type="application/pdf"),
        **changes,
    }


def new_url(cast: Cast) -> str:
    return reverse("partners:agreement-new", args=[cast.organisation.public_id])


def test_registering_keeps_the_document_and_its_korean_name(cast: Cast) -> None:
    officer = browser(cast.officer)
    made = officer.post(new_url(cast), form())
    agreement = Agreement.objects.get(number="MOU-9")
    assert made.url == agreement.get_absolute_url()
    assert agreement.state == "draft"
    assert agreement.ceiling_gpu_seconds == 5_401_800
    assert agreement.document_sha256 == hashlib.sha256(PDF).hexdigest()
    url = reverse("partners:agreement-document", args=[agreement.public_id])
    got = browser(cast.viewer).get(url)
    assert b"".join(got.streaming_content) == PDF
    assert "업무협약서 최종.pdf" in unquote(got["Content-Disposition"])
    assert got["Content-Disposition"].startswith("attachment")
    assert got["X-Content-Type-Options"] == "nosniff"
    assert browser(cast.outsider).get(url).status_code == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"number": ""},
        {"number": "x" * 41},
        {"signed_on": "yesterday"},
        {"valid_until": "2001-01-01"},
        {"ceiling_gpu_hours": "0"},
        {"ceiling_gpu_hours": "-5"},
        {"ceiling_gpu_hours": "NaN"},
        {"ceiling_concurrent_gpus": "0"},
        {"ceiling_concurrent_gpus": "9" * 30},
        {"gpu_classes": []},
        {"gpu_classes": ["b300"]},
        {"cooperation": ["golf"]},
        {"document": SimpleUploadedFile("a.pdf", b"MZ not a pdf", content_type="application/pdf")},
        {"document": SimpleUploadedFile("a.pdf", b"", content_type="application/pdf")},
    ],
)
def test_bad_terms_come_back_on_the_form(cast: Cast, changes: dict[str, Any]) -> None:
    answer = browser(cast.officer).post(new_url(cast), form(title="Kept title") | changes)
    assert answer.status_code == 422
    assert "Kept title" in answer.content.decode()
    assert not Agreement.objects.filter(state="draft").exists()


def test_a_file_that_is_too_large_is_refused_with_the_limit(cast: Cast, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 20
    answer = browser(cast.officer).post(new_url(cast), form())
    assert answer.status_code == 422
    assert "This file is too large" in answer.content.decode()


def test_the_life_of_an_agreement(cast: Cast) -> None:
    agreement = AgreementFactory(state="draft", signed=True)
    officer = cast.officer
    MembershipFactory(organisation=agreement.organisation, user=cast.owner, role="owner")
    with pytest.raises(InvalidTransition):
        agreements.suspend(actor=officer, agreement=agreement, reason="x")
    assert agreements.activate(actor=officer, agreement=agreement).state == "active"
    with pytest.raises(RuleBroken):
        agreements.suspend(actor=officer, agreement=agreement, reason=" ")
    assert agreements.suspend(actor=officer, agreement=agreement, reason="Audit.").state == "suspended"
    assert "Audit." in Notification.objects.filter(event="agreement_suspend", recipient=cast.owner).get().body
    assert agreements.resume(actor=officer, agreement=agreement).state == "active"
    assert agreements.terminate(actor=officer, agreement=agreement, reason="Over.").state == "terminated"
    with pytest.raises(InvalidTransition):
        agreements.activate(actor=officer, agreement=agreement)
    for who in (cast.owner, cast.operator, cast.auditor):
        with pytest.raises(Forbidden):
            agreements.activate(actor=who, agreement=agreement)


def test_an_active_agreement_cannot_be_edited(cast: Cast) -> None:
    url = reverse("partners:agreement-edit", args=[cast.agreement.public_id])
    assert browser(cast.officer).get(url).status_code == 200
    answer = browser(cast.officer).post(url, form())
    assert answer.status_code == 422
    assert "Only a draft can be changed" in answer.content.decode()
    with pytest.raises(WrongState):
        agreements.edit_agreement(
            actor=cast.officer,
            agreement=cast.agreement,
            terms=agreements.AgreementTerms(
                "N", "t", timezone.localdate(), timezone.localdate(), timezone.localdate(), "a", "b", [], 1, 1, ["x"]
            ),
        )


def test_agreements_lapse_when_their_last_day_is_over(cast: Cast) -> None:
    assert agreements.lapse_due(actor=RECONCILER, today=cast.agreement.valid_until) == 0
    assert agreements.lapse_due(actor=RECONCILER, today=cast.agreement.valid_until + timedelta(days=1)) >= 1
    cast.agreement.refresh_from_db()
    assert cast.agreement.state == "lapsed"


@pytest.mark.parametrize("number", ["", "123", "abc-de-fghij", "123-45-67890", "1" * 40])
def test_a_bad_registration_number_comes_back_on_the_form(cast: Cast, number: str) -> None:
    data = {"name_ko": "새 회사", "name_en": "New", "registration_number": number}
    answer = browser(cast.officer).post(reverse("partners:organisation-new"), data)
    assert answer.status_code == 422
    assert "새 회사" in answer.content.decode()


def test_an_organisation_is_registered_once(cast: Cast) -> None:
    number = registration_number(777_777)
    made = register_organisation(actor=cast.officer, name_ko="가", name_en="A", registration_number=number)
    assert Organisation.objects.get(registration_number=number) == made
    with pytest.raises(RuleBroken) as caught:
        register_organisation(actor=cast.officer, name_ko="나", name_en="B", registration_number=number)
    assert caught.value.code == "duplicate_registration_number"
    with pytest.raises(Forbidden):
        register_organisation(actor=cast.owner, name_ko="다", name_en="C", registration_number=number)


def test_outsiders_find_nothing(cast: Cast) -> None:
    outsider = browser(cast.outsider)
    for page in (cast.organisation.get_absolute_url(), cast.agreement.get_absolute_url(), new_url(cast)):
        assert outsider.get(page).status_code == 404
    assert outsider.get(reverse("partners:organisation-new")).status_code == 404
    assert browser(cast.owner).get(new_url(cast)).status_code == 403
    for verb in ("suspend", "terminate"):
        page = reverse(f"partners:agreement-{verb}", args=[cast.agreement.public_id])
        assert outsider.get(page).status_code == 404
        assert browser(cast.owner).get(page).status_code == 403
    api = APIClient()
    api.force_authenticate(cast.outsider)
    for address in (f"organisations/{cast.organisation.public_id}/", f"agreements/{cast.agreement.public_id}/"):
        assert api.get(f"/api/v1/{address}").status_code == 404


def test_the_agreement_page_shows_ceilings_and_fields_of_cooperation(cast: Cast) -> None:
    page = browser(cast.viewer).get(cast.agreement.get_absolute_url()).content.decode()
    for words in (cast.agreement.number, "1,000,000.00", "512", "collecting and using AI data"):
        assert words in page


def test_the_api_registers_and_refuses(cast: Cast) -> None:
    officer, owner = APIClient(), APIClient()
    officer.force_authenticate(cast.officer)
    owner.force_authenticate(cast.owner)
    terms = {
        name: value
        for name, value in form().items()
        if name not in ("document", "ceiling_gpu_hours", "signed_on_paper")
    }
    terms |= {"organisation": cast.organisation.public_id, "ceiling_gpu_seconds": 3600}
    made = officer.post("/api/v1/agreements/", terms, format="json")
    assert made.status_code == 201, made.content
    one = f"/api/v1/agreements/{made.data['id']}/"
    assert owner.post(one + "activate/").status_code == 403
    upload = {"document": SimpleUploadedFile("a.pdf", PDF, content_type="application/pdf"), "signed_on_paper": "true"}
    assert officer.post(one + "document/", upload, format="multipart").status_code == 200
    assert officer.post(one + "activate/").data["state"] == "active"
    assert officer.post(one + "activate/").status_code == 409
    assert officer.post("/api/v1/agreements/", terms, format="json").status_code == 422
    assert owner.post("/api/v1/agreements/", terms | {"number": "Z"}, format="json").status_code == 403
    invite = f"/api/v1/organisations/{cast.organisation.public_id}/invite/"
    assert owner.post(invite, {"email": "n@x.test", "role": "member"}, format="json").status_code == 201
    assert owner.post(invite, {"email": "n@x.test", "role": "member"}, format="json").status_code == 422


def test_pages_cost_the_same_with_one_row_and_with_fifty(cast: Cast) -> None:
    officer = browser(cast.officer)
    lists = [reverse("partners:organisations"), reverse("partners:agreements")]
    before = [len(queries_of(lambda a=address: officer.get(a))) for address in lists]
    for _number in range(49):
        AgreementFactory(organisation=OrganisationFactory())
    assert [len(queries_of(lambda a=address: officer.get(a))) for address in lists] == before
    assert max(before) <= MOST_A_PAGE
    for page in (cast.organisation.get_absolute_url(), cast.agreement.get_absolute_url()):
        for who in (cast.officer, cast.owner):
            client = browser(who)
            statements = queries_of(lambda c=client, p=page: c.get(p))
            assert len(statements) <= MOST_A_PAGE, "\n".join(statements)


def test_uploads_are_under_no_web_root() -> None:
    assert not settings.MEDIA_URL.strip("/")


def test_why_an_agreement_stands_still_is_told_where_its_people_look(cast: Cast) -> None:
    agreement = agreements.suspend(actor=cast.officer, agreement=cast.agreement, reason="Report of May is missing.")
    owner = browser(cast.owner)
    home = owner.get(reverse("home")).content.decode()
    assert agreement.state_reason in home and "No agreement is in force" not in home
    assert agreement.state_reason in owner.get(agreement.get_absolute_url()).content.decode()
    agreement = agreements.resume(actor=cast.officer, agreement=agreement)
    assert agreement.state_reason == ""
    assert "Suspended since" not in owner.get(reverse("home")).content.decode()


@pytest.mark.parametrize(
    ("begun", "ends", "first", "last"),
    [
        (date(2026, 1, 1), date(2027, 12, 31), date(2028, 1, 1), date(2029, 12, 31)),
        (date(2026, 3, 1), date(2027, 2, 28), date(2027, 3, 1), date(2028, 2, 29)),
        (date(2026, 1, 15), date(2026, 1, 31), date(2026, 2, 1), date(2026, 2, 17)),
        (date(2024, 2, 29), date(2028, 2, 28), date(2028, 2, 29), date(2032, 2, 28)),
    ],
)
def test_a_term_is_continued_for_as_long_again(begun: date, ends: date, first: date, last: date) -> None:
    assert following_term(Agreement(valid_from=begun, valid_until=ends)) == (first, last)


def test_a_coming_reservation_says_that_it_does_not_begin_while_the_agreement_is_suspended(cast: Cast) -> None:
    lease = LeaseFactory(allocation__project=cast.project)
    agreement = agreements.suspend(actor=cast.officer, agreement=cast.project.agreement, reason="Report missing.")
    owner = browser(cast.owner)
    page = owner.get(lease.get_absolute_url()).content.decode()
    assert "falls away" in page and agreement.state_reason in page
    page = owner.get(lease.allocation.get_absolute_url()).content.decode()
    assert agreement.state_reason in page and reverse("allocations:book", args=[lease.allocation.public_id]) not in page
