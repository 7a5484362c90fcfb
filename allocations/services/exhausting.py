"""An allocation whose hours are used up says so, and stops saying it when hours come back: one chore of the tick.

Used up: nothing is left and no reservation holds anything any more. The state tells people and leaves lists of what can
be booked; what refuses a booking is the balance alone, so that hours that came back a moment ago can be booked before
the next tick.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef

from allocations.lifecycle import ALLOCATION, HELD
from allocations.models import Allocation, Lease
from allocations.selectors.balances import balance
from allocations.services.awards import transition
from common.actors import RECONCILER
from common.quantities import seconds_to_hours
from notifications.services import notify
from partners.selectors import managers_of

_ALL = 100
"""The last step of warning.py: every verb that moves hours keeps it, so that no tick has to add up ledgers."""


def keep_balances(now: datetime) -> int:
    """Exhaust what is used up and replenish what has hours again, one transaction each; the number moved."""
    rows = Allocation.objects.annotate(holds=Exists(Lease.objects.filter(allocation=OuterRef("pk"), state__in=HELD)))
    spent = rows.filter(state="active", warned_percent__gte=_ALL, holds=False)
    again = rows.filter(state="exhausted").exclude(warned_percent__gte=_ALL, holds=False)
    moved = 0
    for event, pks in (
        ("exhaust", list(spent.values_list("pk", flat=True))),
        ("replenish", list(again.values_list("pk", flat=True))),
    ):
        for pk in pks:
            moved += _move(pk, event)
    return moved


@transaction.atomic
def _move(pk: int, event: str) -> int:
    """Looked at again under the lock under which hours move."""
    rows = Allocation.objects.select_for_update(of=("self",), skip_locked=True, no_key=True).filter(pk=pk)
    allocation = rows.select_related("project__organisation", "pool").first()
    if allocation is None or not ALLOCATION.allows(allocation.state, event):
        return 0
    used_up = balance(allocation).left <= 0 and not allocation.leases.filter(state__in=HELD).exists()
    if used_up != (event == "exhaust"):
        return 0
    transition(allocation, event, actor=RECONCILER)
    if used_up:
        _tell(allocation)
    return 1


def _tell(allocation: Allocation) -> None:
    context = {
        "project": allocation.project.title,
        "pool": allocation.pool.name,
        "awarded_hours": seconds_to_hours(allocation.granted_gpu_seconds),
        "held_back_hours": seconds_to_hours(allocation.held_back_gpu_seconds),
        "valid_until": allocation.valid_until,
    }
    people = managers_of(allocation.project.organisation)
    notify(recipients=people, event="allocation_exhausted", context=context, url=allocation.get_absolute_url())
