"""Every form of the portal, sent with what people and programs send by mistake or on purpose.

The forms are found, not listed: each address of the permission matrix and of the sign-in is opened by somebody who
may, and each form on it is sent with one field after the other wrong. Never a 500; a refusal says why, in the language
of the reader; what was typed is still there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import resolve, reverse
from django.utils import timezone

from accounts.models import User
from proposals.models import Question
from proposals.services import appealing, decisions
from tests.architecture.permissions import MATRIX
from tests.architecture.routes import routes
from tests.architecture.world import address_of, make_world
from tests.factories import AgreementFactory
from tests.html import Form, Input, Reading

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(600)]

WRONG = (
    " ",
    "-1",
    "0",
    "1e400",
    "NaN",
    "99999999999999999999",
    "2020-01-01",
    "0001-01-01T00:00",
    "9999-12-31T23:59",
    "2026-13-45",
    "x" * 5_000,
    "<script>alert(1)</script>",
    "h100-of-another-world",
    "alloc-22222222",
    "a\x00b",
    "'; DROP TABLE accounts_user; --",
    "🦀",
)
PARTS, FIRST = 8, {"en": 0, "ko": 4}
"""Each field is sent an eighth of them in each language, the next field the next eighth, counted through all forms: the
rules are the same in both, the words are not, and fields of a kind share their checks. Every second field is left empty
in one language, the others in the other."""
HANGUL = re.compile("[가-힣]")
KEPT = {"text", "number", "date", "datetime-local", "textarea", "email", "url", "search"}
CHANGED_BY_HTML = re.compile("[\x00\r]")
LANGUAGES = ("en", "ko")
PEOPLE = ("owner", "manager", "officer", "administrator", "operator", "auditor", "reviewer")
SHUT = {
    "object": ("reviewer",),
    "staff": ("owner", "manager", "reviewer"),
    "review": ("owner", "manager"),
    "audit": ("owner", "manager", "reviewer", "officer", "operator"),
    "admin": ("owner", "manager", "reviewer", "officer", "operator", "auditor"),
    "node": PEOPLE,
}
"""Who need not try a page of that kind: tests/architecture holds that it is shut to them."""
IN_THEIR_STATE = {
    "proposal-refuse": "awarded",
    "award": "reviewed",
    "hold": "in review",
    "proposal-appeal": "declined",
    "dismiss": "appealed",
    "uphold": "appealed",
}
"""Forms that open only while a proposal stands so."""
SIGNED_OUT = ("account_login", "account_signup", "account_reset_password")
OWN = ("account_email", "account_change_password", "mfa_index", "mfa_activate_totp", "mfa_reauthenticate")
NOT_OPENED = {"proposals:proposal-check", "styleguide"}
"""A fragment; and the page that shows every part, wrong fields included."""


@dataclass
class Found:
    """A form on a page that somebody has open, and their browser in each language."""

    clients: dict[str, Client]
    page: str
    form: Form

    @property
    def address(self) -> str:
        return self.form.action or self.page

    def send(self, sent: dict[str, Any], language: str) -> Any:
        """Send it and forget what it did."""
        with transaction.atomic():
            answer = self.clients[language].post(self.address, sent)
            transaction.set_rollback(True)
        return answer


def _clients(user: Any) -> dict[str, Client]:
    return {language: _client(user, language) for language in LANGUAGES}


def _client(user: Any, language: str) -> Client:
    client = Client(headers={"accept-language": language}, raise_request_exception=False)
    if user is not None:
        client.force_login(user)
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = language
    return client


def _pages(world: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(address, who to try) of everything that can be opened with a GET."""
    for route in routes():
        if not route.name.startswith("?") and route.name not in NOT_OPENED:
            address = address_of(route, world)
            if not address.startswith(("/api/", "/demo/")):
                shut = SHUT.get(MATRIX[route.name], ())
                yield address, tuple(name for name in PEOPLE if name not in shut)
    for name in SIGNED_OUT:
        yield reverse(name), ("anonymous",)
    for name in OWN:
        yield reverse(name), ("owner",)
    for step in ("about", "plan", "team", "lines", "questions", "attachments", "submit"):
        yield reverse(f"proposals:edit-{step}", args=[world["draft"]]), PEOPLE
    yield reverse("proposals:proposal", args=[world["awarded"]]), PEOPLE
    for name, state in IN_THEIR_STATE.items():
        yield reverse(f"proposals:{name}", args=[world[state]]), PEOPLE
    for page in ("sign", "sign-on-paper"):
        yield reverse(f"partners:agreement-{page}", args=[world["unsigned"]]), PEOPLE


def find_forms(world: dict[str, Any]) -> list[Found]:
    """Every form, once: the same view with the same fields on two pages, or of two objects, is one form."""
    clients = {name: _clients(getattr(world["cast"], name, None)) for name in (*PEOPLE, "anonymous")}
    found: dict[tuple[str, ...], Found] = {}
    for address, people in _pages(world):
        for name in people:
            answer = clients[name][LANGUAGES[0]].get(address)
            if answer.status_code != 200 or not answer.get("Content-Type", "").startswith("text/html"):
                continue
            for form in Reading(answer.content.decode()).forms:
                view = resolve(urlsplit(form.action or address).path).view_name
                key = (view, *sorted({entry.name for entry in form.inputs}))
                if form.method == "post":
                    found.setdefault(key, Found(clients[name], address, form))
    return list(found.values())


