"""Questions about calls and proposals."""

from proposals.selectors.fitting import (
    LineCheck,
    PoolCapacity,
    check_lines,
    committed,
    judge,
    pool_capacities,
    waiting_awards,
    window_of,
)
from proposals.selectors.lists import gpu_classes_of, listed, open_calls

__all__ = [
    "LineCheck",
    "PoolCapacity",
    "check_lines",
    "committed",
    "gpu_classes_of",
    "judge",
    "listed",
    "open_calls",
    "pool_capacities",
    "waiting_awards",
    "window_of",
]
