"""An award becomes something one can spend."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from allocations.lifecycle import ALLOCATION, OVER
from allocations.models import Allocation, LedgerEntry
from allocations.rules import may_award
from allocations.services import envelopes, ledger
from audit import services as audit
from cluster.models import Pool
from common.actors import RECONCILER
from common.permissions import require
from projects.models import Project


@transaction.atomic
def create_allocation(
    *,
    actor: Any,
    project: Project,
    pool: Pool,
    asked_gpu_seconds: int,
    asked_concurrent_gpus: int,
    awarded_gpu_seconds: int,
    concurrent_gpus: int,
    valid_from: datetime,
    valid_until: datetime,
    held_back_gpu_seconds: int = 0,
) -> Allocation:
    """Write the award to the ledger; active at once when its window has begun, else pending until the tick.

    Of `awarded_gpu_seconds`, `held_back_gpu_seconds` count against the agreement and are not granted yet (held_back).
    The ceilings were checked by the award's own verb (proposals), which holds the agreement's lock; partners come
    here by accepting an award, so the actor may be theirs: the caller answers for the permission.
    """
    allocation = Allocation.objects.create(
        project=project,
        pool=pool,
        asked_gpu_seconds=asked_gpu_seconds,
        asked_concurrent_gpus=asked_concurrent_gpus,
        awarded_gpu_seconds=awarded_gpu_seconds,
        concurrent_gpus=concurrent_gpus,
        valid_from=valid_from,
        valid_until=valid_until,
        held_back_gpu_seconds=held_back_gpu_seconds,
    )
    ledger.enter(allocation, LedgerEntry.Kind.AWARD, awarded_gpu_seconds - held_back_gpu_seconds, actor=actor)
    changes = {"awarded_gpu_seconds": awarded_gpu_seconds, "concurrent_gpus": concurrent_gpus, "pool": pool.name}
    if held_back_gpu_seconds:
        changes["held_back_gpu_seconds"] = held_back_gpu_seconds
    audit.record(actor=actor, verb="allocation.create", target=allocation, changes=changes)
    if valid_from <= timezone.now() < valid_until:
        transition(allocation, "activate", actor=actor)
    return allocation


@transaction.atomic
def close(*, actor: Any, allocation: Allocation, reason: str) -> Allocation:
    """No more bookings from now on; leases that are booked keep what they hold, the rest is written off."""
    require(actor, may_award)
    allocation = Allocation.objects.select_for_update(no_key=True).get(pk=allocation.pk)
    transition(allocation, "close", actor=actor, reason=reason)
    return allocation


def keep_dates(now: datetime) -> int:
    """Activate what has begun and expire what is over, one transaction each; the number moved."""
    begun = Allocation.objects.filter(state="pending", valid_from__lte=now)
    over = Allocation.objects.filter(state__in=("active", "suspended", "exhausted"), valid_until__lte=now)
    moved = 0
    for event, pks in (
        ("activate", list(begun.values_list("pk", flat=True))),
        ("expire", list(over.values_list("pk", flat=True))),
    ):
        for pk in pks:
            moved += _move_by_clock(pk, event)
    return moved


@transaction.atomic
def _move_by_clock(pk: int, event: str) -> int:
    allocation = Allocation.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=pk).first()
    if allocation is None or not ALLOCATION.allows(allocation.state, event):
        return 0
    transition(allocation, event, actor=RECONCILER)
    return 1


def transition(allocation: Allocation, event: str, *, actor: Any, reason: str = "") -> None:
    """The next state from the table, what is left of one that is over written off, one audit row. The caller holds the
    allocation's lock. InvalidTransition.
    """
    before = allocation.state
    allocation.state = ALLOCATION.next(allocation.state, event)
    allocation.save(update_fields=["state"])
    changes: dict[str, Any] = {"state": [before, allocation.state], **({"reason": reason} if reason else {})}
    if expired := ledger.write_off(allocation, actor=actor):
        changes["expired_device_seconds"] = expired
    audit.record(actor=actor, verb=f"allocation.{event}", target=allocation, changes=changes)
    if allocation.state in OVER and allocation.guaranteed_gpus:
        envelopes.let_go(actor=actor, envelope=allocation.envelope, reason=f"allocation {allocation.state}")