@pytest.fixture
def world(tmp_path: Any, settings: Any) -> dict[str, Any]:
    """One object of every noun, and a proposal in each state that has forms of its own."""
    settings.MEDIA_ROOT = tmp_path
    settings.RATELIMIT_ENABLE = False  # thousands of requests of one person; tests/accounts holds the limits
    settings.ACCOUNT_RATE_LIMITS = False
    made = make_world()
    stage = made["stage"]
    for place, kind in enumerate(Question.Kind.values):
        stage.call.questions.create(
            place=place, kind=kind, label_ko="질문", label_en="Question", choices_ko=["가", "나"], choices_en=["A", "B"]
        )
    later = timezone.localdate() + timedelta(days=400)
    unsigned = AgreementFactory(
        organisation=made["cast"].organisation, state="draft", valid_from=later, valid_until=later + timedelta(days=300)
    )
    cast = made["cast"]
    declined, appealed = (
        decisions.decline(actor=cast.administrator, proposal=stage.submitted(), reason="x") for _each in range(2)
    )
    appealing.appeal(actor=cast.owner, proposal=appealed, reason="x")
    return made | {
        "in review": decisions.start_review(actor=cast.officer, proposal=stage.submitted()).public_id,
        "declined": declined.public_id,
        "appealed": appealed.public_id,
        "unsigned": unsigned.public_id,
        "draft": stage.draft().public_id,
        "reviewed": stage.submitted().public_id,
        "awarded": stage.awarded().public_id,
    }


def _values(at: int, language: str) -> tuple[str, ...]:
    """What is sent in that language in the place of the field counted `at`."""
    empty = ("",) if (at % 2 == 0) == (language == "en") else ()
    return (*empty, *WRONG[(at + FIRST[language]) % PARTS :: PARTS])


def _wrong(found: Found, language: str, turns: Iterator[int]) -> Iterator[tuple[Input, dict[str, Any], str]]:
    """(field, what is sent, the wrong value), one field wrong at a time."""
    button = {entry.name: entry.value for entry in found.form.buttons[-1:]}
    yield Input("", "none"), {**button, **found.form.filled()}, ""  # nothing touched
    once = {entry.name: entry for entry in reversed(found.form.inputs)}  # the boxes of one choice are one field
    for entry in reversed(once.values()):
        if entry.name in ("csrfmiddlewaretoken", "next", "submission"):
            continue
        for value in _values(next(turns), language):
            sent: dict[str, Any] = {**button, **found.form.filled(), entry.name: [value]}
            sent.pop("submission", None)
            if entry.kind == "file":
                sent[entry.name] = SimpleUploadedFile(value[:50].replace("\x00", "") or "empty", value.encode())
            yield entry, sent, value


def _complaints(found: Found, entry: Input, value: str, answer: Any, language: str) -> Iterator[str]:
    where = f"{found.address} {entry.name}={value[:30]!r}"
    if answer.status_code >= 500 or answer.status_code in (403, 404, 429):
        yield f"{where}: {answer.status_code}"
    if answer.status_code not in (200, 422) or "html" not in answer.get("Content-Type", ""):
        return
    read = Reading(answer.content.decode())
    if answer.status_code == 200 and not read.errors:
        return
    if not read.errors or not all(read.errors):
        yield f"{where}: refused without a word"
    for text in read.errors:
        if language == "ko" and not HANGUL.search(text):
            yield f"{where}: not Korean: {text[:80]}"
        if language == "en" and HANGUL.search(text.replace("업스테이지", "")):
            yield f"{where}: not English: {text[:80]}"
    if entry.kind in KEPT and not CHANGED_BY_HTML.search(value):
        now = [other.value for form in read.forms for other in form.inputs if other.name == entry.name]
        if now and value not in now and value.strip() not in now:
            yield f"{where}: what was typed is gone: {now[0][:40]!r}"


def test_no_form_sent_wrong_answers_with_an_error_or_forgets(world: dict[str, Any]) -> None:
    forms = find_forms(world)
    known = {resolve(found.address).view_name for found in forms}
    assert not sorted({route.name for route in routes() if route.has_form} - known)
    complaints: list[str] = []
    refused = dict.fromkeys(LANGUAGES, 0)
    for language in LANGUAGES:
        User.objects.update(language=language)
        turns = count()
        for found in forms:
            for entry, sent, value in _wrong(found, language, turns):
                answer = found.send(sent, language)
                refused[language] += answer.status_code == 422
                complaints += _complaints(found, entry, value, answer, language)
    assert not complaints, "\n".join(complaints[:60])
    assert len(forms) >= 60 and min(refused.values()) >= 500  # the pages were opened and their forms seen
