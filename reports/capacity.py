"""Arithmetic of the capacity board: buckets, supply, and what would change. Pure: no rows, no Django."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Literal

from common.midnights import midnight

Span = Literal["day", "week"]
Window = tuple[datetime, datetime]
"""[start, end)"""


@dataclass(frozen=True)
class Step:
    """At this moment a pool's figures go up by so many GPUs (down where negative), and stay there."""

    pool_id: int
    at: datetime
    physical: int = 0
    out: int = 0
    promised: int = 0
    booked: float = 0


@dataclass(frozen=True)
class Figures:
    """A pool or a class in one bucket, in GPUs. The most at one moment, unless the name says otherwise.

    `bookable`: the fewest that could be lent, `room`: the least that was left of them beside what is promised, negative
    where more is promised. `guaranteed`: what of the promised is kept at every moment. `bound`: the fewest that awards
    may promise at once, `slack`: the least that was left of those. `used_mean` None: nothing was measured.
    """

    physical: int
    out: int
    bookable: int
    promised: int
    promised_mean: float
    booked: int
    booked_mean: float
    room: int
    guaranteed: int = 0
    bound: int = 0
    slack: int = 0
    used_mean: float | None = None

    @property
    def over(self) -> int:
        """By how many GPUs more is promised than could be lent."""
        return max(0, -self.room)

    @property
    def past_bound(self) -> int:
        """By how many GPUs more is promised than the pools' bounds of over-commitment allow."""
        return max(0, -self.slack)


@dataclass(frozen=True)
class NodeSupply:
    """GPUs of a node that joined on one day: which, how many, how many of them nobody could book now, and when the node
    is closed.
    """

    node_id: int
    name: str
    pool_id: int
    joined_at: datetime
    devices: int
    ill: int
    closed: tuple[Window, ...] = ()


def edges(first: date, until: date, step: Span, zone: tzinfo) -> list[datetime]:
    """The moments between buckets, in UTC: local midnights, of Mondays where the buckets are weeks.

    Weeks are whole ones: the first begins on or before `first`, the last ends on or after `until`. A day has 23 or 25
    hours where the clocks are changed.
    """
    days = 1 if step == "day" else 7
    if step == "week":
        first -= timedelta(days=first.weekday())
    found = [first]
    while found[-1] < until:
        found.append(found[-1] + timedelta(days=days))
    return [midnight(day, zone).astimezone(UTC) for day in found]


def between(pool_id: int, since: datetime, until: datetime | None, **figures: Any) -> list[Step]:
    """Up at `since` and down again at `until`; None: never."""
    found = [Step(pool_id, since, **figures)]
    if until is not None:
        found.append(Step(pool_id, until, **{name: -value for name, value in figures.items()}))
    return found


def merged(windows: Iterable[Window]) -> list[Window]:
    """The same time as windows that do not touch, in order: a node that is closed twice is closed once."""
    found: list[Window] = []
    for start, end in sorted(windows):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def supply_steps(node: NodeSupply, now: datetime) -> Iterator[Step]:
    """What a node brings: its GPUs from the day it joined; as things stand, what is ill now stays ill."""
    yield Step(node.pool_id, node.joined_at, physical=node.devices)
    ill_from = max(now, node.joined_at)
    if node.ill:
        yield Step(node.pool_id, ill_from, out=node.ill)
    for since, end in merged(node.closed):
        start = max(since, node.joined_at)
        if start >= end:  # nothing of it was there yet
            continue
        yield from between(node.pool_id, start, end, out=node.devices)
        if node.ill and end > ill_from:  # counted once: they are ill already
            yield from between(node.pool_id, max(start, ill_from), end, out=-node.ill)


def removal_steps(node: NodeSupply, at: datetime, now: datetime) -> list[Step]:
    """The node is gone from `at` on, and with it all that it brings or would have brought."""
    return [
        Step(step.pool_id, max(step.at, at), physical=-step.physical, out=-step.out) for step in supply_steps(node, now)
    ]


