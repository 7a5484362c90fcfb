"""The second factor, the admin, the rate limit, and life without the cache."""

import re

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib import admin
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts import services
from common.read_only_admin import ReadOnlyAdmin
from tests.accounts.test_own_pages import signed_in
from tests.factories import Cast, UserFactory, enable_mfa, grant_role
from tests.factories.accounts import PASSWORD


@pytest.mark.parametrize("role", ["reviewer", "officer", "operator", "auditor", "administrator"])
def test_agency_account_without_second_factor_can_only_set_it_up(db: None, role: str) -> None:
    user = grant_role(UserFactory(), role)
    client = signed_in(user)
    for url in ("/", reverse("accounts:profile"), reverse("accounts:people"), "/admin/"):
        assert client.get(url).url == reverse("mfa_activate_totp")
    assert client.get("/api/v1/me/").status_code == 403
    _token, secret = services.create_api_token(actor=user, name="job", days=1)
    bearer = {"Authorization": f"Bearer {secret}"}
    assert Client().get("/api/v1/me/", headers=bearer).status_code == 403
    enable_mfa(user)
    assert client.get(reverse("accounts:profile")).status_code == 200
    assert Client().get("/api/v1/me/", headers=bearer).status_code == 200


def test_partner_needs_no_second_factor(cast: Cast) -> None:
    assert not Authenticator.objects.filter(user=cast.owner).exists()
    assert signed_in(cast.owner).get(reverse("accounts:profile")).status_code == 200


def test_admin_is_for_superusers_with_a_second_factor(cast: Cast) -> None:
    assert Client().get("/admin/").url.startswith("/admin/login/")
    assert reverse("account_login") in Client().get("/admin/login/?next=/admin/").url
    for user in (cast.owner, cast.administrator):
        user.is_staff = True
        user.save(update_fields=["is_staff"])
        assert signed_in(user).get("/admin/", follow=True).redirect_chain[-1][0] == reverse("home")
    root = UserFactory(is_superuser=True, is_staff=True)
    assert signed_in(root).get("/admin/").url == reverse("mfa_activate_totp")
    enable_mfa(root)
    client = signed_in(root)
    assert client.get("/admin/").status_code == 200
    page = client.get(f"/admin/accounts/user/{cast.owner.pk}/change/").content.decode()
    assert cast.owner.email in page
    assert "pbkdf2" not in page
    assert 'name="_save"' not in page
    assert client.post(f"/admin/accounts/user/{cast.owner.pk}/change/", {"name": "x"}).status_code == 403
    assert client.post(f"/admin/accounts/user/{cast.owner.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.get("/admin/accounts/rolegrant/").status_code == 200


def test_admin_shows_nothing_that_can_be_changed() -> None:
    assert all(isinstance(shown, ReadOnlyAdmin) for shown in admin.site._registry.values())


def test_too_many_changes_give_the_page_that_says_so(cast: Cast, settings: object) -> None:
    settings.UNSAFE_REQUESTS_PER_MINUTE = "2/m"
    client = signed_in(cast.owner)
    ask = {"language": "en", "next": "/account/"}
    answers = [client.post(reverse("set_language"), ask) for _turn in range(4)]
    assert answers[0].status_code == 302
    assert answers[-1].status_code == 429
    assert "too fast" in answers[-1].content.decode()
    assert client.get(reverse("accounts:profile")).status_code == 200  # reading goes on


def test_reading_too_fast_is_bounded_for_each_person_alone(cast: Cast, settings: object) -> None:
    settings.READING_REQUESTS_PER_MINUTE = "3/m"
    address, fast, calm = reverse("accounts:profile"), signed_in(cast.owner), signed_in(cast.outsider)
    answers = [fast.get(address).status_code for _turn in range(5)]
    assert answers[0] == 200 and answers[-1] == 429
    assert calm.get(address).status_code == 200
    assert "too fast" in fast.get(address).content.decode()


@pytest.fixture
def dead_cache(settings: object) -> None:
    """The cache server is away: a port where nobody listens."""
    closed = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:9/0"}
    settings.CACHES = {"default": closed}
    cache.set("alive", 1)
    assert cache.get("alive") is None


def test_sign_in_and_pages_work_without_the_cache(cast: Cast, dead_cache: None) -> None:
    client = Client()
    answer = client.post(reverse("account_login"), {"login": cast.owner.email, "password": PASSWORD})
    assert (answer.status_code, answer.url) == (302, reverse("home"))
    assert client.get(reverse("accounts:profile")).status_code == 200
    assert client.post(reverse("set_language"), {"language": "en"}).status_code == 302
    assert client.get("/api/v1/me/").status_code == 200


def test_agency_signs_in_with_both_factors(cast: Cast) -> None:
    from allauth.mfa.totp.internal import auth

    secret = auth.generate_totp_secret()
    Authenticator.objects.filter(user=cast.officer).delete()
    auth.TOTP.activate(cast.officer, secret)
    client = Client()
    first = client.post(reverse("account_login"), {"login": cast.officer.email, "password": PASSWORD})
    assert first.url == reverse("mfa_authenticate")
    assert client.get(reverse("accounts:profile")).status_code == 302
    code = format_hotp_value(hotp_value(secret, next(auth.yield_hotp_counters_from_time())))
    assert re.fullmatch(r"\d{6}", code)
    assert client.post(reverse("mfa_authenticate"), {"code": code}).status_code == 302
    assert client.get(reverse("accounts:profile")).status_code == 200
