"""A database that is away gives 503 in both skins, a fault gives 500, and neither needs the database to say so."""

from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from tests.factories import Cast, make_cast


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def away(*args: Any, **kwargs: Any) -> None:
    """What every statement gets while PostgreSQL is down."""
    raise OperationalError("the connection is closed")


def broken(*args: Any, **kwargs: Any) -> None:
    raise ValueError("a fault of ours")


def test_pages_say_that_the_database_is_away(cast: Cast) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(cast.owner)
    for path in ("/", "/leases/", "/leases/lease-22222222/"):
        with connection.execute_wrapper(away):
            answer = client.get(path)
        assert answer.status_code == 503 and answer["Retry-After"] == "10"
        assert "데이터베이스에 연결할 수 없습니다" in answer.content.decode()


def test_the_api_says_it_as_problem_json(cast: Cast) -> None:
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(cast.owner)
    with connection.execute_wrapper(away):
        answer = client.get("/api/v1/leases/", headers={"accept-language": "en"})
    assert answer.status_code == 503 and answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "unavailable" and "database" in answer.json()["title"]


def test_a_fault_of_ours_stays_a_500(cast: Cast) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(cast.owner)
    with connection.execute_wrapper(broken):
        answer = client.get("/leases/")
    assert answer.status_code == 500 and "Retry-After" not in answer.headers


def test_the_address_of_a_button_leads_back_to_its_page(cast: Cast) -> None:
    client = Client(headers={"accept-language": "en"})
    client.force_login(cast.officer)
    answer = client.get(reverse("partners:agreement-resume", args=[cast.agreement.public_id]))
    assert answer.status_code == 405 and answer["Allow"] == "POST"
    assert f'href="{cast.agreement.get_absolute_url()}"' in answer.content.decode()


def test_a_form_that_expired_is_answered_by_a_page_of_ours(cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True, headers={"accept-language": "ko"})
    client.force_login(cast.officer)
    answer = client.post(reverse("partners:agreement-resume", args=[cast.agreement.public_id]))
    assert (
        answer.status_code == 403
        and "403_csrf.html" in [one.name for one in answer.templates]
        and "<nav" in answer.content.decode()
    )
