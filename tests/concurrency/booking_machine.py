"""The world of tests/concurrency/test_booking_model.py, and the machine that books, extends, cancels and asks in it.

Each call goes to the real service on the real database and must be answered as booking_oracle says: done, or refused
with that code and those figures. After every step the rows must be the oracle's.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any, TypeVar

from django.db import connection, transaction
from django.db.models import Count, Sum
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from accounts.models import User
from allocations.models import Allocation, Lease, LedgerEntry, Placement
from allocations.selectors import availability, balances, capacities, free_times
from allocations.services import booking, ending, extending, operating, pools
from cluster.models import Device, MaintenanceWindow, Node, Pool
from common.errors import DomainError
from partners.models import Membership, Organisation
from tests.concurrency.booking_oracle import SLOT_SECONDS, Award, Booking, Oracle, Party, Refusal, Unit, Work
from tests.factories import (
    AgreementFactory,
    AllocationFactory,
    MembershipFactory,
    OrganisationFactory,
    PoolFactory,
    ProjectFactory,
    UserFactory,
    grant_role,
    make_node,
)

NODES = ((2, 3), (2, 2, 3))
"""The devices of each node of each pool."""
SHARED = (True, False)
CLEANING = (1, 0)
"""The slots for which each pool's devices are cleaned after a lease."""
DAWN = 6
"""The hour of the agency's day at which slot 0 begins, so that a term can end in the midst of the slots."""
PARTIES = (Party(ceiling=6, term_end=10 * 24 - DAWN), Party(ceiling=512, term_end=24 - DAWN))
AWARDS = (
    Award(party=0, pool=0, gpu_slots=400, concurrent=4, first=-24, last=9 * 24),
    Award(party=0, pool=1, gpu_slots=36, concurrent=64, first=-24, last=9 * 24),
    Award(party=1, pool=0, gpu_slots=30, concurrent=64, first=-24, last=30),
    Award(party=1, pool=1, gpu_slots=400, concurrent=5, first=2, last=16),
)
WRITTEN = ", ".join(
    f"(SELECT count(*) FROM {table})"
    for table in (
        "allocations_lease",
        "allocations_placement",
        "allocations_ledgerentry",
        "cluster_maintenancewindow",
        "audit_auditevent",
        "notifications_notification",
    )
)
T = TypeVar("T")

starts, lengths, counts = st.integers(0, 12), st.integers(0, 8), st.integers(1, 5)
award_numbers, pool_numbers = st.integers(0, len(AWARDS) - 1), st.integers(0, len(NODES) - 1)
node_numbers = st.integers(0, sum(map(len, NODES)) - 1)
device_numbers = st.integers(0, sum(map(sum, NODES)) - 1)
orders = st.tuples(award_numbers, counts, starts, st.integers(1, 8))
parties = st.integers(0, len(PARTIES) - 1)
tenants = st.none() | parties
plans = st.sampled_from(["none", "none", "end", "move", "move", "short", "unforced", "stranger"])


@dataclass
class World:
    """The rows that every example begins with, numbered as the oracle numbers them."""

    base: datetime
    operator: User
    pools: list[Pool] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    units: list[tuple[int, int]] = field(default_factory=list)
    organisations: list[Organisation] = field(default_factory=list)
    owners: list[User] = field(default_factory=list)
    allocations: list[Allocation] = field(default_factory=list)
    steps: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def at(self, slot: int) -> datetime:
        """When an hour of the oracle's begins."""
        return self.base + timedelta(hours=slot)

    def slot(self, moment: datetime) -> float:
        """The oracle's hour; not a whole number where the moment is not on the grid."""
        return (moment - self.base) / timedelta(hours=1)

    def oracle(self) -> Oracle:
        """One that knows this world and nothing booked."""
        units = [Unit(*place) for place in self.units]
        return Oracle(units, list(SHARED), list(CLEANING), list(PARTIES), list(AWARDS))


