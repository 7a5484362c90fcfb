"""An agreement in force is changed by what both sides have signed, and continued without a gap."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from common.errors import Forbidden, RuleBroken, WrongState
from notifications.models import Notification
from partners.models import Agreement, Amendment
from partners.services import agreements, amending, signing
from partners.services.amending import AmendmentDraft
from partners.tasks import apply_amendments
from partners.terms import AgreementTerms, terms_of
from tests.factories import AgreementFactory, AllocationFactory, Cast, PoolFactory
from tests.partners.test_agreements import form
from tests.partners.test_signing import pdf, refused
from tests.proposals.stage import browser

HOUR = 3600


@pytest.fixture(autouse=True)
def media(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def agreement(cast: Cast) -> Agreement:
    """In force, of the class of the pool that there is."""
    PoolFactory()
    Agreement.objects.filter(pk=cast.agreement.pk).update(gpu_classes=["h100-sxm-80"])
    cast.agreement.refresh_from_db()
    return cast.agreement


def today() -> date:
    return timezone.localdate(timezone=timezone.get_default_timezone())


def draft(cast: Cast, agreement: Agreement, *, on: date | None = None, **changes: Any) -> Amendment:
    terms = AgreementTerms(**{**terms_of(agreement).as_dict(), **changes})
    asked = AmendmentDraft(terms, "More is needed.", on or today())
    return amending.draft_amendment(actor=cast.officer, agreement=agreement, draft=asked, document=pdf())


def sign(cast: Cast, amendment: Amendment) -> Amendment:
    names = {"agency": "Kim", "partner": "Lee"}
    signing.sign_on_paper(
        actor=cast.officer, paper=amendment, sides=signing.SIDES, signed_on=today(), signatories=names
    )
    return amending.agree(actor=cast.officer, amendment=amendment)


def test_what_both_sides_signed_changes_the_agreement_and_makes_a_version(cast: Cast, agreement: Agreement) -> None:
    amendment = draft(cast, agreement, ceiling_concurrent_gpus=600, valid_until=agreement.valid_until + timedelta(30))
    refused("not_signed", amending.agree, actor=cast.officer, amendment=amendment)
    refused("amendment_open", draft, cast, agreement, title="Another")
    assert sign(cast, amendment).state == "in_force"
    agreement.refresh_from_db()
    assert (agreement.version, agreement.ceiling_concurrent_gpus) == (2, 600)
    assert amendment.changes["ceiling_concurrent_gpus"] == [512, 600]
    assert Notification.objects.filter(event="amendment_in_force", recipient=cast.owner).count() == 1
    with pytest.raises(WrongState):
        amending.withdraw(actor=cast.officer, amendment=amendment)
    with pytest.raises(Forbidden):
        amending.draft_amendment(
            actor=cast.owner, agreement=agreement, draft=AmendmentDraft(terms_of(agreement), "x", today())
        )


def test_one_that_begins_later_waits_for_its_day(cast: Cast, agreement: Agreement) -> None:
    day = today() + timedelta(days=5)
    amendment = sign(cast, draft(cast, agreement, on=day, title="Later"))
    assert amendment.state == "agreed"
    assert apply_amendments() == 0
    assert amending.apply_due(today=day) == 1
    assert amending.apply_due(today=day) == 0
    agreement.refresh_from_db()
    assert agreement.title == "Later"


def test_less_than_what_is_promised_is_refused_and_held_on_the_day(cast: Cast, agreement: Agreement) -> None:
    award: dict[str, Any] = {"project": cast.project, "awarded_gpu_seconds": 1_000 * HOUR, "concurrent_gpus": 8}
    allocation = AllocationFactory(**award)
    for name, value, field in (
        ("ceiling_gpu_seconds", 999 * HOUR, "ceiling_gpu_hours"),
        ("ceiling_gpu_seconds_a_year", 100 * HOUR, "ceiling_gpu_hours_a_year"),
        ("ceiling_concurrent_gpus", 7, "ceiling_concurrent_gpus"),
        ("valid_until", today() + timedelta(1), "valid_until"),
        ("pools", [PoolFactory(gpu_class=allocation.pool.gpu_class).public_id], "pools"),
    ):
        assert refused("below_promised", draft, cast, agreement, **{name: value}).field == field
    day = today() + timedelta(days=5)
    amendment = sign(cast, draft(cast, agreement, on=day, ceiling_concurrent_gpus=8))
    AllocationFactory(**award, pool=allocation.pool)
    for _turn in range(2):
        assert amending.apply_due(today=day) == 0
    amendment.refresh_from_db()
    assert "16" in amendment.held_reason
    assert Notification.objects.filter(event="amendment_held", recipient=cast.officer).count() == 1


def test_terms_that_contradict_each_other_are_refused(cast: Cast, agreement: Agreement) -> None:
    other = PoolFactory(gpu_class__code="t4-16")
    for code, changes in (
        ("nothing_changed", {}),
        ("term_order", {"valid_until": agreement.valid_from - timedelta(1)}),
        ("ceilings_contradict", {"ceiling_gpu_seconds_a_year": agreement.ceiling_gpu_seconds + 1}),
        ("unknown_pool", {"pools": ["pool-22222222"]}),
        ("class_without_pool", {"pools": [other.public_id]}),
        ("bad_grace", {"ending_rule": "grace"}),
        ("unknown_rule", {"suspension_rule": "x"}),
    ):
        on = agreement.valid_from if code == "term_order" else None
        refused("effective_outside_term" if code == "term_order" else code, draft, cast, agreement, on=on, **changes)


def test_a_renewal_begins_on_the_day_after_and_only_once(cast: Cast, agreement: Agreement) -> None:
    terms = terms_of(agreement).as_dict()
    first = agreement.valid_until + timedelta(1)

    def renew(number: str, **changes: Any) -> Agreement:
        asked = AgreementTerms(
            **{**terms, "number": number, "valid_from": first, "valid_until": first + timedelta(99), **changes}
        )
        return agreements.register_agreement(
            actor=cast.officer, organisation=cast.organisation, terms=asked, renews=agreement
        )

    refused("renewal_gap", renew, "R-1", valid_from=first + timedelta(1))
    refused("terms_overlap", renew, "R-1", valid_from=first - timedelta(1))
    made = renew("R-1")
    assert made.renews == agreement
    refused("renewed_already", renew, "R-2")
    # The term of the old one cannot grow into the new one, once that is in force.
    Agreement.objects.filter(pk=made.pk).update(state="active")
    refused("terms_overlap", draft, cast, agreement, valid_until=first)
    page = browser(cast.viewer).get(agreement.get_absolute_url()).content.decode()
    assert "R-1" in page


def test_a_draft_that_lost_its_days_meanwhile_is_not_activated(cast: Cast) -> None:
    one = AgreementFactory(state="draft", signed=True)
    two = AgreementFactory(state="draft", signed=True, organisation=one.organisation)
    agreements.activate(actor=cast.officer, agreement=one)
    error = refused("terms_overlap", agreements.activate, actor=cast.officer, agreement=two)
    assert error.facts["agreement"] == one.public_id


def test_pages_and_api_of_an_amendment(cast: Cast, agreement: Agreement) -> None:
    officer, owner = browser(cast.officer), browser(cast.owner)
    url = reverse("partners:agreement-amend", args=[agreement.public_id])
    data = form(title="Amended", valid_until=str(agreement.valid_until), reason="Why", effective_from=str(today()))
    data["document"] = pdf()
    assert officer.post(url, data).status_code == 302
    amendment = Amendment.objects.get()
    page = owner.get(amendment.get_absolute_url()).content.decode()
    assert "Amended" in page and "Joint use of GPUs" in page
    edit = reverse("partners:amendment-edit", args=[amendment.public_id])
    shown = officer.get(edit).context["form"].initial
    assert shown["title"] == "Amended"
    assert officer.post(edit, {**data, "title": "Once more", "document": ""}).status_code == 302
    sign(cast, amendment)
    assert owner.get(reverse("partners:amendment-document", args=[amendment.public_id])).status_code == 200
    api = APIClient()
    api.force_authenticate(cast.owner)
    row = api.get(f"/api/v1/amendments/?agreement={agreement.public_id}").data["results"][0]
    assert (row["state"], row["version"], len(row["signatures"])) == ("in_force", 2, 2)
    assert row["changes"]["title"] == ["Joint use of GPUs", "Once more"]
    assert api.post(f"/api/v1/amendments/{amendment.public_id}/withdraw/").status_code == 403
    api.force_authenticate(cast.officer)
    body = {**{k: v for k, v in row.items() if k == "agreement"}, "reason": "x", "effective_from": str(today())}
    terms = terms_of(Agreement.objects.get(pk=agreement.pk)).as_dict() | {"credit_line": "With support of the agency"}
    made = api.post("/api/v1/amendments/", {**terms, **body}, format="json")
    assert made.status_code == 201, made.data
    assert set(made.data["changes"]) == {"credit_line"}
    assert api.post(f"/api/v1/amendments/{made.data['id']}/agree/").status_code == 422
    assert api.post(f"/api/v1/amendments/{made.data['id']}/withdraw/").data["state"] == "withdrawn"


def test_a_rule_about_the_field_comes_back_on_the_form(cast: Cast, agreement: Agreement) -> None:
    url = reverse("partners:agreement-amend", args=[agreement.public_id])
    data = form(valid_until=str(agreement.valid_until), reason="Why", effective_from=str(today()), ending_rule="grace")
    answer = browser(cast.officer).post(url, {**data, "document": ""})
    assert answer.status_code == 422
    assert answer.context["form"].errors["ending_days"]
    with pytest.raises(RuleBroken):
        draft(cast, agreement, ending_rule="grace", ending_days=366)
