"""Find me a slot: the windows that would pass every rule, the best first, each with what it costs. Reads only."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from allocations.charging import NORMAL, WHOLE, affordable, weight_at
from allocations.models import Allocation
from allocations.selectors.availability import boards_in_use, spots_of, whole_minute
from allocations.selectors.balances import balance, hold_of
from allocations.selectors.free_times import Ask, Calendar, calendar_of, rooms
from allocations.selectors.leases import BACKING, gpus_in, held_leases
from allocations.selectors.rulebooks import passing_starts, rulebook_of
from allocations.selectors.spots import FreeSpot
from allocations.selectors.weights import weights_of
from allocations.selectors.yearly import asked_by_year, left_of_years, within_years
from allocations.shapes import ANY, Shape, choose, largest
from allocations.timeline import FOREVER, Busy, Spans, shared, starts_below
from cluster.models import Device, Node
from cluster.selectors import profiles_in
from common.quantities import whole_seconds
from partners.policy import last_moment

MOST = 3
"""How many answers are given."""
MOST_ALLOCATIONS = 20
"""Over how many awards one question is answered."""
LONGEST_SPAN = timedelta(days=400)
"""How far ahead is looked."""
_ONE_NODE = Shape("same_node")
_PICKS = 2
"""Starts that are looked at of each ask: the wished end of the time, and the next stretch after it."""


@dataclass(frozen=True)
class Wish:
    """What somebody is after: `count` devices, `smallest` at least, for `duration` somewhere in [earliest, latest].

    `late`: the latest window is wanted (it must be done before `latest`), else the first. With `profile` they are MIG
    instances of that kind, not whole GPUs.
    """

    count: int
    smallest: int
    duration: timedelta
    earliest: datetime
    latest: datetime
    shape: Shape = ANY
    late: bool = False
    profile: str = ""


@dataclass(frozen=True)
class NodeShare:
    """What a choice takes of one node: `taken` of `free` devices of the kind, of `size` that the node has."""

    node: str
    taken: int
    free: int
    size: int

    @property
    def whole(self) -> bool:
        """The node is taken entirely."""
        return self.taken == self.size

    @property
    def opened(self) -> bool:
        """An empty node is broken into."""
        return self.free == self.size > self.taken


@dataclass(frozen=True)
class Slot:
    """One answer. Its trade-offs: `delay` from the wish's own end of the time, `fewer` devices, another `shape`."""

    allocation: Allocation
    count: int
    shape: Shape
    start: datetime
    end: datetime
    hold_seconds: int
    left_seconds: int
    delay: timedelta
    fewer: int
    reshaped: bool
    shares: tuple[NodeShare, ...]
    profile: str = ""


def find_slots(allocations: Iterable[Allocation], wish: Wish, now: datetime) -> list[Slot]:
    """The best three windows over these allocations, best first: all devices before fewer, then the nearest in time.

    Every one of them would pass the rules of booking and the agreement as things stand. Some twenty queries for each
    allocation, whatever is booked.
    """
    found: list[Slot] = []
    for allocation in allocations:
        found += _Search(allocation, wish, now).slots()
    found.sort(key=lambda slot: (slot.fewer, slot.delay, slot.reshaped, slot.allocation.pk))
    return found[:MOST]


def shares_of(chosen: Iterable[Any], free: Iterable[Any], profile: str = "") -> tuple[NodeShare, ...]:
    """What a choice takes of each node, by the node's name: two queries."""
    taken: dict[int, int] = {}
    for spot in chosen:
        taken[spot.node_id] = taken.get(spot.node_id, 0) + 1
    open_there: dict[int, int] = {}
    for spot in free:
        open_there[spot.node_id] = open_there.get(spot.node_id, 0) + 1
    names = dict(Node.objects.filter(pk__in=taken).values_list("pk", "name"))
    size: dict[int, int] = {}
    there = Device.objects.filter(node__in=taken, profile=profile).exclude(state="retired")
    for node_id in there.values_list("node_id", flat=True):
        size[node_id] = size.get(node_id, 0) + 1
    rows = (NodeShare(names[pk], count, open_there.get(pk, count), size[pk]) for pk, count in taken.items())
    return tuple(sorted(rows, key=lambda share: share.node))


