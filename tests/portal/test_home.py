"""The first page, by role."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from proposals.models import Call, ChangeRequest, Proposal, ProposalStep
from proposals.services import preparing
from tests.factories import AllocationFactory, Cast, LeaseFactory, UserFactory, make_cast
from tests.proposals.jury import make_jury
from tests.proposals.stage import make_stage
from tests.queries import MOST_A_PAGE, queries_of

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


def test_staff_see_what_of_the_programme_waits_and_come_to_just_that() -> None:
    stage = make_stage()
    cast = stage.cast
    make_jury(stage).started()
    ProposalStep.objects.update(due_at=timezone.now() - timedelta(days=1))
    Call.objects.update(two_person_gpu_seconds=1)
    first = stage.submitted()
    preparing.prepare(actor=cast.officer, proposal=first, kind="award", lines=[stage.ask(first)])
    other = stage.submitted()
    preparing.prepare(actor=cast.officer, proposal=other, kind="decline", reason="No.")
    Proposal.objects.filter(pk=stage.submitted().pk).update(state="appealed")
    Proposal.objects.filter(pk=stage.submitted().pk).update(state="in_review")
    allocation = AllocationFactory(project=cast.project)
    ChangeRequest.objects.create(
        allocation=allocation, kind="hours", gpu_seconds=1, reason="More.", asked_by=cast.owner
    )
    client = Client()
    client.force_login(cast.officer)
    found = {str(line.label): line for line in client.get("/").context["staff"].work}
    wanted = {
        "Proposals not taken into review yet": 2,
        "Steps of review to be taken": 1,
        "Steps of review past their deadline": 1,
        "Proposals to be decided on": 1,
        "Prepared decisions to be released": 2,
        "Prepared decisions that wait for a second officer": 1,
        "Appeals to be answered": 1,
        "Changes to awards to be decided": 1,
    }
    for label, line in found.items():
        assert line.count == wanted.get(label, 0), label
        assert client.get(line.url).context["paginator"].count == line.count, label
    assert found["Steps of review past their deadline"].late
    assert len(queries_of(lambda: client.get("/"))) <= MOST_A_PAGE


def test_operators_see_the_technical_checks_alone(cast: Cast) -> None:
    page = home(cast.operator)
    assert "Technical checks to be taken" in page and "Appeals to be answered" not in page
    assert "Nothing waits in any of these lists." in page and "2 lists in which nothing waits" in page
