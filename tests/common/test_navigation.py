"""Which entry of the bar is lit on which page."""

from typing import Any

import pytest
from django.test import RequestFactory
from django.urls import get_resolver

from common.templatetags.navigation import ALSO, navigation
from tests.factories import Cast, make_cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def lit(user: Any, path: str) -> str:
    """The address of the entry that is lit there."""
    request = RequestFactory().get(path)
    request.user = user
    [*found] = [entry.url for group in navigation({"request": request}) for entry in group.entries if entry.active]
    assert len(found) <= 1
    return found[0] if found else ""


@pytest.mark.parametrize(
    ("path", "staff", "partner"),
    [
        ("/", "/", "/"),
        ("/staff/", "/staff/", ""),
        ("/staff/devices/dev-1/", "/staff/", ""),
        ("/staff/letters/", "/staff/decisions/", ""),
        ("/letters/let-1/", "/staff/decisions/", "/proposals/"),
        ("/proposals/prop-1/", "/staff/proposals/", "/proposals/"),
        ("/staff/assignments/as-1/remove/", "/staff/proposals/", ""),
        ("/calls/call-1/edit/", "/staff/calls/", "/calls/"),
        ("/changes/chg-1/", "/changes/", "/allocations/"),
        ("/staff/changes/chg-1/decline/", "/changes/", ""),
        ("/agreements/agr-1/", "/agreements/", "/organisations/"),
        ("/contacts/con-1/", "/organisations/", "/organisations/"),
        ("/staff/idle/case-1/stop/", "/idle/", "/idle/"),
        ("/staff/leases/lease-1/breach/", "/leases/", "/leases/"),
        ("/progress-reports/rep-1/", "/staff/progress-reports/", "/projects/"),
    ],
)
def test_each_page_lights_the_entry_it_belongs_to(cast: Cast, path: str, staff: str, partner: str) -> None:
    assert (lit(cast.officer, path), lit(cast.owner, path)) == (staff, partner)


def test_every_page_of_the_agency_lights_one(cast: Cast) -> None:
    administrator = cast.administrator
    routes = [f"/{pattern.pattern}" for each in get_resolver().url_patterns for pattern in _leaves(each)]
    pages = [route.replace("<slug:public_id>", "x") for route in routes if route.startswith("/staff/")]
    dark = {page for page in pages if not lit(administrator, page)} - {"/staff/styleguide/", "/staff/series.json"}
    assert len(pages) > 60 and dark == set()


def _leaves(pattern: Any) -> list[Any]:
    inner = getattr(pattern, "url_patterns", None)
    return [pattern] if inner is None else [leaf for each in inner for leaf in _leaves(each)]


def test_what_belongs_to_an_entry_is_there() -> None:
    routes = {f"/{pattern.pattern}" for each in get_resolver().url_patterns for pattern in _leaves(each)}
    for beginnings in ALSO.values():
        assert all(any(route.startswith(each) for route in routes) for each in beginnings)
