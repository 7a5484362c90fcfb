"""A database that is away gives 503 in both skins, a fault gives 500, and neither needs the database to say so."""

from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
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
