"""Three workers on two cores: two of them compute, one waits.

A third of the suite's time goes to tests that start agents, nodes and servers and mostly wait for them; the others keep
a core busy. Given out in one row, they leave a core idle whenever a worker waits. So the first of three workers (or of
more) takes what waits, as long as there is any, and the others what computes; then each helps the other. Those that
compute are polite (`nice`): an agent whose reaction is measured does not queue behind two of them.
"""

import os
from typing import Any

import pytest
from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController

WAITING_WORKER = "gw0"
POLITENESS = 5
WAITING = (
    "tests/concurrency/test_fault_campaign.py",
    "tests/agent/",
    "tests/simulator/",
    "tests/portal/test_embedded.py",
)
"""In the order in which their worker takes them: the longest first."""
FEWEST_WORKERS = 3
Unit = dict[str, bool]


def waits(unit: Unit) -> bool:
    """Whether a unit (the IDs of tests that stay together) is of those that mostly wait."""
    return next(iter(unit)).startswith(WAITING)


class TwoKinds(LoadGroupScheduling):
    """As `--dist loadgroup`, but each worker takes its own kind first."""

    def _assign_work_unit(self, node: WorkerController) -> None:
        """The first unit of this worker's kind goes to the head of the row, from which it is given out."""
        wanted = node.gateway.id == WAITING_WORKER
        for scope, unit in self.workqueue.items():
            if waits(unit) == wanted:
                self.workqueue.move_to_end(scope, last=False)
                break
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadGroupScheduling | None:
    """With fewer workers, or another `--dist`, xdist's own."""
    if config.getoption("dist") != "loadgroup" or len(config.getoption("tx") or ()) < FEWEST_WORKERS:
        return None
    return TwoKinds(config, log)


def pytest_configure() -> None:
    """In a worker: whoever computes lets those go first who wait for the clock."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", WAITING_WORKER)
    if worker != WAITING_WORKER and int(os.environ["PYTEST_XDIST_WORKER_COUNT"]) >= FEWEST_WORKERS:
        os.nice(POLITENESS)
