"""Telling people before an allocation runs out."""

from allocations.models import Allocation
from allocations.selectors.balances import balance
from audit import services as audit
from common.actors import RECONCILER
from common.quantities import seconds_to_hours
from notifications.services import notify
from partners.selectors import managers_of

STEPS = (50, 75, 90, 100)
"""Per cent of an award, as adjusted since, that are held or charged: each is told once on the way up."""


def step_of(granted: int, left: int) -> int:
    """The highest step that is reached; 0: none yet."""
    spent = 100 * (granted - left)
    return max((step for step in STEPS if spent >= step * granted), default=0)


def after_a_hold(allocation: Allocation, left: int) -> None:
    """Tell the organisation's managers when a step is passed; the caller has locked the allocation's row."""
    step = step_of(allocation.granted_gpu_seconds, left)
    if step <= allocation.warned_percent:
        return
    before, allocation.warned_percent = allocation.warned_percent, step
    allocation.save(update_fields=["warned_percent"])
    audit.record(actor=RECONCILER, verb="allocation.warn", target=allocation, changes={"percent": [before, step]})
    context = {
        "percent": step,
        "project": allocation.project.title,
        "pool": allocation.pool.name,
        "left_hours": seconds_to_hours(left),
        "awarded_hours": seconds_to_hours(allocation.granted_gpu_seconds),
    }
    people = managers_of(allocation.project.organisation)
    notify(recipients=people, event="allocation_spent", context=context, url=allocation.get_absolute_url())


def after_a_return(allocation: Allocation) -> None:
    """Hours came back: a step that is passed again later is told again. The caller has locked the allocation's row."""
    if not allocation.warned_percent:
        return
    step = step_of(allocation.granted_gpu_seconds, balance(allocation).left)
    if step < allocation.warned_percent:
        allocation.warned_percent = step
        allocation.save(update_fields=["warned_percent"])
