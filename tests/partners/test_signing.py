"""Two sides sign the same bytes, and nothing comes into force before."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, yield_hotp_counters_from_time
from allauth.mfa.utils import decrypt
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation
from rest_framework.test import APIClient

from accounts.models import User
from audit.models import AuditEvent
from common.errors import Forbidden, RuleBroken, WrongState
from notifications.models import Notification
from partners.models import Agreement, AgreementSignature
from partners.services import agreements, signing
from partners.terms import terms_of
from tests.factories import AgreementFactory, Cast, MembershipFactory, UserFactory, enable_mfa, grant_role
from tests.factories.accounts import PASSWORD
from tests.partners.test_agreements import PDF, form
from tests.proposals.stage import browser

OTHER = PDF + b"% another\n"


@pytest.fixture(autouse=True)
def media(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    cache.clear()


@pytest.fixture
def draft(cast: Cast) -> Agreement:
    """A draft with a document, of the cast's organisation, after its present agreement."""
    enable_mfa(cast.owner)
    day = timezone.localdate() + timedelta(days=400)
    made: Agreement = AgreementFactory(
        organisation=cast.organisation,
        state="draft",
        signed_on=None,
        valid_from=day,
        valid_until=day + timedelta(days=100),
        document="",
        gpu_classes=["h100-sxm-80"],
    )
    return agreements.attach_document(actor=cast.officer, agreement=made, document=pdf())


def pdf(content: bytes = PDF) -> SimpleUploadedFile:
    return SimpleUploadedFile("협약서.pdf", content, content_type="application/pdf")


def code_of(user: User, period: int = 1) -> str:
    """What the person's app shows now; `period` 2: what it will show next."""
    secret = decrypt(Authenticator.objects.get(user=user, type="totp").data["secret"])
    return format_hotp_value(hotp_value(secret, list(yield_hotp_counters_from_time())[period]))


def click(user: User, paper: Any, **changes: str) -> Any:
    said = {"sha256": paper.document_sha256, "code": code_of(user), **changes}
    return signing.sign(actor=user, paper=paper, **said)


def refused(expected: str, call: Any, *args: Any, **kwargs: Any) -> Any:
    with pytest.raises((RuleBroken, WrongState)) as caught:
        call(*args, **kwargs)
    assert caught.value.code == expected, str(caught.value)
    return caught.value


def test_it_comes_into_force_only_when_both_sides_have_signed(cast: Cast, draft: Agreement) -> None:
    missing = refused("not_signed", agreements.activate, actor=cast.officer, agreement=draft)
    assert missing.facts["missing"] == ["agency", "partner"]
    click(cast.owner, draft)
    assert refused("not_signed", agreements.activate, actor=cast.officer, agreement=draft).facts["missing"] == [
        "agency"
    ]
    click(cast.officer, draft)
    active = agreements.activate(actor=cast.officer, agreement=draft)
    assert (active.state, active.signed_on) == ("active", timezone.localdate())
    rows = {row.side: row for row in draft.signatures.all()}
    assert {row.document_sha256 for row in rows.values()} == {hashlib.sha256(PDF).hexdigest()}
    assert (rows["partner"].signatory, rows["partner"].recorded_by) == (cast.owner.name, cast.owner)
    event = AuditEvent.objects.filter(verb="agreement.sign").first()
    assert event and event.changes["factor"] == "totp"
    assert Notification.objects.filter(event="agreement_signed", recipient=cast.officer).exists()


def test_only_an_owner_and_an_officer_sign_and_each_for_their_own_side(cast: Cast, draft: Agreement) -> None:
    for who in (cast.manager, cast.operator, cast.outsider):
        with pytest.raises(Forbidden):
            signing.sign(actor=who, paper=draft, sha256=draft.document_sha256, code="000000")
    second = UserFactory()
    MembershipFactory(organisation=cast.organisation, user=second, role="owner")
    enable_mfa(second)
    click(cast.owner, draft)
    refused("signed_already", click, second, draft)
    with pytest.raises(IntegrityError), transaction.atomic():
        AgreementSignature.objects.create(
            agreement=draft, side="partner", method="click", signatory="x", signed_on=timezone.localdate()
        )


