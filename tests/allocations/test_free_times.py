"""What the database says of free times and capacity is what looking at every placement says."""

import random
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from allocations.models import Envelope
from allocations.selectors.availability import LEAD, free_devices
from allocations.selectors.capacities import capacities, capacity
from allocations.selectors.free_times import NEAR, calendar_of, next_free_window
from allocations.selectors.occupancy import Row, by_node, node_occupancy, occupancy
from allocations.shapes import ANY, Shape, choose
from allocations.timeline import FOREVER, shared
from cluster.models import Device, MaintenanceWindow, Pool
from tests.allocations.conftest import Stage
from tests.allocations.plainly import Plainly
from tests.factories import AllocationFactory, LeaseFactory, PoolFactory, cut, make_cast, make_node
from tests.factories.allocations import PlacementFactory, rival_award

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
SHAPES = (ANY, Shape("same_node"), Shape("nodes", 2), Shape("nodes", 3), Shape("nvlink"))
PART = "1g.10gb"


@dataclass
class Fleet:
    """A pool of three small nodes, drawn by lot: who has what of it for some weeks."""

    draw: random.Random
    pool: Pool
    now: datetime
    cast: Any
    awards: list[Any]
    envelope: Envelope

    def moment(self) -> datetime:
        """Mostly on the hour, sometimes a moment beside it; often soon, sometimes past, sometimes weeks away."""
        hours = self.draw.choice([self.draw.randint(-6, 12), self.draw.randint(0, 60), self.draw.randint(0, 900)])
        beside = self.draw.choice([0, 0, 0, 1, 59, 60, 3599.000001])
        return self.now + hours * HOUR + timedelta(seconds=beside)

    def whose(self) -> dict[str, Any]:
        """For whom a question is asked."""
        ours, theirs = (award.project.organisation_id for award in self.awards)
        tenants = self.draw.choice([None, [ours], [theirs], [ours, theirs], []])
        envelope = self.draw.choice([None, None, self.envelope.pk])
        return {"tenants": tenants, "envelope": envelope, "profile": self.draw.choice(["", "", "", PART])}


def drawn(seed: int, *, parts: bool = True) -> Fleet:
    draw, cast, now = random.Random(seed), make_cast(), timezone.now()
    pool = PoolFactory(shared_nodes=draw.random() < 0.4, turnaround_seconds=draw.choice([0, 0, 600, 7_230]))
    for _node in range(3):
        node = make_node(pool, draw.randint(1, 4))
        linked = draw.choice([{}, {"nvlink_count": 0}, {"nvlink_count": 18}])
        node.devices.update(facts=linked, state=draw.choice(["available", "available", "cleaning"]))
    devices = list(Device.objects.filter(node__pool=pool))
    if parts and draw.random() < 0.7:
        devices += cut(devices[0], *[PART] * draw.randint(2, 7))
    if draw.random() < 0.3:
        Device.objects.filter(pk=devices[-1].pk).update(health="fail")
    ours, theirs = AllocationFactory(project=cast.project, pool=pool), rival_award(cast, pool)
    facts = {"organisation": ours.project.organisation, "allocation": ours, "award_ref": "x", "gpus": 1}
    envelope = Envelope.objects.create(pool=pool, starts_at=now, ends_at=now + 900 * HOUR, **facts)
    fleet = Fleet(draw, pool, now, cast, [ours, theirs], envelope)
    leases = {
        (award, profile): LeaseFactory(allocation=award, booked_by=cast.owner, profile=profile)
        for award in fleet.awards
        for profile in ("", PART)
    }
    for _turn in range(draw.randint(0, 40)):
        start, device = fleet.moment(), draw.choice(devices)
        length = draw.choice([HOUR, 3 * HOUR, 50 * HOUR, timedelta(minutes=61, seconds=7)])
        window = DateTimeTZRange(start, None if draw.random() < 0.05 else start + length)
        award = draw.choice(fleet.awards)
        holder: dict[str, Any] = {"lease": leases[award, device.profile], "shared": pool.shared_nodes}
        if (lot := draw.random()) < 0.15:
            work = {"starts_at": start, "ends_at": start + length, "reason": "fans", "announced_by": "x"}
            work_there = MaintenanceWindow.objects.create(node=device.node, **work)
            holder = {"lease": None, "organisation": None, "maintenance": work_there, "shared": True}
        elif lot < 0.35 and not device.profile:
            holder |= {"lease": None, "organisation": envelope.organisation, "envelope": envelope}
        with suppress(IntegrityError), transaction.atomic():  # where somebody has it, so be it
            PlacementFactory(device=device, window=window, released=draw.random() < 0.1, **holder)
    return fleet


