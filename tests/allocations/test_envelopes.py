"""Capacity promises: what an award holds before devices are named, and what can always be booked of it."""

import itertools
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Q
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocations.models import Allocation, Envelope, Lease, Pin, Placement
from allocations.selectors import availability, capacities
from allocations.selectors.envelopes import commitment, shortfalls
from allocations.selectors.occupancy import occupancy
from allocations.selectors.offers import Wish, find_slots
from allocations.services import awards, booking, changing, ending, envelopes, extending, operating, pools
from allocations.shapes import ANY, Shape
from audit.models import AuditEvent
from cluster.models import Device, Pool
from cluster.services import devices as device_verbs
from common.actors import RECONCILER, SEED
from common.errors import RuleBroken
from tests.allocations.conftest import Stage
from tests.factories.allocations import rival_award


def promise(stage: Stage, allocation: Allocation, gpus: int, *, start: float = 0, hours: float = 240) -> Envelope:
    """Hold so many GPUs for an allocation from `start` hours on."""
    begin = stage.now + timedelta(hours=start)
    envelope = envelopes.hold(
        actor=SEED,
        pool=stage.pool,
        organisation=allocation.project.organisation,
        gpus=gpus,
        starts_at=begin,
        ends_at=begin + timedelta(hours=hours),
        award_ref="prop-test",
    )
    envelopes.attach(actor=SEED, envelope=envelope, allocation=allocation)
    allocation.refresh_from_db()
    return envelope


@pytest.fixture
def kept(stage: Stage) -> Stage:
    """The stage in which 8 of 12 GPUs are guaranteed to the allocation for ten days."""
    promise(stage, stage.allocation, 8)
    return stage


@pytest.fixture
def rival(stage: Stage) -> Allocation:
    return rival_award(stage.cast, stage.pool)


def theirs(stage: Stage, rival: Allocation, count: int, **more: Any) -> Lease:
    return stage.book(count, allocation=rival, actor=stage.cast.outsider, **more)


def missing(stage: Stage, since: float = 0.02, until: float = 240) -> list[tuple[int, float, float]]:
    """(GPUs, from, until) of every stretch in which a promise falls short, in hours from now."""
    span = (stage.now + timedelta(hours=since), stage.now + timedelta(hours=until))
    return [
        (row.gpus, *(round((at - stage.now).total_seconds() / 3600, 2) for at in (row.since, row.until)))
        for row in shortfalls(Envelope.objects.all(), *span)
    ]


def held_of(envelope: Envelope) -> set[tuple[int, Any, Any]]:
    rows = Placement.objects.filter(envelope=envelope, released=False)
    return {(row.device_id, row.window.lower, row.window.upper) for row in rows}


def test_nobody_else_gets_what_is_guaranteed(kept: Stage, rival: Allocation) -> None:
    window = (kept.now + timedelta(hours=1), kept.now + timedelta(hours=3))
    for tenants, own, free in ((None, None, 4), ([rival.project.organisation_id], None, 4), (None, 1, 12)):
        envelope = kept.allocation.envelope_key if own else None
        assert availability.free_devices(kept.pool, *window, tenants=tenants, envelope=envelope).count() == free
        assert capacities.capacity(kept.pool, *window, tenants=tenants, envelope=envelope).free == free
    with pytest.raises(RuleBroken) as refused:
        theirs(kept, rival, 5)
    assert refused.value.code == "no_free_devices"
    assert theirs(kept, rival, 4)


def test_before_and_after_the_promise_everybody_may_book(stage: Stage, rival: Allocation) -> None:
    promise(stage, stage.allocation, 12, start=5, hours=5)
    assert theirs(stage, rival, 12, start=1, hours=4)
    assert theirs(stage, rival, 12, start=10, hours=4)
    with pytest.raises(RuleBroken) as refused:
        theirs(stage, rival, 1, start=4.5, hours=1)
    start = refused.value.facts["next_start"]
    assert availability.whole_minute(stage.now + timedelta(hours=14)).isoformat() == start


