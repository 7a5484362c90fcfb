"""The first page, by role."""

from typing import Any

import pytest
from django.test import Client

from tests.factories import AllocationFactory, Cast, LeaseFactory, UserFactory, make_cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def home(user: Any) -> str:
    client = Client()
    client.force_login(user)
    answer = client.get("/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_partner_without_anything_is_told_to_begin_with_a_proposal(cast: Cast) -> None:
    page = home(cast.owner)
    assert "begin with a proposal" in page and cast.agreement.number in page


def test_a_partner_sees_what_is_left_and_what_runs(cast: Cast) -> None:
    lease = LeaseFactory(allocation=AllocationFactory(project=cast.project), booked_by=cast.owner, state="active")
    page = home(cast.viewer)
    assert lease.public_id in page and "10,000.00 GPU-hours left" in page and "990,000.00" in page
    gpus = lease.allocation.pool.gpu_class
    assert gpus.name in page and gpus.code not in page  # the agreement's classes go by their names
    assert lease.public_id not in home(cast.outsider)


def test_who_may_not_book_is_not_asked_to(cast: Cast) -> None:
    allocation = AllocationFactory(project=cast.project)
    button = f"/allocations/{allocation.public_id}/book/"
    assert button in home(cast.teammate) and button in home(cast.owner)
    assert button not in home(cast.viewer)


def test_staff_see_the_queue_and_the_fleet(cast: Cast) -> None:
    page = home(cast.officer)
    assert "Proposals that wait" in page and "GPUs in use" in page


def test_a_reviewer_with_nothing_assigned_is_told_so(cast: Cast) -> None:
    assert "No proposal is assigned to you" in home(cast.reviewer)


def test_somebody_without_an_organisation_is_told_what_to_do(cast: Cast) -> None:
    assert "Ask the owner of your organisation" in home(UserFactory())


def test_visitors_are_led_to_the_sign_in() -> None:
    assert Client().get("/").status_code == 302


def test_charts_are_told_the_readers_time_zone(cast: Cast) -> None:
    cast.owner.time_zone = "Europe/Berlin"
    cast.owner.save()
    assert 'data-time-zone="Europe/Berlin"' in home(cast.owner)


def test_administrators_and_nobody_else_are_led_to_people(cast: Cast) -> None:
    assert 'href="/staff/people/"' in home(cast.administrator)
    for other in (cast.officer, cast.auditor, cast.owner):
        assert 'href="/staff/people/"' not in home(other)
