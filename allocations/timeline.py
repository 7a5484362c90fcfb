"""Arithmetic of time windows. Pure: no Django, no rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Busy:
    """`count` devices taken in [start, end); `end` is FOREVER while nobody knows."""

    start: datetime
    end: datetime
    count: int = 1


def peak(busy: Iterable[Busy], start: datetime, end: datetime) -> int:
    """The most devices taken at one moment of [start, end)."""
    edges = []
    for item in busy:
        if item.start < end and item.end > start:
            edges += [(max(item.start, start), item.count), (min(item.end, end), -item.count)]
    edges.sort()  # at one moment the ends (negative) come before the starts: windows are half open
    running = highest = 0
    for _at, change in edges:
        running += change
        highest = max(highest, running)
    return highest


def first_window(
    busy_of: Sequence[Sequence[Busy]], count: int, duration: timedelta, after: datetime
) -> datetime | None:
    """The earliest start >= `after` at which `count` devices are each free for `duration`.

    `busy_of` has one sequence of taken windows a device. A device's free starts are intervals between its windows,
    shortened by `duration`; the answer is the first moment that `count` such intervals share. None: never.
    """
    edges: list[tuple[datetime, int]] = []
    for busy in busy_of:
        for opens, closes in _gaps(busy, after):
            last = FOREVER if closes == FOREVER else closes - duration
            if last >= opens:
                edges += [(opens, -1), (last, 1)]  # an opening sorts before a closing: both ends are included
    edges.sort()
    free = 0
    for at, kind in edges:
        free -= kind
        if free >= count:
            return at
    return None


def _gaps(busy: Sequence[Busy], after: datetime) -> list[tuple[datetime, datetime]]:
    gaps, cursor = [], after
    for item in sorted(busy, key=lambda item: item.start):
        if item.end <= cursor:
            continue
        if item.start > cursor:
            gaps.append((cursor, item.start))
        cursor = item.end
    if cursor < FOREVER:
        gaps.append((cursor, FOREVER))
    return gaps