def test_what_is_guaranteed_can_be_booked_when_all_else_is_taken(kept: Stage, rival: Allocation) -> None:
    theirs(kept, rival, 4, hours=100)
    lease = kept.book(8, start=2, hours=50)
    pinned = set(Pin.objects.values_list("device", flat=True))
    assert set(lease.placements.values_list("device", flat=True)) == pinned


def test_a_booking_takes_its_own_first_and_leaves_the_rest_kept(kept: Stage) -> None:
    lease = kept.book(2, start=2, hours=2)
    envelope = Envelope.objects.get()
    rows = held_of(envelope)
    taken = set(lease.placements.values_list("device", flat=True))
    assert taken <= set(Pin.objects.values_list("device", flat=True))
    for pk in taken:
        own = sorted((lower, upper) for device, lower, upper in rows if device == pk)
        assert [own[0][1], own[1][0]] == [lease.starts_at, lease.ends_at] and len(own) == 2
    assert len(rows) == 6 + 2 * 2


@pytest.mark.parametrize("end", ["cancel", "reclaim", "change"])
def test_what_is_given_back_is_kept_again(kept: Stage, end: str) -> None:
    envelope = Envelope.objects.get()
    before = {row[0] for row in held_of(envelope)}
    lease = kept.book(3, start=2, hours=2)
    if end == "cancel":
        ending.cancel(actor=kept.cast.owner, lease=lease)
    elif end == "reclaim":
        ending.reclaim(actor=kept.cast.officer, lease=lease, reason="needed elsewhere")
    else:
        later = kept.now + timedelta(hours=300)
        Allocation.objects.update(valid_until=later + timedelta(hours=9))
        changing.change(
            actor=kept.cast.owner,
            lease=lease,
            device_count=1,
            starts_at=later,
            ends_at=later + timedelta(hours=1),
            shape=ANY,
        )
    rows = held_of(envelope)
    assert {row[0] for row in rows} == before and len(rows) == 8
    assert {upper for _device, _lower, upper in rows} == {envelope.ends_at}


def test_an_extension_inside_the_promise_never_meets_anybody(kept: Stage, rival: Allocation) -> None:
    lease = kept.book(8, start=2, hours=2)
    theirs(kept, rival, 4, start=1, hours=100)
    extending.extend(actor=kept.cast.owner, lease=lease, ends_at=lease.ends_at + timedelta(hours=20))
    assert {row.window.upper for row in lease.placements.all()} == {lease.ends_at + timedelta(hours=20)}


def test_own_bookings_move_when_they_lie_in_the_way(stage: Stage, rival: Allocation) -> None:
    promise(stage, stage.allocation, 2)
    theirs(stage, rival, 8, start=0.5, hours=100, devices=list(stage.big.devices.all()))
    first, second = list(Pin.objects.order_by("device").values_list("device", flat=True))
    early = stage.book(1, start=2, hours=5, devices=[Device.objects.get(pk=first)])
    late = stage.book(1, start=7, hours=5, devices=[Device.objects.get(pk=second)])
    spare = stage.small.devices.exclude(pk__in=[first, second])
    Device.objects.filter(pk__in=spare).update(health="fail")
    whole = stage.book(1, start=2, hours=10)
    on = {lease.pk: set(lease.placements.values_list("device", flat=True)) for lease in (early, late, whole)}
    assert on[early.pk] == on[late.pk] != on[whole.pk]
    moved = AuditEvent.objects.filter(verb="lease.replace_devices")
    assert moved.count() == 1 and "room" in str(moved.get().changes)


def test_what_moves_for_another_is_cleaned_as_long_as_when_it_was_booked(stage: Stage, rival: Allocation) -> None:
    promise(stage, stage.allocation, 2)
    theirs(stage, rival, 8, start=0.5, hours=100, devices=list(stage.big.devices.all()))
    first, second = [pin.device for pin in Pin.objects.order_by("device")]
    stage.small.devices.exclude(pk__in=[first.pk, second.pk]).update(health="fail")
    stage.book(1, start=2, hours=5, devices=[first])
    late = stage.book(1, start=7, hours=5, devices=[second])
    stage.book(1, start=12, hours=2, devices=[first])
    terms: dict[str, Any] = {"turnaround_seconds": 3600, "overcommit_percent": 100, "reason": "a slower check"}
    pools.set_terms(actor=stage.cast.operator, pool=stage.pool, **terms)
    assert stage.book(1, start=2, hours=6).placements.get().device == second
    moved = late.placements.get()
    assert (moved.device, moved.window.upper) == (first, late.ends_at)


