"""An officer keeps an organisation's names and number right, on the page and through the API."""

from typing import Any

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from audit.models import AuditEvent
from common.errors import Forbidden, RuleBroken
from partners.services.organisations import edit_organisation
from tests.factories import Cast, OrganisationFactory, registration_number
from tests.proposals.stage import browser

NUMBER = registration_number(555_555)


def page_of(cast: Cast) -> str:
    return reverse("partners:organisation-edit", args=[cast.organisation.public_id])


def api_of(user: Any) -> APIClient:
    api = APIClient()
    api.force_authenticate(user)
    return api


def one(cast: Cast) -> str:
    return f"/api/v1/organisations/{cast.organisation.public_id}/"


def test_the_page_shows_what_stands_and_saves_what_is_typed(cast: Cast) -> None:
    officer = browser(cast.officer)
    assert page_of(cast) in officer.get(cast.organisation.get_absolute_url()).content.decode()
    shown = officer.get(page_of(cast)).content.decode()
    assert cast.organisation.name_ko in shown and cast.organisation.shown_registration_number in shown
    data = {"name_ko": "업스테이지 주식회사", "name_en": "Upstage Inc.", "registration_number": NUMBER}
    assert officer.post(page_of(cast), data).url == cast.organisation.get_absolute_url()
    cast.organisation.refresh_from_db()
    assert (cast.organisation.name_ko, cast.organisation.registration_number) == ("업스테이지 주식회사", NUMBER)


def test_each_change_is_audited_with_before_and_after_and_no_change_is_not(cast: Cast) -> None:
    old = cast.organisation.name_en
    edit_organisation(actor=cast.officer, organisation=cast.organisation, name_en=" Upstage Inc. ")
    event = AuditEvent.objects.get(verb="organisation.edit")
    assert event.changes == {"name_en": [old, "Upstage Inc."]} and event.target_id == cast.organisation.public_id
    edit_organisation(actor=cast.officer, organisation=cast.organisation, name_en="Upstage Inc.")
    assert AuditEvent.objects.filter(verb="organisation.edit").count() == 1


def test_the_api_changes_only_what_is_sent(cast: Cast) -> None:
    before = cast.organisation.name_ko
    answer = api_of(cast.officer).patch(one(cast), {"name_en": "New Name"}, format="json")
    assert answer.status_code == 200
    assert (answer.data["name_en"], answer.data["name_ko"]) == ("New Name", before)
    assert api_of(cast.officer).patch(one(cast), {"kind": "agency"}, format="json").data["kind"] == "partner"
    assert api_of(cast.officer).patch(one(cast), {}, format="json").status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"name_ko": ""},
        {"name_en": " "},
        {"name_ko": "가" * 121},
        {"registration_number": "123"},
        {"registration_number": "123-45-67890"},
        {"registration_number": "x" * 21},
    ],
)
def test_nonsense_comes_back_in_both_skins(cast: Cast, changes: dict[str, str]) -> None:
    data = {"name_ko": "그대로", "name_en": "Kept", "registration_number": NUMBER} | changes
    answer = browser(cast.officer).post(page_of(cast), data)
    assert answer.status_code == 422
    assert ("Kept" if "name_en" not in changes else "그대로") in answer.content.decode()
    assert api_of(cast.officer).patch(one(cast), changes, format="json").status_code in (400, 422)
    assert not AuditEvent.objects.filter(verb="organisation.edit").exists()


def test_a_number_belongs_to_one_organisation(cast: Cast) -> None:
    other = OrganisationFactory()
    refused = api_of(cast.officer).patch(one(cast), {"registration_number": other.registration_number}, format="json")
    assert (refused.status_code, refused.data["code"]) == (422, "duplicate_registration_number")
    own = {"registration_number": cast.organisation.registration_number}
    assert api_of(cast.officer).patch(one(cast), own, format="json").status_code == 200


def test_only_officers_may_and_outsiders_find_nothing(cast: Cast) -> None:
    for who, status in ((cast.owner, 403), (cast.operator, 403), (cast.auditor, 403), (cast.outsider, 404)):
        assert browser(who).get(page_of(cast)).status_code == status
        assert browser(who).post(page_of(cast), {"name_ko": "x"}).status_code == status
        assert api_of(who).patch(one(cast), {"name_en": "x"}, format="json").status_code == status
    assert page_of(cast) not in browser(cast.owner).get(cast.organisation.get_absolute_url()).content.decode()
    with pytest.raises(Forbidden):
        edit_organisation(actor=cast.manager, organisation=cast.organisation, name_en="x")
    with pytest.raises(RuleBroken):
        edit_organisation(actor=cast.officer, organisation=cast.organisation, name_en="  ")
