"""Every operation of the API schema, sent with what programs send by mistake or on purpose.

Never a 500; every refusal is problem+json with a title. Rows are put back after each request.
"""

import json
import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from accounts.models import User
from tests.architecture.world import make_world

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(600)]

VALUES: tuple[Any, ...] = (
    None,
    True,
    [],
    {},
    [[None]],
    -1,
    0,
    10**30,
    "",
    "NaN",
    "x" * 5_000,
    "a\x00b",
    "2026-13-45T99:00",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
    "lease-22222222",
    "🦀",
    "\ud800",
)
BODIES = (
    "",
    "{",
    "[]",
    "null",
    '"x"',
    "5",
    "1e999",
    '{"": 1}',
    '{"a": ' + "[" * 20_000 + "]" * 20_000 + "}",
    "\ufeff{}",
)
QUERY = ("", "-1", "0", "99999999999999999999", "x" * 500, "a%00b", "%ff", "2026-13-45", "0001-01-01T00:00:00Z", "*")
PEOPLE = ("owner", "officer", "administrator", "reviewer")
WRITES = ("post", "put", "patch", "delete")
PLURALS = {
    "call-reviews": "call",
    "people": "person",
    "agreements": "agreement",
    "calls": "call",
    "proposals": "proposal",
}
IN_PATH = re.compile(r"\{(\w+)\}")
Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture
def schema() -> dict[str, Any]:
    described: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return described


@pytest.fixture
def world(settings: Any, tmp_path: Any) -> dict[str, Any]:
    settings.MEDIA_ROOT = tmp_path
    settings.RATELIMIT_ENABLE = False
    return make_world()


def operations(schema: dict[str, Any], world: dict[str, Any]) -> Iterator[Operation]:
    """(method, address, operation), each path filled with an object that is there."""
    for path, methods in sorted(schema["paths"].items()):
        if not path.startswith("/api/v1/"):
            continue
        noun = path.split("/")[3]
        known = world.get(PLURALS.get(noun, noun.removesuffix("s")), "none-22222222")
        address = IN_PATH.sub(lambda found: "1" if found[1] in ("id", "pk") else str(known), path)  # noqa: B023
        for method, operation in methods.items():
            yield method, address, operation


def properties(schema: dict[str, Any], operation: dict[str, Any]) -> list[str]:
    """Names of the fields that the operation takes as JSON."""
    content = operation.get("requestBody", {}).get("content", {})
    described = content.get("application/json", {}).get("schema", {})
    if "$ref" in described:
        described = schema["components"]["schemas"][described["$ref"].rsplit("/", 1)[-1]]
    return list(described.get("properties", {}))


def complaint(client: APIClient, method: str, address: str, body: str | None = None) -> str:
    """What is wrong with the answer, or nothing."""
    with transaction.atomic():
        send = getattr(client, method)
        answer = send(address) if body is None else send(address, data=body, content_type="application/json")
        transaction.set_rollback(True)
    what = f"{method} {address} {(body or '')[:80]!r}: {answer.status_code}"
    if answer.status_code >= 500 or answer.status_code == 429:
        return what
    if answer.status_code >= 400:
        told = answer.json() if "json" in answer.headers.get("Content-Type", "") else {}
        if "problem+json" not in answer.headers.get("Content-Type", "") or not told.get("title"):
            return f"{what}: no problem+json"
    return ""


def who_may(people: list[APIClient], method: str, address: str) -> APIClient | None:
    """The first whom this operation is not shut to: what others send wrong is never looked at. None: an object that is
    not there in this world."""
    for client in people:
        with transaction.atomic():
            send = getattr(client, method)
            answer = send(address, data="{}", content_type="application/json") if method in WRITES else send(address)
            transaction.set_rollback(True)
        if answer.status_code not in (403, 404):
            return client
    return None


def clients(world: dict[str, Any]) -> list[APIClient]:
    """Signed in with a session, as pages are."""
    made = []
    for name in PEOPLE:
        client = APIClient(raise_request_exception=False)
        client.force_login(getattr(world["cast"], name))
        made.append(client)
    return made


def test_no_body_brings_an_operation_down(schema: dict[str, Any], world: dict[str, Any]) -> None:
    complaints, sent, turns = [], 0, count()
    people = clients(world)
    for method, address, operation in operations(schema, world):
        if method not in WRITES:
            continue
        names = properties(schema, operation)
        able = who_may(people, method, address)
        bodies = [(people[at % len(people)], body) for at, body in enumerate(BODIES)]
        if able is not None:
            # Each value in all fields at once, and each field wrong alone, with every fourth value in turn.
            alone = [json.dumps({name: value}) for name in names for value in VALUES[next(turns) % 4 :: 4]]
            together = [json.dumps(dict.fromkeys(names, value)) for value in VALUES]
            bodies += [(able, body) for body in dict.fromkeys((*alone, *together))]  # without fields all are the same
        for client, body in bodies:
            complaints.append(complaint(client, method, address, body))
            sent += 1
        cache.clear()
    assert not [text for text in complaints if text], "\n".join(text for text in complaints if text)
    assert sent > 1_000


def test_no_query_brings_a_list_down(schema: dict[str, Any], world: dict[str, Any]) -> None:
    complaints, sent, turns = [], 0, count()
    people = clients(world)
    for method, address, operation in operations(schema, world):
        if method != "get":
            continue
        names = [entry["name"] for entry in operation.get("parameters", []) if entry["in"] == "query"]
        able = who_may(people, method, address) or people[0]
        for name in (*names, "page", "page_size", "sort", "ordering", "nonsense"):
            for value in QUERY[next(turns) % 4 :: 4]:
                complaints.append(complaint(able, method, f"{address}?{name}={value}"))
                sent += 1
        cache.clear()
    assert not [text for text in complaints if text], "\n".join(text for text in complaints if text)
    assert sent > 500 and User.objects.exists()
