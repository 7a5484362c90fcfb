"""What a job does to a device, as a function of time: no state, so that a seed and a clock give the same day twice.

The figures are those of reference runs: pretraining 95-100 % busy with 70-90 % of the SMs at work and 86-98 % of the
board's power, with a checkpoint of one to three minutes every 20 to 60; a hung collective spins at 100 % "utilisation"
with no SM activity and hardly more power than idle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

WORKLOADS = ("idle", "pretrain", "finetune", "inference", "preprocess", "hung")
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Load:
    """A device's load by one job. Percentages 0-100; power_share is of the span from idle to the board's limit."""

    utilisation: float = 0.0
    memory_utilisation: float = 0.0
    sm: float = 0.0
    occupancy: float = 0.0
    tensor: float = 0.0
    dram: float = 0.0
    power_share: float = 0.0
    nvlink_mib_per_second: float = 0.0
    pcie_mib_per_second: float = 0.0


def mix(*words: int) -> int:
    """A 64-bit hash of integers (splitmix64 rounds): the source of all chance here."""
    value = 0x9E3779B97F4A7C15
    for word in words:
        value = (value ^ (word & _MASK)) * 0xBF58476D1CE4E5B9 & _MASK
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
        value ^= value >> 31
    return value


def chance(*words: int) -> float:
    """A number in [0, 1) that depends on the words alone."""
    return mix(*words) / 2**64


def between(low: float, high: float, *words: int) -> float:
    """A number in [low, high) that depends on the words alone."""
    return low + (high - low) * chance(*words)


def _training(seed: int, second: int, period: tuple[int, int], dip: tuple[int, int], busy: Load, low: Load) -> Load:
    span = int(between(*period, seed, 1))
    pause = int(between(*dip, seed, 2))
    shape = low if second % span >= span - pause else busy
    wobble = between(0.94, 1.0, seed, second, 3)
    return Load(
        utilisation=min(100.0, shape.utilisation * between(0.96, 1.0, seed, second, 4)),
        memory_utilisation=shape.memory_utilisation * wobble,
        sm=shape.sm * between(0.85, 1.0, seed, second, 5),
        occupancy=shape.occupancy * wobble,
        tensor=shape.tensor * between(0.75, 1.0, seed, second, 6),
        dram=shape.dram * wobble,
        power_share=shape.power_share * wobble,
        nvlink_mib_per_second=shape.nvlink_mib_per_second * wobble,
        pcie_mib_per_second=shape.pcie_mib_per_second * wobble,
    )


def pretrain(seed: int, second: int) -> Load:
    """Steady and near the limit, with checkpoint dips."""
    busy = Load(100, 62, 89, 48, 53, 58, 0.97, 90_000, 900)
    return _training(seed, second, (1200, 3600), (60, 180), busy, Load(12, 4, 4, 3, 0, 3, 0.12, 0, 9_000))


def finetune(seed: int, second: int) -> Load:
    """Like pretraining, lighter, with an evaluation every few minutes."""
    busy = Load(96, 48, 74, 40, 38, 44, 0.82, 40_000, 700)
    return _training(seed, second, (420, 900), (20, 60), busy, Load(40, 15, 22, 12, 8, 14, 0.3, 0, 2_000))


def inference(seed: int, second: int) -> Load:
    """Bursts of requests: each five seconds has a rate of its own, each second its own arrivals."""
    rate = between(0.1, 0.75, seed, second // 5, 1)
    share = min(0.9, max(0.1, rate + between(-0.15, 0.15, seed, second, 2)))
    return Load(100 * share, 55 * share, 46 * share, 26 * share, 24 * share, 60 * share, 0.15 + 0.5 * share, 900, 300)


def preprocess(seed: int, second: int) -> Load:
    """The CPU works; the device twitches."""
    share = chance(seed, second, 1) ** 3
    return Load(15 * share, 6 * share, 4.5 * share, 2 * share, 0, 3 * share, 0.06 + 0.06 * share, 0, 1_500 * share)


def idle(seed: int, second: int) -> Load:
    """A context is open and nothing runs."""
    return Load()


def hung(seed: int, second: int) -> Load:
    """A collective that waits for a peer that will never come."""
    return Load(utilisation=100, sm=between(0.1, 0.9, seed, second), occupancy=0.3, power_share=0.045)


MODELS: dict[str, Callable[[int, int], Load]] = {
    "idle": idle,
    "pretrain": pretrain,
    "finetune": finetune,
    "inference": inference,
    "preprocess": preprocess,
    "hung": hung,
}


def share(load: Load, part: float) -> Load:
    """A load seen from a whole device where the job has only a part of it."""
    return Load(**{name: value * part for name, value in vars(load).items()})


def together(loads: list[Load]) -> Load:
    """The load of several jobs on one device: shares add up, and no share passes the whole."""

    def total(name: str, most: float) -> float:
        return float(min(most, sum(getattr(load, name) for load in loads)))

    return Load(
        **{
            name: total(name, 100.0)
            for name in ("utilisation", "memory_utilisation", "sm", "occupancy", "tensor", "dram")
        },
        power_share=total("power_share", 1.0),
        nvlink_mib_per_second=total("nvlink_mib_per_second", 430_000.0),
        pcie_mib_per_second=total("pcie_mib_per_second", 60_000.0),
    )