@pytest.mark.parametrize("seed", range(8))
def test_every_start_is_one_that_looking_at_each_placement_finds(seed: int) -> None:
    fleet = drawn(seed)
    draw = fleet.draw
    for _question in range(12):
        whose, after = fleet.whose(), max(fleet.moment(), fleet.now - HOUR)
        if draw.random() < 0.2:
            whose["only"] = list(Device.objects.filter(pk__gt=0).values_list("pk", flat=True)[: draw.randint(1, 5)])
        before = draw.choice([FOREVER, after + draw.choice([1, 30, 200, 900]) * HOUR])
        duration = draw.choice([HOUR, 5 * HOUR, 40 * HOUR, 300 * HOUR, timedelta(seconds=1)])
        asks = [(draw.randint(1, 7), draw.choice(SHAPES)) for _ask in range(3)]
        calendar, plainly = calendar_of(fleet.pool, after, before, **whose), Plainly(fleet.pool, fleet.now, **whose)
        wanted = [plainly.starts(count, duration, shape, after, before) for count, shape in asks]
        assert calendar.all_starts(asks, duration) == wanted, f"seed {seed}: {whose}, {asks}, {duration}"
        for (count, shape), spans in zip(asks, wanted, strict=True):
            assert calendar.could_ever(count, shape) == (
                shape.fits(count) and choose(plainly.spots, count, shape) is not None
            )
            for first, last in spans[:1] if before != FOREVER else ():
                free = set(calendar.free(last, last + duration))
                assert choose(sorted(free, key=lambda each: each.pk), count, shape) is not None, (first, last)


@pytest.mark.parametrize("seed", range(100, 105))
def test_the_first_window_is_the_first_of_all_however_early_the_search_stops(seed: int) -> None:
    fleet = drawn(seed)
    for _question in range(8):
        whose, count = fleet.whose(), fleet.draw.randint(1, 6)
        duration, shape = fleet.draw.choice([HOUR, 30 * HOUR, 200 * HOUR]), fleet.draw.choice(SHAPES)
        opens = fleet.moment()
        passes = fleet.draw.choice([None, [(opens, opens + 5 * HOUR), (opens + 400 * HOUR, FOREVER)]])
        plainly = Plainly(fleet.pool, fleet.now, **whose)
        spans = plainly.starts(count, duration, shape, fleet.now, FOREVER)
        spans = spans if passes is None else shared(spans, passes)
        found = next_free_window(fleet.pool, count, duration, fleet.now, shape=shape, passes=passes, **whose)
        assert found == ((spans[0][0], spans[0][0] + duration) if spans else None), f"seed {seed}"


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("seed", range(200, 202))
def test_the_nearer_part_of_a_time_has_its_beginnings_or_its_ends(seed: int, late: bool) -> None:
    fleet = drawn(seed)
    whole = calendar_of(fleet.pool, fleet.now, fleet.now + 900 * HOUR)
    nearer = whole.nearer(HOUR, late=late)
    assert nearer is not None and nearer.before - nearer.after <= NEAR + HOUR + timedelta(minutes=1)
    for count in range(1, 8):
        part, spans = nearer.starts(count, HOUR), whole.starts(count, HOUR)
        at = 1 if late else 0
        wanted = [span[at] for span in (spans[::-1] if late else spans)]
        assert [span[at] for span in (part[::-1] if late else part)] == wanted[: len(part)]


@pytest.mark.parametrize("seed", range(300, 305))
def test_capacity_counts_what_looking_at_each_placement_counts(seed: int) -> None:
    fleet = drawn(seed)
    for _question in range(8):
        start = max(fleet.moment(), fleet.now)
        spans = [(start, start + hours * HOUR) for hours in (1, 40, 700)]
        whose = fleet.whose()
        found, plainly = capacities([fleet.pool], spans, **whose), Plainly(fleet.pool, fleet.now, **whose)
        for span in spans:
            assert asdict(found[fleet.pool.pk, span]) == plainly.capacity(*span), f"seed {seed}: {whose}, {span}"


def counted(rows: list[Row]) -> dict[str, tuple[Counter[Any], Any]]:
    """What is taken of each node, whatever the reservation, and when it is free."""
    found = {}
    for row in rows:
        taken: Counter[Any] = Counter()
        for each in row.stretches:
            taken[each.kind, each.start, each.end, each.organisation, each.open] += each.taken
        found[row.name] = (taken, row.free)
    return found


