"""Every route is in the matrix, and the matrix is what the server does."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import User
from partners.models import Invitation
from proposals.services import drafting
from tests.architecture.permissions import MATRIX
from tests.architecture.routes import Route, routes
from tests.factories import AllocationFactory, LeaseFactory, UserFactory
from tests.proposals.stage import make_stage

pytestmark = pytest.mark.django_db
OURS = [route for route in routes() if not route.name.startswith("?")]
CALLS = ("proposals:call", "proposals:call-edit")
DENIED = {401, 403, 404}


@pytest.fixture
def world() -> dict[str, Any]:
    """One object of every noun, all of the organisation `Upstage`, and the cast."""
    stage = make_stage()
    cast = stage.cast
    proposal = stage.draft()
    proposal = drafting.submit(actor=cast.owner, proposal=proposal)
    allocation = AllocationFactory(project=cast.project, pool=stage.pool)
    node = stage.pool.nodes.first()
    assert node
    return {
        "cast": cast,
        "agreement": cast.agreement.public_id,
        "allocation": allocation.public_id,
        "lease": LeaseFactory(allocation=allocation, booked_by=cast.owner).public_id,
        "organisation": cast.organisation.public_id,
        "partner": cast.organisation.public_id,
        "project": cast.project.public_id,
        "proposal": proposal.public_id,
        "call": stage.call.public_id,
        "node": node.public_id,
        "device": node.devices.first().public_id,
        "pool": stage.pool.public_id,
        "person": cast.officer.public_id,
        "user": cast.teammate,
        "invitation": Invitation.objects.create(
            organisation=cast.organisation,
            email="new@upstage.example.test",
            role="member",
            token_hash="0" * 64,
            expires_at="2099-01-01T00:00:00Z",
        ),
    }


def _object_of(name: str, world: dict[str, Any]) -> str:
    """Which object's id belongs into the address of this route."""
    last = name.split(":")[-1]
    if name in (*CALLS, "proposals:proposal-new", "proposals:proposal-check") or name.startswith("call-"):
        return str(world["call"])
    if name in ("partners:agreement-new",):
        return str(world["organisation"])
    if name in ("allocations:book", "allocations:book-check", "allocations:ledger"):
        return str(world["allocation"])
    for word in (
        "agreement",
        "allocation",
        "lease",
        "organisation",
        "project",
        "proposal",
        "node",
        "device",
        "pool",
        "person",
    ):
        if last.startswith(word):
            return str(world[word])
    owner = {"partners": "organisation", "projects": "project", "proposals": "proposal", "accounts": "person"}
    if last.startswith("sample"):
        return str(world["device"])
    return str(world[owner[name.split(":")[0]]]) if name.split(":")[0] in owner else "none-22222222"


def _address(route: Route, world: dict[str, Any]) -> str:
    values = {
        "public_id": _object_of(route.name, world),
        "user_id": world["cast"].viewer.public_id if "member-remove" in route.name else world["user"].public_id,
        "invitation_id": world["invitation"].public_id,
        "pk": "1",
        "token": "no-such-token",
        "key": "none",
        "format": "json",
    }
    return reverse(route.name, kwargs={name: values[name] for name in route.parameters})


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
    address = _address(route, world)
    return {name: _ask(None if name == "anonymous" else getattr(cast, name), address) for name in names}


def test_every_route_stands_in_the_matrix() -> None:
    missing = sorted(route.name for route in OURS if route.name not in MATRIX)
    assert not missing, f"who may open these? {missing}"


def test_the_matrix_names_only_routes_that_exist() -> None:
    known = {route.name for route in OURS} | {"demo", "demo-mail", "demo-mail-message", "demo-workload"}
    assert not sorted(set(MATRIX) - known)


@pytest.mark.parametrize("kind", ["member", "object", "staff", "audit", "admin", "node"])
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
            assert _ask(stranger, _address(route, world)) < 500
