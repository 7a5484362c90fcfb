"""The arithmetic of reviews. Knows no model and no Django."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

_GRAIN = Decimal("0.001")


@dataclass(frozen=True)
class Mark:
    """Points on one criterion: 0 to `scale`, counting `weight` times."""

    points: int
    scale: int
    weight: int


@dataclass(frozen=True)
class Spread:
    """What several reviews say together. `deviation` is the standard deviation of these very reviews."""

    count: int
    mean: Decimal
    deviation: Decimal
    low: Decimal
    high: Decimal

    @property
    def range(self) -> Decimal:
        """Between the lowest and the highest."""
        return self.high - self.low


def weighted(marks: Iterable[Mark]) -> Decimal:
    """0 to 100: each mark as a part of its scale, so that a criterion of 5 points and one of 100 count by weight alone.

    ValueError for no marks, or for one off its scale.
    """
    marks = list(marks)
    if not marks or any(not 0 <= mark.points <= mark.scale or mark.weight <= 0 for mark in marks):
        raise ValueError("a review needs marks, each on its scale")
    total = sum((Decimal(mark.weight) * mark.points / mark.scale for mark in marks), Decimal(0))
    return (100 * total / sum(mark.weight for mark in marks)).quantize(_GRAIN)


def spread(totals: Iterable[Decimal]) -> Spread | None:
    """Mean, standard deviation and range; None without a review."""
    found = list(totals)
    if not found:
        return None
    mean = sum(found, Decimal(0)) / len(found)
    variance = sum((total - mean) ** 2 for total in found) / len(found)
    deviation = Decimal(math.sqrt(variance))
    return Spread(len(found), mean.quantize(_GRAIN), deviation.quantize(_GRAIN), min(found), max(found))


def ranks(values: Sequence[Decimal | None]) -> list[int | None]:
    """1 for the highest; equal values share a rank and the next one skips (1, 2, 2, 4). None has no rank."""
    ordered = sorted((value for value in values if value is not None), reverse=True)
    first: dict[Decimal, int] = {}
    for place, value in enumerate(ordered, start=1):
        first.setdefault(value, place)
    return [None if value is None else first[value] for value in values]


def within_budget(asks: Iterable[Mapping[str, int]], budgets: Mapping[str, int | None]) -> int:
    """How many of the asks, taken in their order, the money lasts for: the line is drawn after them.

    An ask is device-seconds by GPU class. A class with a budget of None is open, and so is one without a row.
    """
    spent: dict[str, int] = {}
    count = 0
    for ask in asks:
        for name, seconds in ask.items():
            spent[name] = spent.get(name, 0) + seconds
            most = budgets.get(name)
            if most is not None and spent[name] > most:
                return count
        count += 1
    return count
