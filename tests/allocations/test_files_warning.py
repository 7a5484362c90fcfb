"""Whoever gets in is told, before it is too late, that the end of the reservation deletes their files.

That it does: tests/agent/test_executor.py, test_reclaiming_removes_what_the_people_left_behind.
"""

from typing import Any

import pytest
from django.urls import reverse

from allocations.models import Allocation, Lease
from notifications.models import Mail
from tests.allocations.conftest import Stage
from tests.allocations.test_reconcile import started
from tests.allocations.test_views import running, sign_in
from tests.factories import AllocationFactory, Cast, PoolFactory, make_cast, make_node

pytestmark = pytest.mark.django_db
WARNING = "Files in the login folder are deleted"


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def allocation(cast: Cast) -> Allocation:
    allocation: Allocation = AllocationFactory(project=cast.project, pool=PoolFactory())
    make_node(allocation.pool)
    return allocation


def page(lease: Lease, user: Any) -> str:
    return sign_in(user).get(lease.get_absolute_url()).content.decode()


@pytest.mark.parametrize("who", ["owner", "teammate", "viewer", "operator"])
def test_the_page_of_a_running_reservation_says_it_to_everybody(cast: Cast, allocation: Allocation, who: str) -> None:
    assert WARNING in page(running(allocation, cast.owner), getattr(cast, who))


def test_the_page_shows_a_command_that_copies_the_folder_out(cast: Cast, allocation: Allocation) -> None:
    lease = running(allocation, cast.owner)
    shown = page(lease, cast.owner)
    assert "lease-login@gpu.example.test tar czf - . &gt; " + lease.public_id in shown
    assert "tar czf" not in page(lease, cast.viewer)


@pytest.mark.parametrize(("state", "said"), [("scheduled", True), ("preparing", True), ("ended", False)])
def test_it_is_said_before_the_start_and_no_longer_after_the_end(
    cast: Cast, allocation: Allocation, state: str, said: bool
) -> None:
    lease = running(allocation, cast.owner)
    Lease.objects.filter(pk=lease.pk).update(state=state)
    assert (WARNING in page(lease, cast.owner)) is said


def test_releasing_early_says_it_first(cast: Cast, allocation: Allocation) -> None:
    url = reverse("allocations:lease-release", args=[running(allocation, cast.owner).public_id])
    assert WARNING in sign_in(cast.owner).get(url).content.decode()


def test_the_mail_of_the_handover_says_it(stage: Stage) -> None:
    lease = started(stage)
    mail = Mail.objects.get(address=stage.cast.owner.email, subject__contains=f"{lease.public_id} has begun")
    assert WARNING in mail.body and "copy out what you need" in mail.body
