"""Every route is in the matrix, and the matrix is what the server does."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from tests.architecture.permissions import MATRIX
from tests.architecture.routes import Route, routes
from tests.architecture.world import address_of, make_world
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
OURS = [route for route in routes() if not route.name.startswith("?")]
DENIED = {401, 403, 404}


@pytest.fixture
def world() -> dict[str, Any]:
    """One object of every noun, all of the organisation `Upstage`, and the cast."""
    return make_world()


def _ask(user: User | None, address: str) -> int:
    """The status of a GET, or of an empty POST where GET is not for this address. A sign-in page counts as 401."""
    client = APIClient() if address.startswith("/api/") else Client()
    if user is not None:
        client.force_login(user)
    answer = client.get(address)
    if answer.status_code == 405:
        answer = client.post(address, {})
    assert answer.status_code < 500, address
    if answer.status_code == 302 and "/accounts/login/" in answer["Location"]:
        return 401
    return int(answer.status_code)


def _outcomes(route: Route, world: dict[str, Any], names: Iterator[str]) -> dict[str, int]:
    cast = world["cast"]
    address = address_of(route, world)
    people = {"anonymous": None, "juror": world["juror"]}
    return {name: _ask(people[name] if name in people else getattr(cast, name), address) for name in names}


def test_every_route_stands_in_the_matrix() -> None:
    missing = sorted(route.name for route in OURS if route.name not in MATRIX)
    assert not missing, f"who may open these? {missing}"


def test_the_matrix_names_only_routes_that_exist() -> None:
    known = {route.name for route in OURS} | {"demo", "demo-mail", "demo-mail-message", "demo-workload"}
    assert not sorted(set(MATRIX) - known)


@pytest.mark.parametrize("kind", ["member", "object", "staff", "review", "audit", "admin", "node"])
def test_anonymous_visitors_get_nowhere(kind: str, world: dict[str, Any]) -> None:
    leaks = {
        route.name: status
        for route in OURS
        if MATRIX.get(route.name) == kind
        and (status := _outcomes(route, world, iter(["anonymous"]))["anonymous"]) not in DENIED
    }
    assert not leaks


def test_objects_of_an_organisation_do_not_exist_for_others(world: dict[str, Any]) -> None:
    leaks, shut = {}, {}
    for route in OURS:
        if MATRIX.get(route.name) != "object":
            continue
        got = _outcomes(route, world, iter(["outsider", "reviewer", "owner"]))
        if got["outsider"] != 404 or got["reviewer"] != 404:
            leaks[route.name] = got
        if got["owner"] == 404 and "document" not in route.name:
            shut[route.name] = got
    assert not leaks
    assert not shut


def test_a_review_is_its_reviewers_alone(world: dict[str, Any]) -> None:
    leaks, shut = {}, {}
    for route in OURS:
        if MATRIX.get(route.name) != "review":
            continue
        got = _outcomes(route, world, iter(["owner", "outsider", "juror", "reviewer"]))
        if any(got[name] != 404 for name in ("owner", "outsider", "juror")):
            leaks[route.name] = got
        if got["reviewer"] == 404 and "file" not in route.name:  # the proposal has none
            shut[route.name] = got
    assert not leaks
    assert not shut


@pytest.mark.parametrize(
    ("kind", "outside", "inside"),
    [
        ("staff", ("owner", "outsider", "reviewer"), ("officer", "administrator", "operator")),
        ("audit", ("owner", "reviewer", "officer", "operator"), ("auditor", "administrator")),
        ("admin", ("owner", "reviewer", "officer", "operator", "auditor"), ("administrator",)),
        ("node", ("owner", "officer", "administrator"), ()),
    ],
)
def test_agency_pages_are_shut_to_others(
    kind: str, outside: tuple[str, ...], inside: tuple[str, ...], world: dict[str, Any]
) -> None:
    leaks, shut = {}, {}
    for route in OURS:
        if MATRIX.get(route.name) != kind:
            continue
        got = _outcomes(route, world, iter(outside + inside))
        if any(got[name] not in DENIED for name in outside):
            leaks[route.name] = got
        if inside and route.name != "sample-detail" and all(got[name] in DENIED for name in inside):  # no samples yet
            shut[route.name] = got
    assert not leaks
    assert not shut


def test_a_person_of_no_organisation_sees_empty_lists_and_no_error(world: dict[str, Any]) -> None:
    stranger = UserFactory()
    for route in OURS:
        if MATRIX.get(route.name) == "member" and not route.parameters:
            assert _ask(stranger, address_of(route, world)) < 500