@pytest.mark.parametrize("reader", ["owner", "officer"])
@pytest.mark.parametrize("seed", range(400, 404))
def test_the_months_of_a_node_count_what_its_devices_have(seed: int, reader: str) -> None:
    fleet = drawn(seed, parts=False)
    user, nodes = getattr(fleet.cast, reader), list(fleet.pool.nodes.values_list("pk", flat=True))
    for start, end in ((fleet.now, fleet.now + 900 * HOUR), (fleet.moment(), fleet.now + 901 * HOUR)):
        devices = occupancy(fleet.pool, start, end, user, nodes=nodes)
        found = node_occupancy(fleet.pool, start, end, user, nodes=nodes)
        assert counted(found) == counted(by_node(devices, start, end)), f"seed {seed}"
        assert all(not each.lease for row in found for each in row.stretches)


def test_whole_nodes_are_looked_for_where_a_few_of_their_devices_are_free(stage: Stage) -> None:
    """Eight on a node for a week: one device says when it could be, all of them when it is."""
    stage.proved = False
    pool, start = stage.pool, stage.now.replace(minute=0, second=0, microsecond=0) + 2 * HOUR
    draw, week = random.Random(7), 168 * HOUR
    make_node(pool, devices=8)
    make_node(pool, devices=6)
    devices = list(Device.objects.filter(node__pool=pool))
    Device.objects.filter(node__pool=pool).update(facts={"nvlink_count": 18})
    for _turn in range(30):
        lease = LeaseFactory(allocation=stage.allocation, booked_by=stage.cast.owner)
        begins = start + draw.randint(0, 1200) * HOUR
        with suppress(IntegrityError), transaction.atomic():
            PlacementFactory(lease=lease, device=draw.choice(devices), window=(begins, begins + 9 * HOUR))
    plainly = Plainly(pool, stage.now)
    for before in (FOREVER, start + 1000 * HOUR):
        calendar = calendar_of(pool, stage.now, before)
        for count, shape in ((16, Shape("nodes", 2)), (12, Shape("nodes", 2)), (7, Shape("same_node"))):
            wanted = plainly.starts(count, week, shape, stage.now, before)
            assert calendar.starts(count, week, shape) == wanted
        assert calendar.starts(8, week, Shape("nvlink")) == plainly.starts(8, week, Shape("nvlink"), stage.now, before)


def test_starts_that_lie_at_one_moment_alone_are_found(stage: Stage) -> None:
    stage.proved = False
    start = stage.now.replace(minute=0, second=0, microsecond=0) + 2 * HOUR
    for device in Device.objects.filter(node=stage.small):
        for begins in (start - 24 * HOUR, start + HOUR):
            lease = LeaseFactory(allocation=stage.allocation, booked_by=stage.cast.owner)
            PlacementFactory(lease=lease, device=device, window=(begins, begins + 24 * HOUR))
    only = list(stage.small.devices.values_list("pk", flat=True))
    calendar = calendar_of(stage.pool, stage.now, start + 20 * HOUR, only=only)
    assert calendar.starts(4, HOUR, Shape("same_node")) == [(start, start)]
    assert calendar.starts(4, HOUR + timedelta(microseconds=1), Shape("same_node")) == []


def test_one_statement_answers_however_many_asks(stage: Stage) -> None:
    calendar = calendar_of(stage.pool, stage.now, tenants=[stage.cast.project.organisation_id])
    with CaptureQueriesContext(connection) as captured:
        found = calendar.all_starts([(12, ANY), (13, ANY), (8, Shape("same_node")), (3, Shape("nodes", 2))], HOUR)
    assert len(captured) == 1
    assert [bool(spans) for spans in found] == [True, False, True, False]


def test_within_the_lead_only_what_is_ready_is_free(stage: Stage) -> None:
    stage.big.devices.update(state="cleaning")
    spans = calendar_of(stage.pool, stage.now).starts(5, HOUR)
    assert spans[0][0] >= stage.now + LEAD
    assert capacity(stage.pool, stage.now, stage.now + HOUR).free == 4
    assert free_devices(stage.pool, stage.now + LEAD, stage.now + HOUR, now=stage.now).count() == 12


def test_a_calendar_at_the_end_of_time_can_be_asked(stage: Stage) -> None:
    late = FOREVER.replace(hour=0) - timedelta(days=2)
    assert next_free_window(stage.pool, 1, HOUR, late.replace(second=0, microsecond=0, minute=0)) is not None