def make_world() -> World:
    """Two pools, two organisations with an award on each; the first hour is two days ahead."""
    today = timezone.localtime().replace(hour=DAWN, minute=0, second=0, microsecond=0)
    world = World(today + timedelta(days=2), grant_role(UserFactory(), "operator"))
    for pool_number, sizes in enumerate(NODES):
        seconds = CLEANING[pool_number] * SLOT_SECONDS
        pool = PoolFactory(shared_nodes=SHARED[pool_number], turnaround_seconds=seconds)
        world.pools.append(pool)
        for size in sizes:
            world.nodes.append(make_node(pool, size))
            world.units += [(len(world.nodes) - 1, pool_number)] * size
            world.devices += world.nodes[-1].devices.order_by("index")
    projects = []
    for party in PARTIES:
        last_day = world.at(party.term_end - 1).date()
        organisation, owner = OrganisationFactory(), UserFactory()
        MembershipFactory(organisation=organisation, user=owner, role=Membership.Role.OWNER)
        agreement = AgreementFactory(
            organisation=organisation, ceiling_concurrent_gpus=party.ceiling, valid_until=last_day
        )
        world.organisations.append(organisation)
        world.owners.append(owner)
        projects.append(ProjectFactory(agreement=agreement))
    world.allocations = [
        AllocationFactory(
            project=projects[award.party],
            pool=world.pools[award.pool],
            awarded_gpu_seconds=award.gpu_slots * SLOT_SECONDS,
            concurrent_gpus=award.concurrent,
            valid_from=world.at(award.first),
            valid_until=world.at(award.last),
        )
        for award in AWARDS
    ]
    return world


