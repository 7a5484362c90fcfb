"""The agents' way in passes by what is for browsers, and by nothing that holds for everybody."""

import time
from typing import Any

import pytest
from django.contrib.sessions.middleware import SessionMiddleware
from django.test import Client, override_settings
from django.utils import translation

from cluster.services.nodes import register_node
from common.actors import SEED
from tests.factories import PoolFactory

pytestmark = pytest.mark.django_db
SAMPLES = "/api/node/v1/samples/"


def call(path: str = SAMPLES, token: str = "nobody's", **more: Any) -> Any:
    body = {"boot_id": "b", "sequence": int(time.time()), "samples": []}
    more["HTTP_AUTHORIZATION"] = f"Node {token}"
    return Client(raise_request_exception=False).post(path, body, content_type="application/json", **more)


def test_a_call_of_a_node_asks_for_no_session_and_none_of_the_pages_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    _node, token = register_node(actor=SEED, name="gpu-1", pool=PoolFactory())
    asked: list[str] = []
    plain = SessionMiddleware.process_request

    def note(self: Any, request: Any) -> None:
        asked.append(request.path)
        plain(self, request)

    monkeypatch.setattr(SessionMiddleware, "process_request", note)
    answer = call(token=token)
    assert (answer.status_code, asked) == (202, [])
    assert answer.headers["X-Content-Type-Options"] == "nosniff" and "Content-Security-Policy" not in answer.headers
    assert call("/api/node/v1/nothing/").status_code == 404 and asked == ["/api/node/v1/nothing/"], "the common way"


def test_what_holds_for_everybody_holds_for_nodes() -> None:
    assert (call("/api/node/v1/nothing/").status_code, call(SAMPLES[:-1]).status_code) == (404, 301)
    assert call(HTTP_HOST="elsewhere.example").status_code == 400
    with override_settings(SECURE_SSL_REDIRECT=True):
        assert call().status_code == 301


def test_a_refusal_is_told_in_the_portals_own_language_whoever_was_served_before() -> None:
    said = []
    for language in ("ko", "en"):
        with translation.override(language):
            answer = call(HTTP_ACCEPT_LANGUAGE=language)
            assert answer.status_code == 401 and translation.get_language() == language
            said.append(answer.json()["title"])
    assert len(set(said)) == 1