def _share_of(allocation: Allocation, profile: str) -> Fraction | None:
    """The part of a GPU that an instance is; None where the pool has none of this profile. No query for whole ones."""
    if not profile:
        return Fraction(1)
    found = profiles_in(allocation.pool).get(profile)
    return Fraction(*found) if found else None


class _Search:
    """One allocation's answers to a wish."""

    def __init__(self, allocation: Allocation, wish: Wish, now: datetime) -> None:
        agreement = allocation.project.agreement
        self.allocation, self.wish, self.now = allocation, wish, now
        self.book = rulebook_of(allocation)
        self.after = whole_minute(max(wish.earliest, allocation.valid_from, now))
        self.before = min(wish.latest, allocation.valid_until, last_moment(agreement))
        self.left = balance(allocation).left
        self.share = _share_of(allocation, wish.profile)
        self.weights = weights_of(allocation)
        self.at_once = min(allocation.concurrent_gpus, _or(self.book.concurrent_gpus.value, allocation.concurrent_gpus))
        ceilings: tuple[int | Fraction, ...] = (
            self.at_once,
            agreement.ceiling_concurrent_gpus,
            self._payable(),
        )
        self.most = min(wish.count, math.floor(min(ceilings) / self.share)) if self.share else 0
        self.own: list[Busy] = []
        self.all_of_agreement: list[Busy] = []
        self.calendar: Calendar | None = None
        self.passing: Spans = []
        """The starts that the rules and the agreement allow."""
        self.years: dict[int, int] | None = None
        """Device-seconds that are left of each calendar year, where the agreement has a ceiling of a year."""

    def _payable(self) -> Fraction:
        """GPUs, and parts of one, that the balance bears for the whole duration where a second counts least."""
        passed = [step.weight for step in self.weights if self.after < step.at < self.before]
        least = min([weight_at(self.weights, self.after), *passed])
        return Fraction(max(0, self.left) * NORMAL, max(1, whole_seconds(self.wish.duration)) * least)

    def slots(self) -> list[Slot]:
        wish = self.wish
        if self.most < wish.smallest or self.before - self.after < wish.duration:
            return []
        self._load()
        wanted: list[Ask] = [(self.most, wish.shape), (self.most, ANY if wish.shape != ANY else _ONE_NODE)]
        fewer: list[Ask] = [(wish.smallest, wish.shape)] if wish.smallest < self.most else []
        starts = self._starts([*wanted, *fewer])
        found: dict[tuple[datetime, int], Slot] = {}
        for (count, shape), picks in zip(wanted, starts, strict=False):
            for start in picks:
                self._keep(found, start, count, shape)
        if fewer:
            self._keep_smaller(found, starts[-1][:1])
        return list(found.values())

    def _load(self) -> None:
        self.passing = passing_starts(self.allocation, self.book, self.wish.duration, self.after, self.now)
        if not self.passing:
            return
        project = self.allocation.project
        self.years = left_of_years(project.agreement, self.after, self.before)
        self.calendar = calendar_of(
            self.allocation.pool,
            self.after,
            self.before,
            tenants=[project.organisation_id],
            envelope=None if self.wish.profile else self.allocation.envelope_key,
            profile=self.wish.profile,
        )
        rows = held_leases(self.after, self.before).filter(allocation__project__agreement_id=project.agreement_id)
        columns = ("allocation_id", "starts_at", "ends_at", "state", "device_count", "slices", "slices_of")
        for pk, start, end, state, *size in rows.values_list(*columns):
            busy = Busy(start, FOREVER if state in BACKING else end, gpus_in(*size))
            self.all_of_agreement.append(busy)
            if pk == self.allocation.pk:
                self.own.append(busy)

    def _starts(self, asks: list[Ask]) -> list[list[datetime]]:
        """The starts to offer of each. The nearer part of the time is looked at first: mostly it has all of them."""
        picks: list[list[datetime]] = [[] for _ask in asks]
        if self.calendar is None:
            return picks
        allowed = [self._allowed(count) for count, _shape in asks]
        for part in (self.calendar.nearer(self.wish.duration, late=self.wish.late), self.calendar):
            if part and not all(len(each) == _PICKS for each in picks):
                free = part.all_starts(asks, self.wish.duration)
                picks = [self._picks(shared(*both)) for both in zip(free, allowed, strict=True)]
        return picks

    def _allowed(self, count: int) -> Spans:
        """When the rules and ceilings would let so many start, whatever is free."""
        duration, agreement = self.wish.duration, self.allocation.project.agreement
        share = self.share or WHOLE
        gpus = count * share
        return shared(
            self.passing,
            affordable(self.left, count, duration, (self.after, self.before - duration), self.weights, share),
            starts_below(self.own, self.at_once - gpus, duration, self.after),
            starts_below(self.all_of_agreement, agreement.ceiling_concurrent_gpus - gpus, duration, self.after),
            within_years(self.years, self.passing, count, duration, self.weights, share),
        )

    def _picks(self, spans: Spans) -> list[datetime]:
        """The wished end of the time, and the next stretch after it."""
        if self.wish.late:
            return [last.replace(second=0, microsecond=0) for _first, last in reversed(spans[-_PICKS:])]
        return [first for first, _last in spans[:_PICKS]]

    def _keep_smaller(self, found: dict[tuple[datetime, int], Slot], starts: list[datetime]) -> None:
        """Fewer devices where that is sooner: when the smallest number is first free, as many as are free then."""
        if self.calendar is None or not starts or any(slot.start == starts[0] for slot in found.values()):
            return
        start, shape = starts[0], self.wish.shape
        sizes = rooms(self.calendar.free(start, start + self.wish.duration), shape)

        def fits(count: int) -> int | None:
            allowed = any(first <= start <= last for first, last in self._allowed(count))
            return count if allowed and shape.has_room(count, sizes) else None

        count = largest(self.wish.smallest, self.most - 1, shape, fits)
        if count is not None:
            self._keep(found, start, count, shape)

    def _keep(self, found: dict[tuple[datetime, int], Slot], start: datetime, count: int, shape: Shape) -> None:
        wish, end = self.wish, start + self.wish.duration
        if self.calendar is None or (start, count) in found or start < self.after or end > self.before:
            return
        free, chosen = self._choice(self.calendar, start, count, shape)
        if chosen is None:
            return
        share = self.share or WHOLE
        hold = hold_of(count, start, end, self.weights, share)
        asked = asked_by_year(count, start, end, self.weights, share) if self.years else {}
        if hold > self.left or any(seconds > (self.years or {}).get(year, 0) for year, seconds in asked.items()):
            return
        found[start, count] = Slot(
            allocation=self.allocation,
            count=count,
            shape=shape,
            start=start,
            end=end,
            hold_seconds=hold,
            left_seconds=self.left - hold,
            delay=_whole_minutes(wish.latest - end if wish.late else start - wish.earliest),
            fewer=wish.count - count,
            reshaped=shape != wish.shape,
            shares=shares_of(chosen, free, wish.profile),
            profile=wish.profile,
        )

    def _choice(
        self, calendar: Calendar, start: datetime, count: int, shape: Shape
    ) -> tuple[list[FreeSpot], list[FreeSpot] | None]:
        """What was looked at, and what to take of it: the nodes that fit best, or all where they do not do."""
        end = start + self.wish.duration
        pool, tenant = self.allocation.pool, self.allocation.project.organisation_id
        free: list[FreeSpot] = []
        asked: Any = {"envelope": calendar.envelope, "profile": calendar.profile, "now": calendar.now}
        for together in (shape.groups_of(count)[1], None):
            free, own = spots_of(pool, tenant, (start, end), together=together, only=calendar.only, **asked)
            chosen = choose(free, count, shape, own, boards_in_use(free, start, end))
            if chosen is not None:
                return free, chosen
        return free, None


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _whole_minutes(length: timedelta) -> timedelta:
    """Offers begin on whole minutes: less than one is no delay."""
    return length - length % timedelta(minutes=1)
