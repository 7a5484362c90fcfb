"""The nouns of a what-if: what is asked, and what it comes to. Nothing of it is ever stored."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from cluster.models import Node, Pool
from reports.capacity import Ask, Step, Verdict


@dataclass(frozen=True)
class Approval:
    """A proposal as if it were awarded; `gpus`: at most so many at once a line, None: as asked."""

    proposal: Any
    gpus: int | None = None


@dataclass(frozen=True)
class Move:
    """A reservation, maintenance window, allocation or waiting award (by its public id) that would begin then."""

    ref: str
    to: datetime


@dataclass(frozen=True)
class Changes:
    """What is asked; all of it holds at once. Days are the agency's; without one, it is today."""

    remove: tuple[Node, ...] = ()
    remove_on: date | None = None
    add: int = 0
    add_pool: Pool | None = None
    add_on: date | None = None
    approve: tuple[Approval, ...] = ()
    moves: tuple[Move, ...] = ()

    @property
    def any(self) -> bool:
        """Whether anything is asked."""
        return bool(self.remove or (self.add and self.add_pool) or self.approve or self.moves)


@dataclass(frozen=True)
class Loser:
    """A reservation that loses GPUs with a node and finds no others; `begun`: it is in use and could only be ended."""

    lease: Any
    gpus: int
    begun: bool


@dataclass(frozen=True)
class Pinned:
    """What of an award's guarantee is kept with GPUs of a node that goes: others would have to keep it."""

    award: str
    """Public id of the proposal that was awarded."""
    organisation: str
    gpus: int
    until: datetime


@dataclass(frozen=True)
class Moved:
    """A window that would begin at another time.

    `in_the_way`: reservations on the same GPUs (of maintenance: on the node) then; `elsewhere`: other GPUs of the pool
    are free; `closed`: work is announced there then. `outside`: reservations that would lie outside of their
    allocation. `first_fit`: the first start, from the asked one on, at which nobody is in the way.
    """

    ref: str
    label: str
    url: str
    start: datetime
    end: datetime
    in_the_way: tuple[Any, ...] = ()
    closed: bool = False
    elsewhere: bool = False
    first_fit: datetime | None = None
    outside: tuple[Any, ...] = ()

    @property
    def clashes(self) -> bool:
        """Whether somebody would have to give way."""
        return bool(self.outside) or ((bool(self.in_the_way) or self.closed) and not self.elsewhere)


@dataclass(frozen=True)
class Scenario:
    """What it comes to. `verdicts` are of promises: approvals, and awards that are moved. `kept`: reservations that
    lose GPUs with a node and find others.
    """

    steps: tuple[Step, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    losers: tuple[Loser, ...] = ()
    kept: tuple[Any, ...] = ()
    moved: tuple[Moved, ...] = ()
    pinned: tuple[Pinned, ...] = ()


@dataclass(frozen=True)
class Claim:
    """Somebody who was promised GPUs of a pool; `waiting`: the partner has not answered yet;
    `guaranteed`: so many of them are kept at every moment."""

    ref: str
    label: str
    organisation: str
    url: str
    pool: str
    gpus: int
    since: datetime
    until: datetime
    waiting: bool = False
    guaranteed: int = 0


@dataclass(frozen=True)
class Clash:
    """A stretch of a row in which a change promises more than could be lent (or more so): at the worst moment by
    `over` GPUs, today by `before`; and who counts on it, the largest first, `more` of them not named.
    """

    name: str
    since: datetime
    until: datetime
    over: int
    before: int
    claims: tuple[Claim, ...] = ()
    more: int = 0


@dataclass
class Draft:
    """A scenario while it is put together."""

    now: datetime
    steps: list[Step] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    losers: list[Loser] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    pinned: list[Pinned] = field(default_factory=list)
