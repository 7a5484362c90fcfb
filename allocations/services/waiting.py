"""Waiting for an engine's step: issue it, look at it, issue it again, say that it is stuck."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Literal

from allocations.models import Lease, Placement
from allocations.services.steps import engine_of, open_placements, order_for
from cluster.drivers.base import LeaseOrder, Step

RETRIES = 3
STUCK_PAUSE = timedelta(minutes=5)
DEADLINES = {
    "verify": timedelta(seconds=120),
    "grant": timedelta(seconds=60),
    "extend": timedelta(seconds=60),
    "revoke": timedelta(seconds=60),
    "reclaim": timedelta(seconds=300),
    "reshape": timedelta(seconds=120),
}

Outcome = Literal["waiting", "done", "failed", "exhausted"]


def look(
    lease: Lease,
    verb: str,
    *,
    hard_end: datetime | None = None,
    rows: list[Placement] | None = None,
    leaving: Iterable[Placement] = (),
) -> tuple[Step | None, Callable[[datetime], None]]:
    """The step as the engine sees it in the lease's generation (None: never issued), and how to issue it.

    About all open placements, or about `rows` alone.
    """
    placements = open_placements(lease) if rows is None else rows
    engine = engine_of(lease)

    def order() -> LeaseOrder:
        return order_for(lease, placements, hard_end=hard_end, leaving=leaving)

    def issue(now: datetime) -> None:
        getattr(engine, verb)(order(), deadline_at=now + DEADLINES[verb])

    step = engine.observe(order()).get(verb)
    return (None if step is None or step.state == "none" else step), issue


def pursue(
    lease: Lease,
    verb: str,
    now: datetime,
    *,
    hard_end: datetime | None = None,
    rows: list[Placement] | None = None,
) -> tuple[Outcome, Step | None]:
    """Issue the step when it was not, and again in a higher generation when it failed without saying why of a device.

    "failed": a node reported a device that did not pass: no use in trying again. "exhausted": three more tries are
    used up (or the lease is stuck and its pause is not over).
    """
    step, issue = look(lease, verb, hard_end=hard_end, rows=rows)
    if step is None:
        issue(now)
        return "waiting", None
    if step.state == "waiting":
        return "waiting", step
    if any(not report.passed for report in step.reports):
        return "failed", step
    if step.state == "done":
        return "done", step
    if not may_try_again(lease, now):
        return "exhausted", step
    _step, issue_again = look(lease, verb, hard_end=hard_end, rows=rows)
    issue_again(now)
    return "waiting", None


def may_try_again(lease: Lease, now: datetime) -> bool:
    """Take one of the tries that are left, in a higher generation: every step of it is to be issued anew."""
    paused = lease.retry_at is not None and now < lease.retry_at
    if paused or (lease.attempts >= RETRIES and lease.retry_at is None):
        return False
    lease.generation += 1
    lease.attempts += 1
    if lease.retry_at is not None:
        lease.retry_at = now + STUCK_PAUSE
    lease.save(update_fields=["generation", "attempts", "retry_at"])
    return True
