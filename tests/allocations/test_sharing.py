"""Viewers share what refreshes itself; each is given only what is of the reservation that they may see, as they may."""

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from allocations.models import Allocation, Lease
from cluster.models import Device
from tests.allocations.test_views import running, sign_in
from tests.factories import AllocationFactory, PoolFactory, ProjectFactory, make_cast, make_node
from tests.factories.cast import Cast
from tests.factories.telemetry import make_sample

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast(settings: Any) -> Cast:
    settings.SHARED_SECONDS = 5
    return make_cast()


def lease_of(project: Any, user: Any, percent: int) -> Lease:
    allocation: Allocation = AllocationFactory(project=project, pool=PoolFactory())
    make_node(allocation.pool)
    lease = running(allocation, user)
    for row in lease.placements.all():
        make_sample(row.device, timezone.now(), percent, memory_used_mib=percent)
    return lease


def polled(lease: Lease) -> list[str]:
    names = ("lease-live", "lease-series", "lease-host-series")
    return [reverse(f"allocations:{name}", args=[lease.public_id]) for name in names]


def test_another_organisation_is_given_nothing_of_what_was_made_for_one(cast: Cast) -> None:
    mine = lease_of(cast.project, cast.owner, 87)
    organisation = cast.outsider.memberships.get().organisation
    other = lease_of(ProjectFactory(agreement__organisation=organisation, organisation=organisation), cast.outsider, 43)
    pages = {}
    for lease, user in ((mine, cast.owner), (other, cast.outsider), (mine, cast.officer), (other, cast.auditor)):
        for address in polled(lease):
            answer = sign_in(user).get(address)
            assert answer.status_code == 200 and "no-store" in answer["Cache-Control"]
            pages[user.pk, address] = answer.content.decode()
    for lease, stranger in ((mine, cast.outsider), (other, cast.owner)):
        for address in polled(lease):
            assert sign_in(stranger).get(address).status_code == 404
    for lease, user, figure, strange in ((mine, cast.owner, ">87<", ">43<"), (other, cast.outsider, ">43<", ">87<")):
        page = pages[user.pk, polled(lease)[0]]
        assert figure in page and strange not in page and lease.public_id in page


def test_who_may_do_more_sees_it_and_who_may_not_does_not(cast: Cast) -> None:
    lease = lease_of(cast.project, cast.owner, 87)
    Device.objects.filter(pk__in=lease.placements.values("device")).update(health="fail")
    address, swap = polled(lease)[0], reverse("allocations:lease-swap", args=[lease.public_id])
    seen = [
        swap in sign_in(user).get(address).content.decode()
        for user in (cast.viewer, cast.owner, cast.teammate, cast.operator, cast.viewer, cast.auditor)
    ]
    assert seen == [False, True, False, True, False, False]


def test_a_team_is_shown_what_was_made_for_the_first_of_it_until_something_happens(cast: Cast) -> None:
    lease = lease_of(cast.project, cast.owner, 87)
    live = polled(lease)[0]
    first = sign_in(cast.teammate).get(live).content
    make_sample(lease.placements.order_by("pk")[0].device, timezone.now(), 12)
    assert sign_in(cast.viewer).get(live).content == first
    Lease.objects.filter(pk=lease.pk).update(state_reason="node_lost", ends_at=timezone.now())
    assert sign_in(cast.viewer).get(live).content != first