def rescheduling_steps(node: NodeSupply, old: Window, new: Window, now: datetime) -> list[Step]:
    """Its closed window `old` lies at `new` instead; other windows of the node stay."""
    rest = list(node.closed)
    rest.remove(old)
    after = replace(node, closed=(*rest, new))
    before = [Step(step.pool_id, step.at, -step.physical, -step.out) for step in supply_steps(node, now)]
    return [*before, *supply_steps(after, now)]


@dataclass(frozen=True)
class Ask:
    """A promise to be: so many GPUs at every moment of so many days, in one of these pools.

    `window`: exactly when, where that is not whole days.
    """

    ref: str
    label: str
    pools: tuple[int, ...]
    gpus: int
    first: date
    days: int
    window: Window | None = None


@dataclass(frozen=True)
class Verdict:
    """Where an ask would go. `at_most`: the most that its own window holds throughout; `first_fit`: the first day, on
    or after its own, from which it fits whole; None: not within what was looked at. `pool_id` None: there is no pool.
    """

    ask: Ask
    pool_id: int | None
    at_most: int
    first_fit: date | None

    @property
    def fits(self) -> bool:
        """Whole, in its own window."""
        return self.pool_id is not None and self.at_most >= self.ask.gpus


Rooms = dict[int, dict[date, int]]
"""By pool and day: the least that is left beside what is promised."""


def judge(asks: Iterable[Ask], rooms: Rooms) -> list[Verdict]:
    """Each in turn, beside those before it: in the pool where its window has the most room. `rooms` is left alone."""
    left = {pool_id: dict(days) for pool_id, days in rooms.items()}
    verdicts = []
    for ask in asks:
        pools = [pool_id for pool_id in ask.pools if pool_id in left]
        best = max(pools, key=lambda pool_id: _least(left[pool_id], ask.first, ask.days), default=None)
        if best is None:
            verdicts.append(Verdict(ask, None, 0, None))
            continue
        at_most = _least(left[best], ask.first, ask.days)
        fits = [day for pool_id in pools if (day := _first_fit(left[pool_id], ask))]
        verdicts.append(Verdict(ask, best, max(0, at_most), min(fits, default=None)))
        for number in range(ask.days):
            day = ask.first + timedelta(days=number)
            if day in left[best]:
                left[best][day] -= ask.gpus
    return verdicts


def _least(rooms: dict[date, int], first: date, days: int) -> int:
    """The least room of these days, those that are known of them: what is past is nobody's."""
    known = [room for number in range(days) if (room := rooms.get(first + timedelta(days=number))) is not None]
    return min(known, default=0)


def _first_fit(rooms: dict[date, int], ask: Ask) -> date | None:
    run = 0
    for day in sorted(day for day in rooms if day >= ask.first):
        run = run + 1 if rooms[day] >= ask.gpus else 0
        if run == ask.days:
            return day - timedelta(days=ask.days - 1)
    return None


@dataclass(frozen=True)
class Excess:
    """Buckets in a row in which a change promises more than could be lent, or more so than today: by how many GPUs at
    the worst moment, and by how many it is today.
    """

    first: int
    last: int
    over: int
    before: int


def excesses(rows: Sequence[tuple[Figures, Figures]]) -> list[Excess]:
    """(today, changed) of each bucket in order: the runs in which it gets worse."""
    return [
        Excess(first, last, max(after.over for _now, after in run), max(now.over for now, _after in run))
        for first, last in _runs(rows, lambda row: row[1].over > row[0].over)
        for run in [rows[first : last + 1]]
    ]


def _runs(
    rows: Sequence[tuple[Figures, Figures]], holds: Callable[[tuple[Figures, Figures]], bool]
) -> Iterator[tuple[int, int]]:
    begun: int | None = None
    for at, row in enumerate(rows):
        if holds(row):
            begun = at if begun is None else begun
        elif begun is not None:
            yield begun, at - 1
            begun = None
    if begun is not None:
        yield begun, len(rows) - 1