def test_what_is_not_there_cannot_be_guaranteed(kept: Stage, rival: Allocation) -> None:
    with pytest.raises(RuleBroken) as refused:
        promise(kept, rival, 5)
    assert (refused.value.code, refused.value.facts["ceiling"]) == ("no_capacity", 4)
    assert Envelope.objects.count() == 1
    assert promise(kept, rival, 4)


def test_a_promise_ends_with_its_allocation(kept: Stage, rival: Allocation) -> None:
    awards.close(actor=kept.cast.officer, allocation=kept.allocation, reason="the project is over")
    envelope = Envelope.objects.get()
    assert envelope.let_go_at and not envelope.placements.filter(released=False).exists()
    assert theirs(kept, rival, 12)
    envelopes.let_go(actor=SEED, envelope=envelope, reason="again")
    assert AuditEvent.objects.filter(verb="envelope.let_go").count() == 1


def test_what_was_kept_for_a_promise_while_it_was_let_go_keeps_nobody_off(kept: Stage, rival: Allocation) -> None:
    envelope, pin = Envelope.objects.get(), Pin.objects.first()
    row = Placement.objects.filter(envelope=envelope, device=pin.device_id).get()
    awards.close(actor=kept.cast.officer, allocation=kept.allocation, reason="the project is over")
    # What somebody writes who has read the promise before and commits after it was let go.
    for left in (row, pin):
        left.pk = None
        left.save(force_insert=True)
    with pytest.raises(RuleBroken):
        theirs(kept, rival, 12)
    envelopes.mend(kept.now)
    assert theirs(kept, rival, 12) and not Pin.objects.exists()


def test_a_device_that_falls_ill_makes_way_for_another(kept: Stage) -> None:
    pin = Pin.objects.order_by("device").first()
    device_verbs.quarantine(actor=RECONCILER, devices=[pin.device_id], reason="xid")
    envelope = Envelope.objects.get()
    assert missing(kept) == [(1, 0.02, 240)]
    assert envelopes.mend(kept.now) == 1 and envelopes.mend(kept.now) == 0
    assert missing(kept) == []
    assert pin.device_id not in {row[0] for row in held_of(envelope)} and len(held_of(envelope)) == 8


def test_without_another_the_promise_falls_short_until_there_is_one(kept: Stage, rival: Allocation) -> None:
    lease = theirs(kept, rival, 4, start=0, hours=300)
    pin = Pin.objects.order_by("device").first()
    device_verbs.quarantine(actor=RECONCILER, devices=[pin.device_id], reason="xid")
    assert envelopes.mend(kept.now) == 0
    assert missing(kept, 5, 6) == [(1, 5, 6)], "what is asked about, and no more"
    ending.cancel(actor=kept.cast.outsider, lease=lease)
    assert envelopes.mend(kept.now) == 1 and missing(kept) == []


def test_work_on_a_node_moves_what_is_guaranteed_there_or_is_refused(kept: Stage, rival: Allocation) -> None:
    node = Device.objects.get(pk=Pin.objects.first().device_id).node
    ask = {
        "actor": kept.cast.operator,
        "node": node,
        "starts_at": kept.now + timedelta(hours=5),
        "ends_at": kept.now + timedelta(hours=9),
        "reason": "new fans",
    }
    with pytest.raises(RuleBroken) as refused:
        operating.announce_maintenance(**ask)
    envelope = Envelope.objects.get()
    assert (refused.value.code, refused.value.facts) == ("guarantees", {"envelopes": {envelope.public_id: 4}})
    assert Pin.objects.count() == 8, "nothing has changed"
    done = operating.announce_maintenance(**ask, force=True)
    during = Q(since__lte=ask["starts_at"], until__gte=ask["ends_at"])
    assert Pin.objects.filter(during).count() == 4 and done.target.placements.count() == 8
    assert missing(kept) == [(4, 5, 9)]
    with pytest.raises(RuleBroken):
        kept.book(5, start=5, hours=2)
    assert kept.book(8, start=9, hours=20) and kept.book(8, start=1, hours=4)


