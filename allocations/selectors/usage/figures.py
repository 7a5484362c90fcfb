"""Sums of use as a value."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from operator import add, attrgetter
from typing import Any

from allocations.usage_classes import UsageClass

J_A_KWH = 3_600_000


@dataclass(frozen=True)
class UsageSums:
    """Device-seconds (of whole GPUs) by what was made of them; held is the sum of the seven, always.

    `energy_j`: of the devices' counters, where they have one.
    """

    held_seconds: int = 0
    used_seconds: int = 0
    idle_seconds: int = 0
    parked_seconds: int = 0
    hung_seconds: int = 0
    no_data_seconds: int = 0
    fault_seconds: int = 0
    maintenance_seconds: int = 0
    samples: int = 0
    energy_j: int = 0

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "UsageSums":
        """From a row that has these names among others."""
        return cls(**{name: int(row[name] or 0) for name in NAMES})

    @classmethod
    def total(cls, rows: Iterable["UsageSums"]) -> "UsageSums":
        """All of them together."""
        each = [_figures(row) for row in rows]
        return cls(*map(sum, zip(*each, strict=True))) if each else cls()

    def __add__(self, other: "UsageSums") -> "UsageSums":
        return UsageSums(*map(add, _figures(self), _figures(other)))

    def __bool__(self) -> bool:
        return bool(self.held_seconds)

    @property
    def measured_seconds(self) -> int:
        """Of which it is known what they were: used, idle, parked or hung."""
        return self.used_seconds + self.idle_seconds + self.parked_seconds + self.hung_seconds

    @property
    def unused_seconds(self) -> int:
        """Idle, be it with memory filled."""
        return self.idle_seconds + self.parked_seconds

    @property
    def idle_share(self) -> float | None:
        """Idle of what was measured, 0 to 1; None where nothing was. A gap, a fault or maintenance is never idle."""
        return self.unused_seconds / self.measured_seconds if self.measured_seconds else None

    @property
    def used_share(self) -> float | None:
        """Used of held, 0 to 1; None where nothing was held."""
        return self.used_seconds / self.held_seconds if self.held_seconds else None

    @property
    def energy_kwh(self) -> float:
        """As people pay for it."""
        return self.energy_j / J_A_KWH

    @property
    def parts(self) -> list[tuple[UsageClass, int]]:
        """Each class with its seconds, in one order everywhere."""
        return [(each, getattr(self, each.field)) for each in UsageClass]


NAMES = tuple(field.name for field in fields(UsageSums))
_figures = attrgetter(*NAMES)


def weighed(raw: Mapping[str, Any], slices: int, slices_of: int) -> UsageSums:
    """Seconds of devices as seconds of whole GPUs: class after class the part of the running sum, so that the seven add
    up to the part of what was held. Samples and energy are counted, not weighed.
    """
    running, before, found = 0, 0, {}
    for each in UsageClass:
        running += int(raw[each.field] or 0)
        upto = running * slices // slices_of
        found[each.field], before = upto - before, upto
    return UsageSums(held_seconds=before, samples=int(raw["samples"] or 0), energy_j=int(raw["energy_j"] or 0), **found)
