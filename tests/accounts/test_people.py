"""Roles of the agency: who may see, grant and revoke them."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import RoleGrant
from audit.models import AuditEvent
from tests.accounts.test_own_pages import signed_in
from tests.factories import Cast, grant_role
from tests.queries import MOST_A_PAGE, queries_of

OTHERS = ("owner", "outsider", "reviewer", "officer", "operator", "auditor")


def test_administrator_sees_everybody_with_all_their_roles(cast: Cast) -> None:
    grant_role(cast.officer, "operator")
    client = signed_in(cast.administrator)
    page = client.get(reverse("accounts:people"), {"role": "operator"}).content.decode()
    assert "programme officer, operator" in page
    assert cast.auditor.email not in page
    assert cast.owner.email not in client.get(reverse("accounts:people")).content.decode()
    assert len(queries_of(lambda: client.get(reverse("accounts:people")))) <= MOST_A_PAGE
    assert "second" in client.get(reverse("accounts:people"), {"sort": "-has_totp"}).content.decode().lower()


def test_the_list_leaves_as_csv(cast: Cast) -> None:
    answer = signed_in(cast.administrator).get(reverse("accounts:people"), {"format": "csv"})
    text = b"".join(answer.streaming_content).decode()
    assert cast.auditor.email in text
    assert text.count("\n") == 6


@pytest.mark.parametrize("name", OTHERS)
def test_pages_do_not_exist_for_others(cast: Cast, name: str) -> None:
    client = signed_in(getattr(cast, name))
    assert client.get(reverse("accounts:people")).status_code == 404
    ask = {"email": cast.owner.email, "role": "operator"}
    assert client.post(reverse("accounts:role-grant"), ask).status_code == 404
    revoke = reverse("accounts:role-revoke", args=[cast.officer.public_id])
    assert client.post(revoke, {"role": "officer"}).status_code == 404
    assert client.get("/api/v1/people/").json()["count"] == 0
    assert client.post("/api/v1/people/grant-role/", ask, content_type="application/json").status_code == 404
    assert client.post(f"/api/v1/people/{cast.officer.public_id}/revoke-role/", {"role": "officer"}).status_code == 404
    assert RoleGrant.objects.count() == 5


def test_role_is_granted_and_revoked_with_a_record(cast: Cast) -> None:
    client = signed_in(cast.administrator)
    ask = {"email": cast.owner.email.upper(), "role": "operator"}
    assert client.post(reverse("accounts:role-grant"), ask).url == reverse("accounts:people")
    assert cast.owner.role_grants.get().role == "operator"
    revoke = reverse("accounts:role-revoke", args=[cast.owner.public_id])
    assert "operator" in client.get(revoke).content.decode()
    assert client.post(revoke, {"role": "auditor"}).status_code == 422
    assert client.post(revoke, {"role": "operator"}).status_code == 302
    assert not cast.owner.role_grants.exists()
    verbs = AuditEvent.objects.filter(target_id=cast.owner.public_id).values_list("verb", flat=True)
    assert set(verbs) == {"role.grant", "role.revoke"}


def test_unknown_address_is_refused_on_its_field(cast: Cast) -> None:
    answer = signed_in(cast.administrator).post(
        reverse("accounts:role-grant"), {"email": "nobody@example.test", "role": "operator"}
    )
    assert answer.status_code == 422
    assert "Nobody has an account" in answer.content.decode()


def test_last_administrator_stays(cast: Cast) -> None:
    client = signed_in(cast.administrator)
    revoke = reverse("accounts:role-revoke", args=[cast.administrator.public_id])
    answer = client.post(revoke, {"role": "administrator"})
    assert answer.status_code == 422
    assert "last administrator" in answer.content.decode()
    api = client.post(f"/api/v1/people/{cast.administrator.public_id}/revoke-role/", {"role": "administrator"})
    assert (api.status_code, api.json()["code"]) == (422, "last_administrator")


def test_api_grants_and_revokes(cast: Cast) -> None:
    client = signed_in(cast.administrator)
    ask = {"email": cast.viewer.email, "role": "auditor"}
    made = client.post("/api/v1/people/grant-role/", ask, content_type="application/json")
    assert made.json()["roles"] == ["auditor"]
    assert made.json()["second_factor"] is False
    url = f"/api/v1/people/{cast.viewer.public_id}/revoke-role/"
    assert client.post(url, {"role": "auditor"}, content_type="application/json").status_code == 204
    assert client.get(f"/api/v1/people/{cast.viewer.public_id}/").status_code == 404
    assert Client().get("/api/v1/people/").status_code == 401
