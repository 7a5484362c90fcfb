"""Until when a device is kept that is taken back, or whose longer window nobody confirmed, beside what lies there."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from allocations.models import Placement
from allocations.services import ending, extending, operating, pools, reshaping
from cluster.models import Device
from tests.allocations.conftest import Stage
from tests.allocations.nodes import answer
from tests.allocations.test_reconcile import brought_back, go, started

HOUR = timedelta(hours=1)


def test_work_that_is_over_does_not_keep_a_device_that_came_later_from_being_taken_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = started(stage, count=1)
    old = lease.placements.get().device
    other = stage.small if old.node == stage.big else stage.big
    operating.announce_maintenance(
        actor=stage.cast.operator,
        node=other,
        starts_at=lease.starts_at + timedelta(minutes=5),
        ends_at=lease.starts_at + timedelta(minutes=15),
        reason="a new fan",
    )
    at = lease.starts_at + timedelta(minutes=30)
    monkeypatch.setattr(timezone, "now", lambda: at)
    Device.objects.filter(node=old.node).exclude(pk=old.pk).update(state="quarantined")
    Device.objects.filter(pk=old.pk).update(health="fail")
    reshaping.swap_device(actor=stage.cast.owner, lease=lease, device=old)
    go(lease, at)
    for verbs in (["verify"], ["grant", "revoke"], ["reclaim"]):
        for verb in verbs:
            answer(lease, verb)
        go(lease, at)
    assert lease.placements.get(released=False).device.node == other
    go(lease, lease.ends_at)
    assert lease.state == "draining" and lease.placements.get(released=False).window.upper is None
    assert brought_back(lease, lease.ends_at + timedelta(seconds=5)).state == "ended"


@pytest.mark.parametrize("by", ["its partner", "the clock"])
def test_an_unconfirmed_extension_ends_though_the_pool_is_cleaned_longer_meanwhile(stage: Stage, by: str) -> None:
    lease = started(stage, count=12)
    extending.extend(actor=stage.cast.owner, lease=lease, ends_at=lease.ends_at + timedelta(minutes=10))
    lease.refresh_from_db()
    upper = lease.placements.first().window.upper
    follows = stage.book(12, start=(upper - stage.now) / HOUR, hours=1)
    terms = {"turnaround_seconds": 2 * 3600, "overcommit_percent": 0, "reason": "a slower check"}
    pools.set_terms(actor=stage.cast.operator, pool=stage.pool, **terms)
    if by == "its partner":
        ending.release(actor=stage.cast.owner, lease=lease)
    else:
        go(lease, lease.ends_at)
    lease.refresh_from_db()
    assert lease.state == "draining" and lease.pending_ends_at is None
    assert {row.window.upper for row in lease.placements.all()} == {follows.starts_at}


def test_work_may_be_announced_where_a_reservation_is_taken_back_before_its_start(stage: Stage) -> None:
    lease = go(stage.book(1), stage.now + timedelta(minutes=55))
    assert lease.state == "preparing"
    ending.release(actor=stage.cast.owner, lease=lease)
    node, begin = lease.placements.get().node, stage.now + timedelta(minutes=30)
    operating.announce_maintenance(
        actor=stage.cast.operator, node=node, starts_at=begin, ends_at=begin + 4 * HOUR, reason="a new fan", force=True
    )
    assert lease.placements.get().window.upper == begin
    covered: list[datetime] = [row.window.lower for row in Placement.objects.filter(maintenance__node=node)]
    assert set(covered) == {begin}