def written() -> tuple[int, ...]:
    """How many rows there are of everything that these verbs write."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {WRITTEN}")
        return tuple(cursor.fetchone())


class BookingModel(RuleBasedStateMachine):
    """Each rule asks the oracle first, then the service; an example's rows are rolled back with its savepoint."""

    leases: Bundle[int] = Bundle("leases")
    works: Bundle[int] = Bundle("works")
    ill: Bundle[int] = Bundle("ill")

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world, self.oracle = world, world.oracle()
        self.pools = list(world.pools)
        self.booked: list[Lease] = []
        self.announced: list[MaintenanceWindow] = []
        self.step = -1
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()

    def teardown(self) -> None:
        """Forget the example."""
        transaction.set_rollback(True)
        self.savepoint.__exit__(None, None, None)

    # What partners do

    @initialize(target=leases, orders=st.lists(orders, max_size=10))
    def fill(self, orders: list[tuple[int, int, int, int]]) -> Any:
        """A world that is in use already."""
        made = [self._book(award, count, start, start + length, None) for award, count, start, length in orders]
        return multiple(*(number for number in made if isinstance(number, int)))

    @rule(target=leases, award=award_numbers, count=counts, start=starts, length=lengths)
    def book(self, award: int, count: int, start: int, length: int) -> Any:
        return self._book(award, count, start, start + length, None)

    @rule(target=leases, party=parties, count=counts, over=leases, shift=st.integers(-4, 4), length=lengths)
    def book_about_another(self, party: int, count: int, over: int, shift: int, length: int) -> Any:
        """In the pool of a lease that is there, before, over or after it."""
        other = self.oracle.leases[over]
        pool, start = AWARDS[other.award].pool, max(0, other.start + shift)
        award = next(number for number, one in enumerate(AWARDS) if (one.party, one.pool) == (party, pool))
        return self._book(award, count, start, start + length, None)

    @rule(
        target=leases,
        award=award_numbers,
        picks=st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True),
        stray=st.sampled_from([0, 0, 0, 0, 1]),
        start=starts,
        length=st.integers(1, 5),
    )
    def book_named(self, award: int, picks: list[int], stray: int, start: int, length: int) -> Any:
        """`stray` names a device of the other pool; a pick that comes twice is a device too few."""
        devices = self.oracle.in_pool(AWARDS[award].pool)
        named = [devices[pick % len(devices)] for pick in picks]
        named[:stray] = self.oracle.in_pool(1 - AWARDS[award].pool)[:stray]
        return self._book(award, len(named), start, start + length, named)

    def _book(self, award: int, count: int, start: int, end: int, named: list[int] | None) -> Any:
        world, party, pool = self.world, AWARDS[award].party, AWARDS[award].pool
        lease = self._call(
            self.oracle.to_book(award, count, start, end, named),
            booking.book,
            actor=world.owners[party],
            allocation=world.allocations[award],
            device_count=count,
            starts_at=world.at(start),
            ends_at=world.at(end),
            devices=None if named is None else [world.devices[number] for number in named],
        )
        if lease is None:
            return multiple()
        chosen = self._devices_of(lease)
        assert len(chosen) == count and chosen <= set(self.oracle.in_pool(pool)), "other devices than asked for"
        assert named is None or chosen == set(named), "other devices than those named"
        assert all(self.oracle.free(device, start, end, party) for device in chosen), "a device that was not free"
        if SHARED[pool] is self.oracle.shared[pool] is True and named is None:
            spread = {self.oracle.units[device].node for device in chosen}
            assert len(spread) == self.oracle.fewest_nodes(pool, count, start, end, party), "more nodes than needed"
        self.oracle.leases.append(Booking(award, start, end, chosen))
        self.booked.append(lease)
        return len(self.booked) - 1

    @rule(lease=leases, hours=st.integers(0, 5))
    def extend(self, lease: int, hours: int) -> None:
        booked = self.oracle.leases[lease]
        actor, end = self.world.owners[self.oracle.party_of(booked)], booked.end + hours
        done = self._call(
            self.oracle.to_extend(lease, end),
            extending.extend,
            actor=actor,
            lease=self.booked[lease],
            ends_at=self.world.at(end),
        )
        if done:
            assert done.pending_ends_at is None, "a scheduled lease has its new end at once"
            booked.end, booked.entries = end, booked.entries + 1

    @rule(lease=consumes(leases))
    def cancel(self, lease: int) -> None:
        booked = self.oracle.leases[lease]
        actor = self.world.owners[self.oracle.party_of(booked)]
        expected = None if booked.open else Refusal("invalid_transition")
        if self._call(expected, ending.cancel, actor=actor, lease=self.booked[lease]):
            self.oracle.end(lease)

    # What operators do

    @rule(target=works, node=node_numbers, start=starts, length=st.integers(0, 6), kind=plans)
    def announce(self, node: int, start: int, length: int, kind: str) -> Any:
        devices, end = self.oracle.on_node(node), start + length
        hit = self.oracle.hits(devices, start, end)
        plan, force = self._plan(kind, hit)
        done = self._call(
            self.oracle.to_clear(devices, hit, plan, force) or self.oracle.to_announce(node, start, end)
            if length
            else Refusal("window"),
            operating.announce_maintenance,
            actor=self.world.operator,
            node=self.world.nodes[node],
            starts_at=self.world.at(start),
            ends_at=self.world.at(end),
            reason="new fans",
            plan={self.booked[number].public_id: what for number, what in plan.items()},
            force=force,
        )
        if done is None:
            return multiple()
        self._cleared(devices, plan)
        self.oracle.works.append(Work(node, start, end))
        self.announced.append(done.target)
        return len(self.announced) - 1

    @rule(work=works)
    def cancel_maintenance(self, work: int) -> None:
        known = self.oracle.works[work]
        done = self._call(
            Refusal("window_over") if known.cancelled else None,
            operating.cancel_maintenance,
            actor=self.world.operator,
            window=self.announced[work],
            reason="no fans came",
        )
        known.cancelled = known.cancelled or done is not None

    @rule(target=ill, device=device_numbers, kind=plans)
    def quarantine(self, device: int, kind: str) -> Any:
        unit, hit = self.oracle.units[device], self.oracle.hits({device})
        plan, force = self._plan(kind, hit)
        done = self._call(
            self.oracle.to_clear({device}, hit, plan, force) if unit.bookable else Refusal("invalid_transition"),
            operating.quarantine_device,
            actor=self.world.operator,
            device=self.world.devices[device],
            reason="odd noises",
            plan={self.booked[number].public_id: what for number, what in plan.items()},
            force=force,
        )
        if done is None:
            return multiple()
        self._cleared({device}, plan)
        unit.state = "quarantined"
        return device

    @rule(device=consumes(ill))
    def return_device(self, device: int) -> None:
        unit = self.oracle.units[device]
        expected = Refusal("invalid_transition") if unit.bookable else None
        actor, row = self.world.operator, self.world.devices[device]
        if self._call(expected, operating.return_device, actor=actor, device=row, reason="quiet again"):
            unit.state = "cleaning"

    @rule(lease=leases)
    def share_nodes_or_not(self, lease: int) -> None:
        """The other rule for the pool of that lease."""
        pool = AWARDS[self.oracle.leases[lease].award].pool
        shared = not self.oracle.shared[pool]
        done = self._call(
            Refusal("nodes_are_shared") if not shared and self.oracle.knot(pool) else None,
            pools.share_nodes,
            actor=self.world.operator,
            pool=self.pools[pool],
            shared=shared,
            reason="as agreed",
        )
        if done:
            self.pools[pool], self.oracle.shared[pool] = done, shared

    # What anybody asks

    @rule(lease=leases, shift=st.integers(-8, 4), length=st.integers(1, 8), tenant=tenants)
    def ask_capacity(self, lease: int, shift: int, length: int, tenant: int | None) -> None:
        """In the pool of that lease, before, over or after it."""
        oracle, booked = self.oracle, self.oracle.leases[lease]
        start, pool = max(0, booked.start + shift), AWARDS[booked.award].pool
        window = (self.world.at(start), self.world.at(start + length))
        who = None if tenant is None else [self.world.organisations[tenant].pk]
        self.world.outcomes["capacity", "asked"] += 1
        found = asdict(capacities.capacity(self.pools[pool], *window, tenants=who))
        assert found == oracle.capacity(pool, start, start + length, tenant), "the oracle counts otherwise"
        free = {
            self.world.devices.index(row) for row in availability.free_devices(self.pools[pool], *window, tenants=who)
        }
        wanted = {number for number in oracle.in_pool(pool) if oracle.free(number, start, start + length, tenant)}
        assert free == wanted, "the oracle finds others free"

    @rule(pool=pool_numbers, count=st.integers(1, 7), length=st.integers(1, 8), after=starts, tenant=tenants)
    def ask_next_window(self, pool: int, count: int, length: int, after: int, tenant: int | None) -> None:
        who = None if tenant is None else [self.world.organisations[tenant].pk]
        self.world.outcomes["next_free_window", "asked"] += 1
        found = free_times.next_free_window(
            self.pools[pool], count, timedelta(hours=length), self.world.at(after), tenants=who
        )
        start = self.oracle.next_window(self.oracle.in_pool(pool), count, length, after, tenant)
        offered = found and tuple(map(self.world.slot, found))
        assert offered == (None if start is None else (start, start + length)), "the oracle offers another window"

    # After every step

    @invariant()
    def rows_are_as_the_oracle_has_them(self) -> None:
        self.step += 1
        self.world.steps += self.step > 0
        columns = ("lease_id", "device_id", "window", "node_id", "organisation_id", "shared", "maintenance_id")
        rows = list(Placement.objects.filter(released=False).values_list(*columns))
        self._check_overlaps(rows)
        self._check_promises([row for row in rows if row[0] is not None])
        self._check_work([row for row in rows if row[0] is None])
        self._check_money()

    def _check_overlaps(self, rows: list[tuple[Any, ...]]) -> None:
        for one, two in combinations(rows, 2):
            if one[2].lower < two[2].upper and two[2].lower < one[2].upper:
                assert one[1] != two[1], "a device is promised twice"
                assert one[3] != two[3] or one[4] == two[4] or (one[5] and two[5]), "two organisations are on a node"

    def _check_promises(self, rows: list[tuple[Any, ...]]) -> None:
        world, expected = self.world, set()
        for lease, row in zip(self.oracle.leases, self.booked, strict=True):
            window = (world.at(lease.start), world.at(self.oracle.back(lease)))
            for number in lease.devices if lease.open else ():
                device, organisation = world.devices[number], world.organisations[self.oracle.party_of(lease)]
                shared = self.oracle.shared[AWARDS[lease.award].pool]
                expected.add((row.pk, device.pk, *window, device.node_id, organisation.pk, shared))
        found = [(row[0], row[1], row[2].lower, row[2].upper, *row[3:6]) for row in rows]
        assert set(found) == expected and len(found) == len(expected), "the placements are not the oracle's"

    def _check_work(self, rows: list[tuple[Any, ...]]) -> None:
        """Announced work has every device of its node, as a lease would."""
        expected = {
            (row.pk, self.world.devices[number].pk, row.starts_at, row.ends_at)
            for work, row in zip(self.oracle.works, self.announced, strict=True)
            for number in (() if work.cancelled else self.oracle.on_node(work.node))
        }
        found = [(row[6], row[1], row[2].lower, row[2].upper) for row in rows]
        assert set(found) == expected and len(found) == len(expected), "the work has other devices than its node's"

    def _check_money(self) -> None:
        """By lease the hold, by allocation what is left; the balance of one allocation, in turn, is asked for too."""
        total = Sum("ledger__device_seconds", default=0)
        columns = ("pk", "state", "starts_at", "ends_at", "device_count")
        rows = (
            Lease.objects.order_by("pk")
            .annotate(total=total, entries=Count("ledger"))
            .values_list(*columns, "total", "entries")
        )
        expected = []
        for lease, row in zip(self.oracle.leases, self.booked, strict=True):
            window, count = (self.world.at(lease.start), self.world.at(lease.end)), len(lease.devices)
            held = -count * int((window[1] - window[0]).total_seconds()) if lease.open else 0
            state = "scheduled" if lease.open else "cancelled"
            expected.append((row.pk, state, *window, count, held, lease.entries))
        assert list(rows) == expected, "the leases or their entries are not the oracle's"
        sums = dict(LedgerEntry.objects.order_by().values_list("allocation").annotate(total=Sum("device_seconds")))
        lefts = [sums[allocation.pk] for allocation in self.world.allocations]
        assert lefts == [self.oracle.left(number) for number in range(len(AWARDS))], "the oracle has another balance"
        number = self.step % len(AWARDS)
        found = balances.balance(self.world.allocations[number])
        assert (found.awarded, found.held, found.charged, found.left) == (
            AWARDS[number].gpu_slots * SLOT_SECONDS,
            self.oracle.spent(number),
            0,
            lefts[number],
        ), "the balance adds up otherwise"

    # Helpers

    def _call(self, expected: Refusal | None, verb: Callable[..., T], **arguments: Any) -> T | None:
        """The answer, which must be the oracle's; None when it is refused, and then nothing may have been written."""
        before = written()
        try:
            result = verb(**arguments)
        except DomainError as error:
            self.world.outcomes[verb.__name__, error.code] += 1
            assert expected is not None, f"refused ({error.code}: {error}), where the oracle finds no reason"
            facts = {key: self._fact(key, error.facts.get(key)) for key in expected.facts}
            assert (error.code, facts) == (expected.code, expected.facts), f"the oracle refuses otherwise: {error}"
            assert written() == before, f"refused ({error.code}), and something was written"
            return None
        self.world.outcomes[verb.__name__, "done"] += 1
        assert expected is None, f"done, where the oracle refuses: {expected}"
        return result

    def _fact(self, key: str, value: Any) -> Any:
        moment = key in ("next_start", "next_end") and value is not None
        return self.world.slot(datetime.fromisoformat(value)) if moment else value

    def _devices_of(self, lease: Lease) -> set[int]:
        pks = set(lease.placements.filter(released=False).values_list("device", flat=True))
        return {number for number, device in enumerate(self.world.devices) if device.pk in pks}

    def _plan(self, kind: str, hit: list[int]) -> tuple[dict[int, str], bool]:
        """A measure for each lease that is hit, and whether the operator insists."""
        plan = dict.fromkeys(hit if kind != "none" else (), "end")
        if kind == "move" and hit:
            plan[hit[0]] = "move"
        if kind == "short" and hit:
            del plan[hit[-1]]
        if kind == "stranger":
            strangers = [number for number in range(len(self.booked)) if number not in hit]
            plan |= dict.fromkeys(strangers[:1], "end")
        return plan, kind not in ("none", "unforced")

    def _cleared(self, devices: set[int], plan: dict[int, str]) -> None:
        """What the plan did; where a lease went is the service's choice, if it was free."""
        for number in (number for number, what in plan.items() if what == "end"):
            self.oracle.end(number)
        for number in (number for number, what in plan.items() if what == "move"):
            lease = self.oracle.leases[number]
            now, kept, party = (
                self._devices_of(self.booked[number]),
                lease.devices - devices,
                self.oracle.party_of(lease),
            )
            assert len(now) == len(lease.devices) and kept <= now and not now & devices, "moved otherwise than planned"
            free = all(self.oracle.free(device, lease.start, lease.end, party) for device in now - kept)
            assert free, "moved to a device that was not free"
            lease.devices = now
