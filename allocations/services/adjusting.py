"""Correcting a balance: one officer proposes, another one confirms, and only then the ledger moves."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from allocations.lifecycle import ADJUSTMENT, OVER
from allocations.models import Adjustment, Allocation, LedgerEntry
from allocations.rules import may_adjust
from allocations.selectors.balances import balance
from allocations.services import checks, ledger, warning
from audit import services as audit
from common.errors import Forbidden, RuleBroken, WrongState
from common.moments import agency_day
from common.permissions import require
from common.quantities import seconds_to_hours
from notifications.services import notify
from partners.figures import committed
from partners.policy import check_more_hours
from partners.selectors import managers_of, officers
from partners.services.strangers import check_stranger


@transaction.atomic
def propose(*, actor: Any, allocation: Allocation, device_seconds: int, reason: str) -> Adjustment:
    """Propose to add device-seconds to an allocation, or (negative) to take some; nothing moves yet.

    RuleBroken where it could not be confirmed as things stand. The other officers are told.
    """
    require(actor, may_adjust)
    allocation = checks.lock_allocation(allocation.pk)
    check_stranger(actor, allocation.project.organisation)
    if not device_seconds:
        raise RuleBroken(
            _("An adjustment moves something."),
            code="nothing_adjusted",
            remedy=_("Give hours to add, or negative ones to take."),
            field="hours",
        )
    made = Adjustment(
        allocation=allocation,
        device_seconds=device_seconds,
        reason=_needed(reason, _("An adjustment needs a reason.")),
        proposed_by=actor,
    )
    _check(allocation, made)
    made.save()
    changes = {"allocation": allocation.public_id, "device_seconds": device_seconds, "reason": made.reason}
    audit.record(actor=actor, verb="adjustment.propose", target=made, changes=changes)
    _tell(made, officers().exclude(pk=actor.pk), "adjustment_proposed", url=made.get_absolute_url())
    return made


@transaction.atomic
def confirm(*, actor: Any, adjustment: Adjustment) -> Adjustment:
    """A second officer says yes: one entry in the ledger, and the organisation's managers are told.

    RuleBroken for whoever proposed it, where less than nothing would be left, or past the agreement's GPU-hours.
    """
    require(actor, may_adjust)
    adjustment = _lock(adjustment.pk)
    ADJUSTMENT.next(adjustment.state, "confirm")  # of two who confirm at once, the second is refused here
    if adjustment.proposed_by_id == actor.pk:
        raise RuleBroken(
            _("An adjustment needs two people: you have proposed this one."),
            code="second_person",
            remedy=_("Ask another officer to confirm it, or withdraw it."),
            facts={"proposed_by": adjustment.proposed_by.public_id},
        )
    allocation = checks.lock_allocation(adjustment.allocation_id)
    check_stranger(actor, allocation.project.organisation)
    left = _check(allocation, adjustment)
    adjustment.entry = ledger.enter(
        allocation,
        LedgerEntry.Kind.ADJUSTMENT,
        adjustment.device_seconds,
        actor=actor,
        reason=adjustment.reason,
    )
    allocation.adjusted_gpu_seconds += adjustment.device_seconds
    allocation.save(update_fields=["adjusted_gpu_seconds"])
    _decide(adjustment, actor, "confirm", left_device_seconds=left)
    if adjustment.device_seconds < 0:
        warning.after_a_hold(allocation, left)
    else:
        warning.after_a_return(allocation)
    url = allocation.get_absolute_url()
    _tell(adjustment, managers_of(allocation.project.organisation), "allocation_adjusted", url=url)
    return adjustment


@transaction.atomic
def reject(*, actor: Any, adjustment: Adjustment, reason: str) -> Adjustment:
    """A second officer says no, and why; whoever proposed it is told. Nothing moves."""
    require(actor, may_adjust)
    adjustment = _lock(adjustment.pk)
    if adjustment.proposed_by_id == actor.pk:
        raise RuleBroken(
            _("You have proposed this adjustment yourself."), code="second_person", remedy=_("Withdraw it instead.")
        )
    adjustment.answer = _needed(reason, _("A rejection needs a reason."))
    _decide(adjustment, actor, "reject", answer=adjustment.answer)
    _tell(adjustment, [adjustment.proposed_by], "adjustment_rejected", url=adjustment.get_absolute_url())
    return adjustment


@transaction.atomic
def withdraw(*, actor: Any, adjustment: Adjustment) -> Adjustment:
    """Whoever proposed it takes it back before it is decided. Nothing moves."""
    require(actor, may_adjust)
    adjustment = _lock(adjustment.pk)
    if adjustment.proposed_by_id != actor.pk:
        raise Forbidden(_("Only whoever proposed an adjustment withdraws it; you may reject it."))
    _decide(adjustment, actor, "withdraw")
    return adjustment


def _lock(pk: int) -> Adjustment:
    """Locked before its allocation, so that of two who decide at once the second finds it decided."""
    rows = Adjustment.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related("allocation__project__organisation", "allocation__pool", "proposed_by").get(pk=pk)


def _check(allocation: Allocation, adjustment: Adjustment) -> int:
    """What would be left then; the refusal where it may not be."""
    if allocation.state in OVER:
        raise WrongState(
            _("This allocation is over: nothing is left that could be adjusted."),
            code="allocation_over",
            remedy=_("Award hours anew with a proposal."),
            facts={"state": allocation.state},
        )
    found, moved = balance(allocation), adjustment.device_seconds
    if found.left + moved < 0:
        raise RuleBroken(
            _("Only %(left)s GPU-hours are left in this allocation; a balance never falls below zero.")
            % {"left": seconds_to_hours(found.left)},
            code="balance",
            remedy=_("Take at most that, or wait until reservations have given hours back."),
            field="hours",
            facts={"left_device_seconds": found.left, "asked_device_seconds": moved},
        )
    if moved > 0:
        agreement = allocation.project.agreement
        days = agency_day(allocation.valid_from), agency_day(allocation.valid_until - timedelta(microseconds=1))
        check_more_hours(agreement, moved, committed(agreement), first=days[0], last=days[1])
    return found.left + moved


def _decide(adjustment: Adjustment, actor: Any, event: str, **changes: Any) -> None:
    before, adjustment.state = adjustment.state, ADJUSTMENT.next(adjustment.state, event)
    adjustment.decided_by, adjustment.decided_at = actor, timezone.now()
    adjustment.save(update_fields=["state", "decided_by", "decided_at", "answer", "entry"])
    said = {
        "state": [before, adjustment.state],
        "allocation": adjustment.allocation.public_id,
        "device_seconds": adjustment.device_seconds,
        "reason": adjustment.reason,
        "proposed_by": adjustment.proposed_by.email,
    }
    audit.record(actor=actor, verb=f"adjustment.{event}", target=adjustment, changes=said | changes)


def _needed(reason: str, message: str) -> str:
    if not reason.strip():
        raise RuleBroken(message, code="reason_missing", remedy=_("Write one sentence."), field="reason")
    return reason.strip()[:200]


def _tell(adjustment: Adjustment, people: Any, event: str, *, url: str) -> None:
    context = {
        "adjustment": adjustment.public_id,
        "project": adjustment.allocation.project.title,
        "pool": adjustment.allocation.pool.name,
        "hours": seconds_to_hours(abs(adjustment.device_seconds)),
        "taken": adjustment.device_seconds < 0,
        "reason": adjustment.reason,
        "answer": adjustment.answer,
        "proposed_by": str(adjustment.proposed_by),
        "decided_by": str(adjustment.decided_by or ""),
    }
    notify(recipients=people, event=event, context=context, url=url)
