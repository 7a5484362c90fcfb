"""An organisation's profile: facts, shareholders, relations, contacts, departments; through pages and API."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from common.errors import Forbidden, RuleBroken
from partners.models import Contact, Department, Organisation, Relation, Shareholder
from partners.selectors import related_ids
from partners.services import contacts, members, related
from partners.services.organisations import edit_organisation, register_organisation
from tests.factories import Cast, OrganisationFactory, registration_number
from tests.proposals.stage import browser
from tests.queries import MOST_A_PAGE, queries_of

pytestmark = pytest.mark.django_db


def refused(expected: str, call: Any, *args: Any, **kwargs: Any) -> Any:
    with pytest.raises(RuleBroken) as caught:
        call(*args, **kwargs)
    assert caught.value.code == expected, str(caught.value)
    return caught.value


def test_facts_are_kept_filtered_and_exported(cast: Cast) -> None:
    made = register_organisation(
        actor=cast.officer,
        name_ko="\u1112\u1161\u11ab\u1100\u1173\u11af",
        name_en="🦊 \u202eabc",
        registration_number=registration_number(888_888),
        size="small",
        region="gwangju",
        founded_on=date(2020, 10, 11),
    )
    assert made.name_ko == "한글"  # Jamo are composed
    officer = browser(cast.officer)
    address = reverse("partners:organisations")
    page = officer.get(address, {"size": "small", "region": "gwangju"})
    assert list(page.context["object_list"]) == [made]
    table = b"".join(officer.get(address, {"size": "small", "format": "csv"})).decode()
    assert "2020-10-11" in table and "Gwangju" in table
    for field, value in (("size", "huge"), ("region", "mars"), ("founded_on", timezone.localdate() + timedelta(2))):
        with pytest.raises(RuleBroken) as caught:
            edit_organisation(actor=cast.officer, organisation=made, **{field: value})
        assert caught.value.field == field


def test_the_second_of_two_who_save_an_organisation_sees_the_difference(cast: Cast) -> None:
    officer = browser(cast.officer)
    url = reverse("partners:organisation-edit", args=[cast.organisation.public_id])
    data = {**officer.get(url).context["form"].initial, "founded_on": "", "size": "small"}
    assert officer.post(url, data).status_code == 302
    late = officer.post(url, {**data, "size": "large", "region": "seoul"})
    assert late.status_code == 422
    assert "company size (small)" in late.content.decode()
    again = late.context["form"].data
    assert officer.post(url, again).status_code == 302
    cast.organisation.refresh_from_db()
    assert (cast.organisation.size, cast.organisation.region) == ("large", "seoul")


def test_shares_come_to_a_hundred_and_numbers_find_their_organisation(cast: Cast) -> None:
    own, holder = cast.organisation, OrganisationFactory()
    ask: dict[str, Any] = {"actor": cast.officer, "organisation": own, "name": "Holding"}
    row = related.set_shareholder(**ask, percent=Decimal("60.5"), registration_number=holder.registration_number)
    assert row.holder == holder
    assert holder.pk in related_ids(own)
    refused("duplicate", related.set_shareholder, **ask, percent=Decimal(1))
    other = ask | {"name": "Other"}
    assert refused("above_hundred", related.set_shareholder, **other, percent=Decimal("39.51")).facts["left"] == "39.50"
    refused("bad_percent", related.set_shareholder, **other, percent=Decimal(0))
    refused("bad_registration_number", related.set_shareholder, **other, percent=Decimal(1), registration_number="12")
    own_number = own.registration_number
    refused("own_shareholder", related.set_shareholder, **other, percent=Decimal(1), registration_number=own_number)
    related.set_shareholder(**ask, percent=Decimal(100), shareholder=row)
    with pytest.raises(Forbidden):
        related.set_shareholder(**other | {"actor": cast.owner}, percent=Decimal(1))


def test_a_relation_is_read_from_both_ends(cast: Cast) -> None:
    own, other = cast.organisation, OrganisationFactory()
    ask: dict[str, Any] = {"actor": cast.officer, "organisation": own, "kind": "subsidiary"}
    refused("same_organisation", related.add_relation, **ask, other=own.registration_number)
    refused("unknown_organisation", related.add_relation, **ask, other=registration_number(123_123))
    row = related.add_relation(**ask, other=other.shown_registration_number)
    assert (row.organisation, row.kind, row.other) == (other, "parent", own)
    refused("duplicate", related.add_relation, **ask | {"organisation": other}, other=own.registration_number)
    officer = browser(cast.officer)
    for one, words in ((own, "subsidiary of"), (other, "parent company of")):
        page = officer.get(reverse("partners:organisation-profile", args=[one.public_id])).content.decode()
        assert words in page


def test_members_move_between_departments_and_stay_when_one_goes(cast: Cast) -> None:
    own = cast.organisation
    part = contacts.set_department(actor=cast.manager, organisation=own, name_ko="연구소", name_en="Lab")
    refused("duplicate", contacts.set_department, actor=cast.manager, organisation=own, name_ko="연구소")
    row = own.memberships.get(user=cast.teammate)
    contacts.move_member(actor=cast.manager, membership=row, department=part)
    foreign = Department.objects.create(organisation=OrganisationFactory(), name_ko="x")
    refused("other_department", contacts.move_member, actor=cast.manager, membership=row, department=foreign)
    with pytest.raises(Forbidden):
        contacts.move_member(actor=cast.teammate, membership=row, department=None)
    owner = browser(cast.owner)
    assert "Lab" in owner.get(own.get_absolute_url()).content.decode()
    url = reverse("partners:member-department", args=[own.public_id, cast.viewer.public_id])
    owner.post(url, {"department": part.public_id})
    for wrong in ("a\x00b", foreign.public_id):
        assert owner.post(url, {"department": wrong}).status_code == 302
    assert part.memberships.count() == 2
    contacts.remove_department(actor=cast.manager, department=part)
    row.refresh_from_db()
    assert row.department is None


def test_an_owner_whose_account_is_closed_is_no_owner_to_stay_with(cast: Cast) -> None:
    row = cast.organisation.memberships.get(user=cast.manager)
    members.change_role(actor=cast.owner, membership=row, role="owner")
    cast.manager.is_active = False
    cast.manager.save()
    leaving = cast.organisation.memberships.get(user=cast.owner)
    refused("last_owner", members.remove_member, actor=cast.owner, membership=leaving)


def test_pages_of_the_profile(cast: Cast) -> None:
    officer, manager = browser(cast.officer), browser(cast.manager)
    own, other = cast.organisation, OrganisationFactory()

    def new(noun: str) -> str:
        return reverse(f"partners:organisation-{noun}", args=[own.public_id])

    assert officer.post(new("shareholder"), {"name": "Kim", "percent": "10"}).status_code == 302
    assert officer.post(new("shareholder"), {"name": "Lee", "percent": "91"}).status_code == 422
    assert officer.post(new("relation"), {"kind": "group", "other": other.registration_number}).status_code == 302
    assert manager.post(new("contact"), {"name": "Park", "about": "technical"}).status_code == 422
    assert manager.post(new("contact"), {"name": "Park", "about": "technical", "phone": "062"}).status_code == 302
    assert manager.post(new("department"), {"name_ko": "개발"}).status_code == 302
    assert manager.get(new("shareholder")).status_code == 403
    profile = reverse("partners:organisation-profile", args=[own.public_id])
    for client in (officer, manager, browser(cast.viewer)):
        statements = queries_of(lambda c=client: c.get(profile))
        assert len(statements) <= MOST_A_PAGE, "\n".join(statements)
    for noun, model, data in (
        ("shareholder", Shareholder, {"name": "Kim", "percent": "11"}),
        ("contact", Contact, {"name": "Park", "about": "general", "email": "p@x.test"}),
        ("department", Department, {"name_ko": "개발부"}),
    ):
        row: Any = model.objects.get()
        assert officer.post(reverse(f"partners:{noun}-edit", args=[row.public_id]), data).status_code == 302
        officer.post(reverse(f"partners:{noun}-remove", args=[row.public_id]))
        assert not model.objects.exists()
    officer.post(reverse("partners:relation-remove", args=[Relation.objects.get().public_id]))
    assert not Relation.objects.exists()


def test_the_api_of_the_profile_and_of_members(cast: Cast) -> None:
    api, own = APIClient(), cast.organisation
    api.force_authenticate(cast.officer)
    number = OrganisationFactory().registration_number
    for noun, body, change in (
        ("shareholders", {"name": "Kim", "percent": "10.5"}, {"name": "Kim", "percent": "11"}),
        ("relations", {"kind": "affiliate", "other": number}, None),
        ("contacts", {"name": "Lee", "phone": "02"}, {"name": "Lee", "email": "l@x.test"}),
        ("departments", {"name_ko": "연구소"}, {"name_ko": "연구원"}),
    ):
        made = api.post(f"/api/v1/{noun}/", body | {"organisation": own.public_id}, format="json")
        assert made.status_code == 201, made.data
        one = f"/api/v1/{noun}/{made.data['id']}/"
        if change:
            assert api.patch(one, change, format="json").status_code == 200
        assert api.get(f"/api/v1/{noun}/?organisation={own.public_id}").data["count"] == 1
        if noun != "departments":
            assert api.delete(one).status_code == 204
    base = f"/api/v1/organisations/{own.public_id}/"
    api.force_authenticate(cast.owner)
    part = Department.objects.get()
    moved = api.post(
        base + "move-member/", {"user": cast.viewer.public_id, "department": part.public_id}, format="json"
    )
    assert moved.data["department"] == part.public_id
    role = api.post(base + "change-role/", {"user": cast.viewer.public_id, "role": "member"}, format="json")
    assert role.data["role"] == "member"
    assert api.post(base + "remove-member/", {"user": cast.viewer.public_id}, format="json").status_code == 204
    assert api.post(base + "remove-member/", {"user": cast.owner.public_id}, format="json").status_code == 422
    assert api.post(base + "transfer/", {"user": cast.manager.public_id}, format="json").status_code == 200
    assert own.memberships.get(user=cast.manager).role == "owner"
    assert Organisation.objects.filter(pk=own.pk).exists()
