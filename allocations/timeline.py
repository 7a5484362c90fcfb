"""Arithmetic of time windows. Pure: no Django, no rows."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from operator import attrgetter
from typing import Protocol

FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Busy:
    """`count` devices (or GPUs, of which a MIG instance is a part) taken in [start, end); `end` is FOREVER while nobody
    knows.
    """

    start: datetime
    end: datetime
    count: int | Fraction = 1


class Taken(Protocol):
    """What has a beginning and an end."""

    @property
    def start(self) -> datetime: ...
    @property
    def end(self) -> datetime: ...


def peak(busy: Iterable[Busy], start: datetime, end: datetime) -> int:
    """The most devices taken at one moment of [start, end); parts of a GPU add up, and the sum is rounded up."""
    return math.ceil(peak_exactly(busy, start, end))


def peak_exactly(busy: Iterable[Busy], start: datetime, end: datetime) -> int | Fraction:
    """The same, not rounded."""
    edges = []
    for item in busy:
        if item.start < end and item.end > start:
            edges += [(max(item.start, start), item.count), (min(item.end, end), -item.count)]
    edges.sort()  # at one moment the ends (negative) come before the starts: windows are half open
    running: int | Fraction = 0
    highest: int | Fraction = 0
    for _at, change in edges:
        running += change
        highest = max(highest, running)
    return highest


Spans = list[tuple[datetime, datetime]]
"""Intervals of moments in order, both ends included; the last may end with FOREVER."""


def starts(
    groups: Iterable[Sequence[Sequence[Busy]]], needed: int, each: int, duration: timedelta, after: datetime
) -> Spans:
    """The starts >= `after` at which `each` devices in `needed` groups at once are free for `duration`.

    A group has one sequence of taken windows a device. A device's free starts are the gaps between its windows,
    shortened by `duration`; a group's are those that `each` of its devices share, the answer's what groups share.
    """
    found = [_shared([_free_starts(busy, duration, after) for busy in group], each) for group in groups]
    return _shared(found, needed)


def shared(*spans_of: Spans) -> Spans:
    """The moments that lie in all of these."""
    return _shared(spans_of, len(spans_of))


def starts_below(busy: Iterable[Busy], most: int | Fraction, duration: timedelta, after: datetime) -> Spans:
    """The starts >= `after` of windows of `duration` in which never more than `most` devices are taken at once."""
    over: list[Busy] = []
    running: int | Fraction = 0
    opened = None
    edges = sorted(edge for item in busy for edge in ((item.start, item.count), (item.end, -item.count)))
    for at, group in itertools.groupby(edges, key=lambda edge: edge[0]):
        running += sum(change for _at, change in group)
        if opened is None and running > most:
            opened = at
        elif opened is not None and running <= most:
            over.append(Busy(opened, at))
            opened = None
    return _free_starts(over, duration, after) if most >= 0 else []


def _free_starts(busy: Sequence[Busy], duration: timedelta, after: datetime) -> Spans:
    spans = []
    for opens, closes in gaps(busy, after):
        last = FOREVER if closes == FOREVER else closes - duration
        if last >= opens:
            spans.append((opens, last))
    return spans


def _shared(spans_of: Sequence[Spans], count: int) -> Spans:
    """The moments that lie in `count` of these at least."""
    if len(spans_of) < count:
        return []
    # At one moment an opening sorts before a closing: both ends are included.
    edges = sorted(edge for spans in spans_of for opens, closes in spans for edge in ((opens, -1), (closes, 1)))
    shared, running, opened = [], 0, None
    for at, kind in edges:
        running -= kind
        if opened is None and running >= count:
            opened = at
        elif opened is not None and running < count:
            shared.append((opened, at))
            opened = None
    return shared


def gaps(busy: Sequence[Taken], after: datetime) -> list[tuple[datetime, datetime]]:
    """The stretches from `after` on in which nothing is taken, in order; the last one has no end (FOREVER)."""
    found, cursor = [], after
    for item in sorted(busy, key=attrgetter("start")):
        if item.end <= cursor:
            continue
        if item.start > cursor:
            found.append((cursor, item.start))
        cursor = item.end
    if cursor < FOREVER:
        found.append((cursor, FOREVER))
    return found
