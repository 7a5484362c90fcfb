"""People who may not get in any more: their certificates are refused by the nodes long before they end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from allocations.models import Lease
from allocations.services import access
from audit.models import AuditEvent
from cluster.models import Grant
from cluster.services.certificates import refused_serials
from partners.models import Membership
from tests.allocations.conftest import Stage
from tests.allocations.test_access import ask
from tests.allocations.test_reconcile import started

pytestmark = pytest.mark.django_db


@pytest.fixture
def lease(stage: Stage) -> Lease:
    """A running lease with certificates for owner and teammate."""
    running = started(stage, count=2)
    for person in (stage.cast.owner, stage.cast.teammate):
        ask(person, running)
    return running


def serials(lease: Lease) -> list[int]:
    """What the lease's node is told to refuse."""
    return refused_serials(Grant.objects.get(lease_ref=lease.public_id).node_id)


def leave_team(person: Any, stage: Stage) -> None:
    stage.cast.project.team.filter(user=person).delete()


def leave_organisation(person: Any, stage: Stage) -> None:
    Membership.objects.filter(user=person).delete()


def become_viewer(person: Any, stage: Stage) -> None:
    Membership.objects.filter(user=person).update(role="viewer")


def be_closed(person: Any, stage: Stage) -> None:
    person.is_active = False
    person.save()


@pytest.mark.parametrize("how", [leave_team, leave_organisation, become_viewer, be_closed])
def test_whoever_may_not_enter_any_more_is_refused(stage: Stage, lease: Lease, how: Any) -> None:
    assert access.withdraw(timezone.now()) == 0 and serials(lease) == []
    how(stage.cast.teammate, stage)
    assert access.withdraw(timezone.now()) == 1
    (serial,) = serials(lease)
    event = AuditEvent.objects.get(verb="certificate.revoke")
    assert event.changes["serial"] == serial
    assert access.withdraw(timezone.now()) == 0 and serials(lease) == [serial]


def test_managers_and_whoever_booked_it_stay(stage: Stage, lease: Lease) -> None:
    leave_team(stage.cast.owner, stage)
    assert access.withdraw(timezone.now()) == 0 and serials(lease) == []


def test_a_certificate_that_has_ended_is_not_said_any_more(stage: Stage, lease: Lease) -> None:
    leave_organisation(stage.cast.teammate, stage)
    assert access.withdraw(lease.ends_at + timedelta(seconds=1)) == 0
    access.withdraw(timezone.now())
    Grant.objects.filter(lease_ref=lease.public_id).update(revoked_at=timezone.now())
    assert serials(lease) == []


def test_looking_costs_one_query_however_many_there_are(
    stage: Stage, lease: Lease, django_assert_num_queries: Any
) -> None:
    for _turn in range(5):
        ask(stage.cast.owner, lease)
    with django_assert_num_queries(1):
        access.withdraw(timezone.now())
