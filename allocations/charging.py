"""What a stretch of time on GPUs costs: weights over time and parts of a GPU, in whole numbers only.

Seconds are counted from the start of a window, and a begun second belongs to the segment in which it begins: cut
anywhere, a window has as many seconds as before. The amount of each segment is rounded up to a device-second.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from allocations.timeline import Spans
from common.quantities import whole_seconds

NORMAL = 1000
"""Per mille: a second of a GPU is charged as a second."""
WHOLE = Fraction(1)
"""The share of a GPU that is lent whole; of a MIG instance it is its memory slices over those of the GPU."""
_GRAIN = timedelta(seconds=1)


@dataclass(frozen=True)
class Step:
    """From `at` on a second of a GPU counts `weight` per mille, until the next step."""

    at: datetime
    weight: int


Weights = tuple[Step, ...]
"""In the order of time, one step a moment; before the first one the weight is NORMAL."""
Lines = dict[tuple[int, int], int]
"""(number of the segment, weight) -> device-seconds."""


@dataclass(frozen=True)
class Segment:
    """A stretch of a window under one weight; `seconds` of it count for each device."""

    start: datetime
    end: datetime
    weight: int
    seconds: int

    @property
    def weight_hours(self) -> float:
        """GPU-hours that an hour on a GPU is charged as."""
        return self.weight / NORMAL

    def amount(self, device_count: int, share: Fraction = WHOLE) -> int:
        """Device-seconds that it costs, rounded up."""
        exact = device_count * self.seconds * self.weight * share
        return -(-exact.numerator // (exact.denominator * NORMAL))


def weight_at(weights: Weights, at: datetime) -> int:
    """The weight in force at a moment."""
    return next((step.weight for step in reversed(weights) if step.at <= at), NORMAL)


def segments(weights: Weights, start: datetime, end: datetime) -> tuple[Segment, ...]:
    """A window cut where the weight changes; one segment at least."""
    cuts: list[tuple[datetime, int]] = [(start, weight_at(weights, start))]
    for step in weights:
        if start < step.at < end and step.weight != cuts[-1][1]:
            cuts.append((step.at, step.weight))
    ends = [at for at, _weight in cuts[1:]] + [max(start, end)]
    return tuple(
        Segment(at, until, weight, whole_seconds(until - start) - whole_seconds(at - start))
        for (at, weight), until in zip(cuts, ends, strict=True)
    )


def lines(cut: Iterable[Segment], device_count: int, share: Fraction = WHOLE) -> Lines:
    """What each segment costs."""
    return {(number, segment.weight): segment.amount(device_count, share) for number, segment in enumerate(cut)}


def charge(device_count: int, start: datetime, end: datetime, weights: Weights = (), share: Fraction = WHOLE) -> int:
    """Device-seconds that a window costs."""
    return sum(lines(segments(weights, start, end), device_count, share).values())


def difference(before: Mapping[tuple[int, int], int], after: Mapping[tuple[int, int], int]) -> Lines:
    """What must be held more (or, negative, less), line by line, in the order of the segments."""
    moved = {key: after.get(key, 0) - before.get(key, 0) for key in sorted({*before, *after})}
    return {key: amount for key, amount in moved.items() if amount}


def longest(budget: int, device_count: int, start: datetime, weights: Weights = (), share: Fraction = WHOLE) -> int:
    """Seconds of the longest window from `start` that costs no more than `budget` device-seconds."""
    *closed, last = segments(weights, start, max([start, *(step.at + _GRAIN for step in weights)]))
    total = 0
    for cut in closed:
        price = cut.amount(device_count, share)
        if price > budget:
            return total + _seconds_for(budget, device_count * cut.weight * share)
        total, budget = total + cut.seconds, budget - price
    return total + _seconds_for(budget, device_count * last.weight * share)


def _seconds_for(budget: int, per_second: Fraction) -> int:
    return max(0, budget) * NORMAL * per_second.denominator // per_second.numerator


def affordable(
    budget: int,
    device_count: int,
    length: timedelta,
    span: tuple[datetime, datetime],
    weights: Weights,
    share: Fraction = WHOLE,
) -> Spans:
    """When a window of that length may start within `span` so that it costs no more than `budget`; closed stretches."""

    def fits(at: datetime) -> bool:
        return charge(device_count, at, at + length, weights, share) <= budget

    return stretches(fits, span, (step.at for step in weights), length)


def stretches(
    fits: Callable[[datetime], bool], span: tuple[datetime, datetime], changes: Iterable[datetime], length: timedelta
) -> Spans:
    """When a window of that length may start within `span`; closed stretches.

    Between two moments at which an end of the window meets a change, what `fits` weighs only rises or only falls.
    """
    first, last = span
    bends = {at for change in changes for at in (change, change - length) if first < at < last}
    marks = sorted({first, last, *bends})
    found: Spans = []
    for low, high in zip(marks, marks[1:] or marks, strict=False):
        if not (fits(low) or fits(high)):
            continue
        stretch = (low if fits(low) else _edge(high, low, fits), high if fits(high) else _edge(low, high, fits))
        if found and found[-1][1] == stretch[0]:
            found[-1] = (found[-1][0], stretch[1])
        else:
            found.append(stretch)
    return found


def _edge(good: datetime, bad: datetime, fits: Any) -> datetime:
    """The moment next to `bad` that still fits, to the second."""
    while abs(bad - good) > _GRAIN:
        middle = good + (bad - good) / 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def spliced(old: Weights, new: Weights, at: datetime) -> Weights:
    """`old` until a moment, `new` from it on."""
    kept = tuple(step for step in old if step.at < at)
    return (*kept, Step(at, weight_at(new, at)), *(step for step in new if step.at > at))


def frozen(weights: Weights, start: datetime, end: datetime) -> list[list[Any]]:
    """What of the weights matters to a window, as JSON; nothing where all of it is NORMAL."""
    steps = [[cut.start.astimezone(UTC).isoformat(), cut.weight] for cut in segments(weights, start, end)]
    return [] if [weight for _at, weight in steps] == [NORMAL] else steps


def thawed(stored: Sequence[Sequence[Any]]) -> Weights:
    """Weights out of their JSON."""
    return tuple(Step(datetime.fromisoformat(at), weight) for at, weight in stored)
