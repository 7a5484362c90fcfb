"""A node is lent to one organisation at a time, unless its pool lets them share."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from allocations.models import Allocation, Lease, Placement
from allocations.selectors import availability, capacities, free_times
from allocations.services import booking, ending, pools, reconcile
from common.errors import Forbidden, RuleBroken
from tests.allocations.conftest import Stage
from tests.factories.allocations import PlacementFactory, rival_award

pytestmark = pytest.mark.django_db


@pytest.fixture
def rival(stage: Stage) -> Allocation:
    """Another organisation's award on the same pool."""
    return rival_award(stage.cast, stage.pool)


def rival_books(stage: Stage, rival: Allocation, count: int, start: float = 1, hours: float = 2) -> Lease:
    """The other organisation's booking."""
    starts_at = stage.now + timedelta(hours=start)
    return booking.book(
        actor=stage.cast.outsider,
        allocation=rival,
        device_count=count,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=hours),
    )


def nodes_of(lease: Lease) -> set[str]:
    """Names of the nodes that a lease is on."""
    return set(lease.placements.values_list("node__name", flat=True))


def test_another_organisation_gets_another_node_or_a_clear_refusal(stage: Stage, rival: Allocation) -> None:
    ours = stage.book(2)
    theirs = rival_books(stage, rival, 2)
    assert nodes_of(ours).isdisjoint(nodes_of(theirs))
    with pytest.raises(RuleBroken) as refused:
        rival_books(stage, rival, 8)
    assert refused.value.code == "no_free_devices" and refused.value.facts["whole_nodes"] is True
    assert refused.value.facts["next_start"] == (stage.now + timedelta(hours=3)).isoformat()[:19] or (
        refused.value.facts["next_start"] is not None
    )


def test_ones_own_nodes_fill_up_before_another_is_begun(stage: Stage) -> None:
    first = stage.book(1)
    assert nodes_of(stage.book(3)) == nodes_of(first)


def test_what_is_free_is_said_for_whom_it_is_free(stage: Stage, rival: Allocation) -> None:
    held = stage.book(1)
    window = (held.starts_at, held.ends_at)
    size = held.placements.get().node.devices.count()
    ours, theirs = held.allocation.project.organisation_id, rival.project.organisation_id
    assert capacities.capacity(stage.pool, *window).free == 11
    assert capacities.capacity(stage.pool, *window, tenants=[ours]).free == 11
    assert capacities.capacity(stage.pool, *window, tenants=[theirs]).free == 12 - size
    for tenants in ([ours], [theirs]):
        counted = availability.free_devices(stage.pool, *window, tenants=tenants).count()
        assert counted == capacities.capacity(stage.pool, *window, tenants=tenants).free
    offer = free_times.next_free_window(stage.pool, 12, timedelta(hours=1), held.starts_at, tenants=[theirs])
    start, _end = offer or (None, None)
    assert start is not None and start >= held.ends_at


def test_a_shared_pool_lets_both_in(stage: Stage, rival: Allocation) -> None:
    pools.share_nodes(actor=stage.cast.operator, pool=stage.pool, shared=True, reason="small teams")
    stage.allocation.pool.refresh_from_db()
    rival.pool.refresh_from_db()
    ours, theirs = stage.book(9), rival_books(stage, rival, 3)
    assert nodes_of(ours) & nodes_of(theirs)
    with pytest.raises(RuleBroken) as refused:
        pools.share_nodes(actor=stage.cast.operator, pool=stage.pool, shared=False, reason="no more")
    assert refused.value.code == "nodes_are_shared"
    ending.cancel(actor=stage.cast.owner, lease=ours)
    pools.share_nodes(actor=stage.cast.operator, pool=stage.pool, shared=False, reason="no more")
    assert not Placement.objects.filter(released=False, shared=True).exists()


def test_only_operators_change_the_rule(stage: Stage) -> None:
    for person in (stage.cast.officer, stage.cast.owner):
        with pytest.raises(Forbidden):
            pools.share_nodes(actor=person, pool=stage.pool, shared=True, reason="because")


def test_the_database_itself_refuses_a_second_organisation(stage: Stage, rival: Allocation) -> None:
    ours = stage.book(1)
    other = ours.placements.get().node.devices.exclude(placements__lease=ours).first()
    theirs = rival_books(stage, rival, 1, start=10)
    with pytest.raises(IntegrityError, match="one_organisation_on_a_node"), transaction.atomic():
        PlacementFactory(lease=theirs, device=other, window=ours.placements.get().window)


def test_a_node_that_comes_back_late_keeps_the_next_organisation_waiting(stage: Stage, rival: Allocation) -> None:
    ours = stage.book(8, start=0.01, hours=1)
    (node,) = Placement.objects.filter(lease=ours).values_list("node", flat=True).distinct()
    theirs = rival_books(stage, rival, 8, start=2)
    assert set(theirs.placements.values_list("node", flat=True)) == {node}
    Lease.objects.filter(pk=ours.pk).update(state="active")
    ours.refresh_from_db()
    ending.start_draining(ours, "expire", actor=stage.cast.operator, end_reason="expired", now=ours.ends_at)
    window = Placement.objects.filter(lease=ours).first()
    assert window is not None and window.window.upper == theirs.starts_at
    reconcile.reconcile_lease(theirs.public_id, theirs.starts_at - timedelta(minutes=1))
    theirs.refresh_from_db()
    assert theirs.state == "scheduled"
