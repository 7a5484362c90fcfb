"""Questions about calls and proposals."""

from proposals.selectors.completeness import STEPS, Draft, Gap, StepState, draft_of
from proposals.selectors.contents import as_said, said, seen, snapshot
from proposals.selectors.differences import Change, Span, compare
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
    "STEPS",
    "Change",
    "Draft",
    "Gap",
    "LineCheck",
    "PoolCapacity",
    "Span",
    "StepState",
    "as_said",
    "check_lines",
    "committed",
    "compare",
    "draft_of",
    "gpu_classes_of",
    "judge",
    "listed",
    "open_calls",
    "pool_capacities",
    "said",
    "seen",
    "snapshot",
    "waiting_awards",
    "window_of",
]