def test_the_second_factor_is_asked_for_once_more(cast: Cast, draft: Agreement) -> None:
    refused("wrong_code", click, cast.owner, draft, code="123")
    code = code_of(cast.owner)
    assert TOTP(Authenticator.objects.get(user=cast.owner, type="totp")).validate_code(code)
    refused("wrong_code", click, cast.owner, draft, code=code)  # used for signing in a moment ago
    recovery = RecoveryCodes.activate(cast.owner).get_unused_codes()[0]
    click(cast.owner, draft, code=recovery)
    bare = UserFactory()
    MembershipFactory(organisation=cast.organisation, user=bare, role="owner")
    refused("no_second_factor", signing.sign, actor=bare, paper=draft, sha256=draft.document_sha256, code="1")


def test_a_code_signs_once_for_as_long_as_it_is_taken(cast: Cast, draft: Agreement) -> None:
    code = code_of(cast.officer)
    click(cast.officer, draft, code=code)
    draft = agreements.attach_document(actor=cast.officer, agreement=draft, document=pdf(OTHER))
    cache.clear()  # after half a minute allauth remembers it no more
    refused("wrong_code", click, cast.officer, draft, code=f"{code[:3]}-{code[3:]}")
    click(cast.officer, draft, code=code_of(cast.officer, 2))


def test_a_code_that_signed_in_signs_nothing_and_signs_in_once(cast: Cast, draft: Agreement) -> None:
    code = code_of(cast.officer)

    def sign_in() -> int:
        client = Client()
        client.post(reverse("account_login"), {"login": cast.officer.email, "password": PASSWORD})
        cache.clear()  # allauth's own memory of half a minute
        return client.post(reverse("mfa_authenticate"), {"code": code}).status_code

    assert sign_in() == 302
    assert sign_in() == 200  # the form again
    refused("wrong_code", click, cast.officer, draft, code=code)


def test_guessing_codes_ends_after_five(cast: Cast, draft: Agreement) -> None:
    for _turn in range(5):
        refused("wrong_code", click, cast.owner, draft, code="1")
    refused("too_many_codes", click, cast.owner, draft)


def test_what_was_not_shown_is_not_signed(cast: Cast, draft: Agreement) -> None:
    old = draft.document_sha256
    click(cast.officer, draft)
    draft = agreements.attach_document(actor=cast.officer, agreement=draft, document=pdf(OTHER))
    assert not signing.live_signatures(draft).exists()  # nobody has signed these bytes
    refused("document_changed", click, cast.owner, draft, sha256=old)
    Path(draft.document.path).write_bytes(PDF)  # somebody changes the file behind the portal's back
    cache.clear()
    refused("document_changed", click, cast.owner, draft)


def test_a_change_of_the_terms_makes_signatures_void(cast: Cast, draft: Agreement) -> None:
    click(cast.owner, draft)
    same = terms_of(draft)
    agreements.edit_agreement(actor=cast.officer, agreement=draft, terms=same)
    assert signing.live_signatures(draft).count() == 1
    other = agreements.AgreementTerms(**{**same.as_dict(), "ceiling_concurrent_gpus": 1})
    agreements.edit_agreement(actor=cast.officer, agreement=draft, terms=other)
    assert not signing.live_signatures(draft).exists()
    assert draft.signatures.get().voided_at is not None  # kept, and counted no more


def test_signatures_on_paper_are_recorded_by_officers(cast: Cast, draft: Agreement) -> None:
    today = timezone.localdate()
    ask: dict[str, Any] = {"paper": draft, "sides": ("agency",), "signed_on": today, "signatories": {"agency": "Kim"}}
    with pytest.raises(Forbidden):
        signing.sign_on_paper(actor=cast.owner, **ask)
    refused("signed_in_future", signing.sign_on_paper, actor=cast.officer, **ask | {"signed_on": today + timedelta(1)})
    refused("signatory_missing", signing.sign_on_paper, actor=cast.officer, **ask | {"signatories": {}})
    signing.sign_on_paper(actor=cast.officer, **ask)
    assert signing.live_signatures(draft).get().method == "paper"
    active = AgreementFactory()
    with pytest.raises(WrongState):
        signing.sign_on_paper(actor=cast.officer, **ask | {"paper": active})


