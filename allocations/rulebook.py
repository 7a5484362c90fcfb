"""The rules of booking as they hold for one allocation: each value, and whose word it is. Pure: no rows.

A rule may be said by the house, for a pool, for an agreement, for one allocation; the narrowest that says something
wins, rule by rule, so that an exception is one value in one place.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal

from allocations.timeline import FOREVER, Busy, Spans, shared, starts_below

Scope = Literal["house", "pool", "agreement", "allocation"]
SCOPES: tuple[Scope, ...] = ("house", "pool", "agreement", "allocation")
"""From the widest to the narrowest."""

COUNTS_AS_NOW = timedelta(minutes=5)
"""A start so near is now: a little past it is no mistake, and a little ahead no booking ahead."""
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Said:
    """One rule's value and who says it; None: no limit."""

    value: int | None
    scope: Scope = "house"

    @property
    def length(self) -> timedelta | None:
        """The value as a length of time, for rules in seconds."""
        return None if self.value is None else timedelta(seconds=self.value)


@dataclass(frozen=True)
class Closure:
    """A blackout: from when to when nothing may be booked, and why, in both languages."""

    start: datetime
    end: datetime
    reason_ko: str = ""
    reason_en: str = ""


@dataclass(frozen=True)
class Rulebook:
    """Every rule in force for an allocation. The values here are the house's.

    `no_show_seconds` 0: nobody is taken back for not using it. Ceilings of the agreement and the allocation hold
    beside `concurrent_gpus`.
    """

    longest_seconds: Said = Said(90 * DAY_SECONDS)
    ahead_seconds: Said = Said(None)
    future_leases: Said = Said(None)
    extensions: Said = Said(None)
    extension_window_seconds: Said = Said(None)
    release_notice_seconds: Said = Said(0)
    concurrent_gpus: Said = Said(None)
    no_show_seconds: Said = Said(0)
    no_show_grace_seconds: Said = Said(2 * 3600)
    early_return_percent: Said = Said(100)
    closures: tuple[Closure, ...] = ()

    def said(self) -> dict[str, Said]:
        """Every rule by its name."""
        return {name: getattr(self, name) for name in RULES}

    def closed(self) -> list[Busy]:
        """The blackouts as windows that are taken."""
        return [Busy(closure.start, closure.end) for closure in self.closures]

    def closure_in(self, starts_at: datetime, ends_at: datetime) -> Closure | None:
        """The first blackout that a window meets."""
        hit = [closure for closure in self.closures if closure.start < ends_at and closure.end > starts_at]
        return min(hit, key=lambda closure: closure.start, default=None)

    def open_starts(self, duration: timedelta, after: datetime) -> Spans:
        """The starts >= `after` of windows of this length that meet no blackout."""
        return starts_below(self.closed(), 0, duration, after)

    def starts(self, duration: timedelta, after: datetime, now: datetime, *, ahead: bool = True) -> Spans:
        """The starts >= `after` of windows of this length that pass: length, blackouts, how far ahead.

        `ahead` False: only what begins now is asked for, since no more may be booked ahead.
        """
        if self.longest_seconds.length is not None and duration > self.longest_seconds.length:
            return []
        last = now + self.ahead_seconds.length if self.ahead_seconds.length is not None else FOREVER
        last = last if ahead else min(last, now + COUNTS_AS_NOW)
        return shared(self.open_starts(duration, after), [(after, last)] if last >= after else [])


RULES = tuple(field.name for field in fields(Rulebook) if field.name != "closures")
"""The rules' names, in the order in which they are shown."""
HOUSE = Rulebook()


def make_rulebook(said: Iterable[tuple[Scope, Mapping[str, Any]]], closures: Iterable[Closure] = ()) -> Rulebook:
    """The narrowest word on every rule: `said` is what each scope says, None where it says nothing."""
    found: dict[str, Said] = {}
    for scope, values in sorted(said, key=lambda row: SCOPES.index(row[0])):
        for name in RULES:
            if values.get(name) is not None:
                found[name] = Said(values[name], scope)
    return Rulebook(**found, closures=tuple(sorted(closures, key=lambda closure: closure.start)))


@dataclass(frozen=True)
class Closing:
    """What an end by the partner's own wish costs: until when is charged, and how much of the rest comes back."""

    charged_until: datetime | None
    returned_percent: int


def close_early(
    book: Rulebook, starts_at: datetime, ends_at: datetime, active_at: datetime | None, at: datetime
) -> Closing:
    """A reservation that its partner gives back at `at`. Nothing is charged for one that was not handed over in time.

    Before the start only the notice counts: what lies beyond it comes back whole.
    """
    until = min(ends_at, at + timedelta(seconds=book.release_notice_seconds.value or 0))
    if at < starts_at:
        return Closing(until if until > starts_at else None, 100)
    if active_at is None:
        return Closing(None, 100)
    return Closing(max(min(at, ends_at), until), _percent(book))


def _percent(book: Rulebook) -> int:
    value = book.early_return_percent.value
    return 100 if value is None else value
