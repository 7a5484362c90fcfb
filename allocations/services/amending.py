"""Changing what was awarded: more hours, a longer term, another pool. The ceilings are asked by the caller (proposals),
which holds the agreement's lock through the allocation's.
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from allocations.lifecycle import ALLOCATION, LEASE_OVER, OVER
from allocations.models import Allocation, LedgerEntry
from allocations.rules import may_award
from allocations.selectors.balances import balance
from allocations.services import awards, checks, envelopes, ledger, prolonging, telling, warning
from allocations.services.held_back import part_of
from audit import services as audit
from cluster.models import Pool
from common.errors import RuleBroken, WrongState
from common.permissions import require

NAMED = 5
"""Of open reservations that stand in the way of a move, in words; the facts name all."""


@transaction.atomic
def add_hours(
    *, actor: Any, allocation: Allocation, gpu_seconds: int, reason: str, held_back_percent: int = 0
) -> Allocation:
    """Award device-seconds more. While the allocation still holds back a part of its award, so many per cent of them
    are held back with it (`held_back.grant_rest` grants both); afterwards all of them are granted at once.

    Forbidden; WrongState once it is over; RuleBroken for none.
    """
    require(actor, may_award)
    allocation = _open(allocation)
    if gpu_seconds <= 0:
        raise RuleBroken(_("Say how many GPU-hours are to be added."), code="nothing_added", field="hours")
    before, allocation.awarded_gpu_seconds = (
        allocation.awarded_gpu_seconds,
        allocation.awarded_gpu_seconds + gpu_seconds,
    )
    held = part_of(gpu_seconds, held_back_percent) if allocation.held_back_gpu_seconds else 0
    allocation.held_back_gpu_seconds += held
    allocation.save(update_fields=["awarded_gpu_seconds", "held_back_gpu_seconds"])
    ledger.enter(allocation, LedgerEntry.Kind.AWARD, gpu_seconds - held, actor=actor, reason="awarded later")
    if ALLOCATION.allows(allocation.state, "replenish"):
        allocation.state = ALLOCATION.next(allocation.state, "replenish")
        allocation.save(update_fields=["state"])
    warning.after_a_return(allocation)
    changes: dict[str, Any] = {"awarded_gpu_seconds": [before, allocation.awarded_gpu_seconds], "reason": reason}
    if held:
        changes["held_back_gpu_seconds"] = [allocation.held_back_gpu_seconds - held, allocation.held_back_gpu_seconds]
    audit.record(actor=actor, verb="allocation.add_hours", target=allocation, changes=changes)
    return allocation


@transaction.atomic
def prolong(*, actor: Any, allocation: Allocation, valid_until: datetime, reason: str) -> Allocation:
    """A later end, for what is guaranteed too. Run anew after LostRace.

    Forbidden; WrongState once it is over; RuleBroken where the end is no later, or what is guaranteed cannot be kept so
    long (`no_capacity`).
    """
    require(actor, may_award)
    allocation = _open(allocation)
    if valid_until <= allocation.valid_until:
        raise RuleBroken(_("The new end must come after the present one."), code="not_later", field="valid_until")
    before = allocation.valid_until
    if allocation.guaranteed_gpus:
        prolonging.prolong(actor=actor, envelope=allocation.envelope, ends_at=valid_until)
    allocation.valid_until = valid_until
    allocation.save(update_fields=["valid_until"])
    changes = {"valid_until": [before, valid_until], "reason": reason}
    audit.record(actor=actor, verb="allocation.prolong", target=allocation, changes=changes)
    return allocation


@transaction.atomic
def move(*, actor: Any, allocation: Allocation, pool: Pool, reason: str) -> Allocation:
    """What is left of it becomes an allocation on another pool, with its term, GPUs and guarantee; this one closes.
    Run anew after LostRace.

    Forbidden; WrongState once it is over; RuleBroken while reservations of it are open, where nothing is left, or where
    the other pool cannot guarantee as many (`no_capacity`).
    """
    require(actor, may_award)
    allocation = _open(allocation)
    if pool.pk == allocation.pool_id:
        raise RuleBroken(_("It lies on this pool already."), code="same_pool", field="pool")
    _check_nothing_open(allocation)
    left, held_back = balance(allocation).left, allocation.held_back_gpu_seconds
    if left <= 0:
        raise RuleBroken(_("Nothing is left that could move."), code="nothing_left")
    _take_out(allocation, left, actor=actor)
    made = awards.create_allocation(
        actor=actor,
        project=allocation.project,
        pool=pool,
        asked_gpu_seconds=left + held_back,
        asked_concurrent_gpus=allocation.concurrent_gpus,
        awarded_gpu_seconds=left + held_back,
        concurrent_gpus=allocation.concurrent_gpus,
        valid_from=max(allocation.valid_from, timezone.now()),
        valid_until=allocation.valid_until,
        held_back_gpu_seconds=held_back,
    )
    guaranteed = allocation.guaranteed_gpus
    awards.close(actor=actor, allocation=allocation, reason=f"moved to {made.public_id}: {reason}"[:200])
    if guaranteed:
        envelope = envelopes.hold(
            actor=actor,
            pool=pool,
            organisation=allocation.project.organisation,
            gpus=guaranteed,
            starts_at=made.valid_from,
            ends_at=made.valid_until,
            award_ref=allocation.project.proposal_ref,
        )
        envelopes.attach(actor=actor, envelope=envelope, allocation=made)
    changes = {"to": made.public_id, "pool": [allocation.pool.name, pool.name], "gpu_seconds": left + held_back}
    audit.record(actor=actor, verb="allocation.move", target=allocation, changes=changes | {"reason": reason})
    return made


def _check_nothing_open(allocation: Allocation) -> None:
    rows = list(allocation.leases.exclude(state__in=LEASE_OVER).order_by("ends_at").values_list("public_id", "ends_at"))
    if not rows:
        return
    names = [name for name, _ends_at in rows]
    words = {
        "names": ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else ""),
        "until": telling.local(rows[-1][1]),
    }
    raise RuleBroken(
        ngettext(
            "A reservation of it is not over: %(names)s.",
            "%(count)s of its reservations are not over: %(names)s.",
            len(rows),
        )
        % (words | {"count": len(rows)}),
        remedy=_(
            "What is left moves as a whole. Wait until they have ended (%(until)s), or have the partner cancel them or "
            "give them back; they can be booked again on the other pool."
        )
        % words,
        code="open_leases",
        facts={"open": len(rows), "leases": names, "until": rows[-1][1].isoformat()},
    )


def _take_out(allocation: Allocation, left: int, *, actor: Any) -> None:
    """The old award shrinks to what was used of it, so that nothing counts twice against the agreement."""
    allocation.awarded_gpu_seconds -= left + allocation.held_back_gpu_seconds
    allocation.held_back_gpu_seconds = 0
    allocation.save(update_fields=["awarded_gpu_seconds", "held_back_gpu_seconds"])
    ledger.enter(allocation, LedgerEntry.Kind.AWARD, -left, actor=actor, reason="moved")


def _open(allocation: Allocation) -> Allocation:
    allocation = checks.lock_allocation(allocation.pk)
    if allocation.state in OVER:
        raise WrongState(
            _("This allocation is over: nothing of it can be changed."),
            code="allocation_over",
            remedy=_("Please propose again."),
            facts={"state": allocation.state},
        )
    return allocation