def test_the_pages_show_what_is_signed_and_by_whom(cast: Cast, draft: Agreement) -> None:
    owner = browser(cast.owner)
    url = reverse("partners:agreement-sign", args=[draft.public_id])
    shown = owner.get(url).content.decode()
    assert draft.document_sha256 in shown and "your account has none yet" not in shown
    bare = MembershipFactory(organisation=cast.organisation, role="owner").user
    assert "your account has none yet" in browser(bare).get(url).content.decode()
    bad = owner.post(url, {"sha256": draft.document_sha256, "code": "1", "read": "on"})
    assert bad.status_code == 422
    sent = owner.post(url, {"sha256": draft.document_sha256, "code": code_of(cast.owner), "read": "on"})
    assert sent.status_code == 302
    page = owner.get(draft.get_absolute_url()).content.decode()
    assert cast.owner.name in page and url not in page
    late = owner.get(url, follow=True)
    assert late.redirect_chain == [(draft.get_absolute_url(), 302)] and b"This side has signed already." in late.content
    assert "in the portal, with the second factor" in page
    assert browser(cast.manager).get(url).status_code == 403
    assert browser(cast.outsider).get(url).status_code == 404
    paper = reverse("partners:agreement-sign-on-paper", args=[draft.public_id])
    data = {"side": "agency", "signatory": "Kim", "signed_on": str(timezone.localdate())}
    assert browser(cast.officer).post(paper, data).status_code == 302
    assert signing.is_signed(draft)


def test_the_api_signs_and_tells_who_signed_which_hash(cast: Cast, draft: Agreement) -> None:
    api = APIClient()
    api.force_authenticate(cast.owner)
    address = f"/api/v1/agreements/{draft.public_id}/"
    body = {"sha256": draft.document_sha256, "code": code_of(cast.owner)}
    assert api.post(address + "sign/", body, format="json").status_code == 200
    row = api.get(address).data["signatures"][0]
    assert (row["side"], row["how"], row["document_sha256"]) == ("partner", "click", draft.document_sha256)
    assert api.post(address + "sign-on-paper/", {}, format="json").status_code == 400
    refused_ = api.post(
        address + "sign-on-paper/", {"side": "agency", "signatory": "x", "signed_on": "2026-01-01"}, format="json"
    )
    assert refused_.status_code == 403


def test_the_second_of_two_officers_sees_what_the_first_saved_and_loses_nothing(cast: Cast, draft: Agreement) -> None:
    first, second = browser(cast.officer), browser(cast.officer)
    url = reverse("partners:agreement-edit", args=[draft.public_id])
    opened = str(draft.revision)
    data = form(number=draft.number, revision=opened, title="Of the first")
    data.pop("document")
    data.pop("signed_on_paper")
    assert first.post(url, data).status_code == 302
    late = second.post(url, {**data, "title": "Of the second"})
    page = late.content.decode()
    assert late.status_code == 422
    assert "Of the first" in page
    assert "Of the second" in page
    again = late.context["form"].data
    assert second.post(url, {**data, "title": "Of the second", "revision": again["revision"]}).status_code == 302
    draft.refresh_from_db()
    assert draft.title == "Of the second"


def test_nobody_of_the_agency_acts_on_the_agreement_of_their_own_organisation(cast: Cast, draft: Agreement) -> None:
    own = User.objects.get(pk=grant_role(cast.manager, "officer").pk)  # no owner: they would sign for the agency
    enable_mfa(own)
    names = {"agency": "A", "partner": "B"}
    on_paper = {"sides": signing.SIDES, "signed_on": timezone.localdate(), "signatories": names}
    acts = [
        lambda: signing.sign(actor=own, paper=draft, sha256=draft.document_sha256, code="000000"),
        lambda: signing.sign_on_paper(actor=own, paper=draft, **on_paper),
        lambda: agreements.activate(actor=own, agreement=draft),
        lambda: agreements.suspend(actor=own, agreement=cast.agreement, reason="R"),
        lambda: agreements.terminate(actor=own, agreement=cast.agreement, reason="R"),
    ]
    for act in acts:
        with pytest.raises(RuleBroken) as caught:
            act()
        assert caught.value.code == "own_organisation"
    with translation.override("en"):
        assert "You belong to the organisation" in signing.closed_to(own, draft)
    assert not AgreementSignature.objects.filter(agreement=draft).exists()
