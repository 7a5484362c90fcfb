"""Profile, keys, tokens and language, as their owner and as others meet them."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import services
from accounts.models import ApiToken, SshKey, User
from audit.models import AuditEvent
from common.errors import RuleBroken
from tests.factories import Cast, SshKeyFactory
from tests.factories.accounts import PASSWORD
from tests.queries import MOST_A_PAGE, queries_of


def signed_in(user: object) -> Client:
    client = Client()
    client.force_login(user)
    return client


def public_line(key: object) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def test_profile_is_kept_and_audited(cast: Cast) -> None:
    ask = {"name": "김\u202e하늘\x07", "language": "ko", "time_zone": "Europe/Berlin"}
    assert signed_in(cast.owner).post(reverse("accounts:profile"), ask).status_code == 302
    cast.owner.refresh_from_db()
    assert (cast.owner.name, cast.owner.language, cast.owner.time_zone) == ("김하늘", "ko", "Europe/Berlin")
    assert AuditEvent.objects.get(verb="user.update").changes["time_zone"] == ["Asia/Seoul", "Europe/Berlin"]


def test_a_name_that_nobody_could_read_is_refused_and_other_changes_ask_nothing_of_it(cast: Cast) -> None:
    ask = {"name": "\u202e\u2066", "language": "en", "time_zone": "Asia/Seoul"}
    answer = signed_in(cast.owner).post(reverse("accounts:profile"), ask)
    assert (answer.status_code, "no letters" in answer.content.decode()) == (422, True)
    before = cast.owner.name
    services.update_profile(actor=cast.owner, name=before, language="ko", time_zone="Asia/Seoul")
    with pytest.raises(RuleBroken, match="80"):  # two characters each once they are composed
        services.update_profile(actor=cast.owner, name="\u0958" * 60, language="ko", time_zone="Asia/Seoul")
    key, _secret = services.create_api_token(actor=cast.owner, name="ci\u202e run", days=1)
    assert key.name == "ci run"


def test_profile_refuses_an_unknown_zone(cast: Cast) -> None:
    ask = {"name": "Owner", "language": "en", "time_zone": "Moon/Base"}
    assert signed_in(cast.owner).post(reverse("accounts:profile"), ask).status_code == 422


@pytest.mark.parametrize("name", ["accounts:profile", "accounts:keys", "accounts:tokens", "notifications:inbox"])
def test_own_pages_cost_few_queries_and_need_a_session(cast: Cast, name: str) -> None:
    SshKeyFactory.create_batch(3, user=cast.owner)
    client = signed_in(cast.owner)
    assert client.get(reverse(name)).status_code == 200
    assert len(queries_of(lambda: client.get(reverse(name)))) <= MOST_A_PAGE
    assert reverse("account_login") in Client().get(reverse(name)).url


def test_switching_the_language_is_kept_with_the_account(cast: Cast) -> None:
    client = signed_in(cast.owner)
    answer = client.post(reverse("set_language"), {"language": "ko", "next": "/account/"})
    assert (answer.status_code, answer.url) == (302, "/account/")
    cast.owner.refresh_from_db()
    assert cast.owner.language == "ko"
    assert client.get(reverse("set_language")).status_code == 405
    assert client.post(reverse("set_language"), {"language": "xx", "next": "https://evil.example/"}).url == "/"
    assert Client().post(reverse("set_language"), {"language": "en"}).cookies["django_language"].value == "en"


def test_key_is_added_and_removed(cast: Cast) -> None:
    client, line = signed_in(cast.owner), public_line(ed25519.Ed25519PrivateKey.generate())
    ask = {"name": "laptop", "public_key": f"{line} me@laptop"}
    assert client.post(reverse("accounts:keys"), ask).url == reverse("accounts:keys")
    key = SshKey.objects.get(user=cast.owner)
    assert key.public_key == line
    assert key.fingerprint in client.get(reverse("accounts:keys")).content.decode()
    assert client.post(reverse("accounts:key-remove", args=[key.public_id])).status_code == 302
    assert not SshKey.objects.exists()


def test_bad_keys_are_refused_with_a_reason(cast: Cast) -> None:
    client, good = signed_in(cast.owner), ed25519.Ed25519PrivateKey.generate()
    private = good.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    short = public_line(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    client.post(reverse("accounts:keys"), {"name": "first", "public_key": public_line(good)})
    for text, reason in (
        (private, "This is a private key"),
        (short, "too short"),
        ("ssh-ed25519 nonsense", "not an OpenSSH public key"),
        (public_line(good), "already added"),
    ):
        answer = client.post(reverse("accounts:keys"), {"name": "again", "public_key": text})
        assert answer.status_code == 422
        assert reason in answer.content.decode()
    assert SshKey.objects.count() == 1


def test_keys_and_tokens_of_others_do_not_exist(cast: Cast) -> None:
    key = SshKeyFactory(user=cast.owner)
    token, _secret = services.create_api_token(actor=cast.owner, name="job", days=1)
    for user in (cast.teammate, cast.outsider, cast.officer, cast.administrator):
        client = signed_in(user)
        assert client.post(reverse("accounts:key-remove", args=[key.public_id])).status_code == 404
        assert client.post(reverse("accounts:token-revoke", args=[token.public_id])).status_code == 404
        assert client.get(f"/api/v1/ssh-keys/{key.public_id}/").status_code == 404
        assert client.delete(f"/api/v1/tokens/{token.public_id}/").status_code == 404
    assert SshKey.objects.count() == ApiToken.objects.count() == 1


def test_token_is_shown_once_kept_hashed_and_ends_at_revoke(cast: Cast) -> None:
    client, ask = signed_in(cast.owner), {"name": "job", "days": 7, "submission": str(uuid.uuid4())}
    made = client.post(reverse("accounts:tokens"), ask)
    secret, token = made.context["secret"], ApiToken.objects.get()
    assert secret in made.content.decode()
    assert "no-store" in made["Cache-Control"]
    assert client.post(reverse("accounts:tokens"), ask).url == reverse("accounts:tokens")  # a reload makes no second
    assert ApiToken.objects.count() == 1
    assert secret not in client.get(reverse("accounts:tokens")).content.decode()
    assert secret not in str(vars(token))
    assert secret not in str(list(AuditEvent.objects.values()))
    bearer = {"headers": {"Authorization": f"Bearer {secret}"}}
    assert Client().get("/api/v1/me/", **bearer).json()["email"] == cast.owner.email
    client.post(reverse("accounts:token-revoke", args=[token.public_id]))
    assert Client().get("/api/v1/me/", **bearer).status_code == 401


def test_token_ends_at_its_expiry(cast: Cast) -> None:
    _token, secret = services.create_api_token(actor=cast.owner, name="job", days=1)
    ApiToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    assert Client().get("/api/v1/me/", headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_token_cannot_make_another_token(cast: Cast) -> None:
    _token, secret = services.create_api_token(actor=cast.owner, name="job", days=1)
    answer = Client().post("/api/v1/tokens/", {"name": "x", "days": 300}, headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 405


def test_api_of_the_own_account(cast: Cast) -> None:
    client, line = signed_in(cast.viewer), public_line(ed25519.Ed25519PrivateKey.generate())
    changed = client.patch("/api/v1/me/", {"time_zone": "UTC"}, content_type="application/json")
    assert (changed.json()["time_zone"], changed.json()["name"]) == ("UTC", cast.viewer.name)
    made = client.post("/api/v1/ssh-keys/", {"name": "k", "public_key": line}, content_type="application/json")
    assert made.status_code == 201
    again = client.post("/api/v1/ssh-keys/", {"name": "k", "public_key": line}, content_type="application/json")
    assert (again.status_code, again.json()["code"]) == (422, "duplicate_key")
    assert client.delete(f"/api/v1/ssh-keys/{made.json()['id']}/").status_code == 204
    assert Client().get("/api/v1/me/").status_code == 401


def test_the_list_of_sessions_shows_each_sign_in_and_ends_the_others(cast: Cast) -> None:
    browsers = [Client(headers={"user-agent": name}) for name in ("Laptop", "Phone")]
    for browser in browsers:
        sent = browser.post("/accounts/login/", {"login": cast.owner.email, "password": PASSWORD})
        assert sent.status_code == 302, sent.content.decode()
    page = browsers[0].get("/accounts/sessions/").content.decode()
    assert "Laptop" in page
    assert "Phone" in page
    browsers[0].post("/accounts/sessions/")
    assert browsers[0].get("/account/").status_code == 200
    assert browsers[1].get("/account/").status_code == 302


@pytest.mark.parametrize(("language", "word"), [("en", "Hello"), ("ko", "안녕")])
def test_a_mail_speaks_the_language_of_its_reader_whatever_the_browser_does(
    cast: Cast, mailoutbox: list[Any], language: str, word: str
) -> None:
    User.objects.filter(pk=cast.owner.pk).update(language=language)
    other = {"en": "ko", "ko": "en"}[language]
    Client(headers={"accept-language": other}).post(reverse("account_reset_password"), {"email": cast.owner.email})
    (mail,) = mailoutbox
    assert word in mail.body
