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
from proposals.selectors.lists import calls_of, gpu_classes_of, listed, name_of, open_calls, public_calls, with_overdue
from proposals.selectors.prepared import OPEN_PREPARED, listed_prepared, without_second
from proposals.selectors.rounds import PoolSum, came_free, pool_sums

__all__ = [
    "OPEN_PREPARED",
    "STEPS",
    "Change",
    "Draft",
    "Gap",
    "LineCheck",
    "PoolCapacity",
    "PoolSum",
    "Span",
    "StepState",
    "as_said",
    "calls_of",
    "came_free",
    "check_lines",
    "committed",
    "compare",
    "draft_of",
    "gpu_classes_of",
    "judge",
    "listed",
    "listed_prepared",
    "name_of",
    "open_calls",
    "pool_capacities",
    "pool_sums",
    "public_calls",
    "said",
    "seen",
    "snapshot",
    "waiting_awards",
    "window_of",
    "with_overdue",
    "without_second",
]
