"""From which figures on a reservation gets a hint how to make more of its GPUs. Pure figures; the words beside them.

A hint is counsel: nothing follows from it. What follows from idle GPUs stands in rules of their own (`IdleRule`).
"""

from dataclasses import dataclass
from datetime import timedelta

LOOKED_AT = timedelta(days=14)
"""Hints speak of the last so many days of what was asked, so that they tell what is, not what was."""
MOST_LEASES = 200
MOST_HINTS = 50


@dataclass(frozen=True)
class HintRule:
    """Bounds: means of an hour in per cent and bytes a second, shares of what was measured, device-seconds."""

    least_seconds: int
    least_share: float
    busy_seconds: int
    """Of an hour, from which on the GPU counts as busy in it."""
    loading_utilisation: float
    loading_cpu: float
    loading_disk: int
    loading_share: float
    """Of an hour, for which a machine must have worked before its minutes are looked at one by one."""
    hung_seconds: int
    plain_utilisation: float
    plain_tensor: float
    waiting_utilisation: float
    waiting_sm: float


HINT_RULE = HintRule(
    least_seconds=2 * 3600,
    least_share=0.1,
    busy_seconds=1800,
    loading_utilisation=50,
    loading_cpu=60,
    loading_disk=400_000_000,
    loading_share=0.25,
    hung_seconds=1800,
    plain_utilisation=50,
    plain_tensor=1,
    waiting_utilisation=90,
    waiting_sm=25,
)