def test_the_find_page_offers_what_is_guaranteed(kept: Stage, rival: Allocation) -> None:
    theirs(kept, rival, 4, start=0, hours=239)
    wish = Wish(8, 8, timedelta(hours=4), kept.now, kept.now + timedelta(hours=100))
    found = find_slots([kept.allocation], wish, kept.now)
    assert found and found[0].delay <= timedelta(minutes=1)
    assert not find_slots([rival], wish, kept.now)


def test_the_calendar_shows_it_to_whom_it_concerns(kept: Stage) -> None:
    span = (kept.now, kept.now + timedelta(days=1))
    kinds = {
        name: {each.kind for row in occupancy(kept.pool, *span, getattr(kept.cast, name)) for each in row.stretches}
        for name in ("owner", "outsider", "operator")
    }
    assert kinds == {"owner": {"kept"}, "outsider": {"taken"}, "operator": {"promised"}}
    rows = occupancy(kept.pool, *span, kept.cast.owner)
    assert all(row.free for row in rows), "one's own is free to oneself"


def test_a_shape_is_found_inside_the_promise(stage: Stage, rival: Allocation) -> None:
    promise(stage, stage.allocation, 12)
    lease = stage.book(8, start=1, hours=2, shape=Shape("nodes", 2))
    assert lease.placements.count() == 8


def test_the_bound_of_over_commitment(stage: Stage) -> None:
    Pool.objects.update(overcommit_percent=50)
    stage.pool.refresh_from_db()
    found = commitment(stage.pool, stage.now, stage.now + timedelta(days=1))
    assert (found.devices, found.promised, found.ceiling, found.over) == (12, 64, 18, 52)


wishes = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 20), st.integers(1, 8), st.booleans()), min_size=1, max_size=14
)


@pytest.mark.django_db
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(wishes)
def test_so_many_at_once_can_always_be_booked_whatever_came_before(
    stage: Stage, asked: list[tuple[int, int, int, bool]]
) -> None:
    """Of five guaranteed GPUs, any booking that leaves no moment with more than five succeeds."""
    from django.db import transaction

    with transaction.atomic():
        rival = rival_award(stage.cast, stage.pool)
        mine = stage.allocation
        promise(stage, mine, 5, hours=60)
        theirs(stage, rival, 8, start=0.2, hours=70, devices=list(stage.big.devices.all())) if not Pin.objects.filter(
            device__node=stage.big
        ).exists() else None
        booked: list[Lease] = []
        for count, start, hours, cancels in asked:
            if cancels and booked:
                ending.cancel(actor=stage.cast.owner, lease=booked.pop(0))
                continue
            now_then = [
                sum(lease.device_count for lease in booked if _covers(stage, lease, hour))
                for hour in range(1 + start, 1 + start + hours)
            ]
            if max(now_then) + count <= 5:
                booked.append(stage.book(count, start=1 + start, hours=hours))
        _nothing_overlaps()
        transaction.set_rollback(True)


def _covers(stage: Stage, lease: Lease, hour: int) -> bool:
    moment = stage.now + timedelta(hours=hour, minutes=1)
    return lease.starts_at <= moment < lease.ends_at


def _nothing_overlaps() -> None:
    rows = list(Placement.objects.filter(released=False).order_by("device_id", "window"))
    for one, two in itertools.pairwise(rows):
        assert one.device_id != two.device_id or one.window.upper <= two.window.lower
    for lease in Lease.objects.filter(state="scheduled"):
        assert lease.placements.filter(released=False).count() == lease.device_count


def test_a_booking_asks_nothing_about_promises_where_nothing_is_guaranteed(stage: Stage) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    stage.book(1)
    with CaptureQueriesContext(connection) as captured:
        stage.book(1, start=20)
    statements = [row["sql"] for row in captured]
    assert not [sql for sql in statements if "allocations_pin" in sql or 'DELETE FROM "allocations_placement"' in sql]
    assert booking.RACE_RETRIES
