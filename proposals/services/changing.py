"""Changes to what was awarded: a partner asks, an officer decides (two where it is large), the allocation changes.

A smaller path than a proposal, past the same agreement, the same pools and the same two people.
"""

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from allocations.models import Allocation
from allocations.services import amending, checks
from allocations.services.retrying import in_one_transaction
from audit.services import record
from common.errors import RuleBroken
from common.permissions import require
from notifications.services import notify
from partners.selectors import managers_of, officers
from projects.services import hand_over
from proposals.lifecycle import CHANGE
from proposals.models import ChangeRequest, Proposal
from proposals.rules import may_answer, may_decide
from proposals.services import second
from proposals.services.change_checks import FIELD_OF, Wish, check, check_choice, needs_second, snapshot
from proposals.services.deciding import bounded, check_stranger, needed

__all__ = ["Wish", "ask", "check_choice", "decline", "grant", "needs_second", "withdraw"]

Kind = ChangeRequest.Kind
OPEN = ("asked", "approved")


@transaction.atomic
def ask(*, actor: Any, allocation: Allocation, wish: Wish, reason: str) -> ChangeRequest:
    """Ask for a change. Owners and managers; the officers are told.

    Forbidden; WrongState once it is over; RuleBroken (a field of the wish, `reason`) where it could not be granted as
    things stand, or the same is asked already.
    """
    require(actor, may_answer, allocation.project.organisation)
    reason = needed(reason, _("Say what the change is needed for."))
    allocation = checks.lock_allocation(allocation.pk)
    if allocation.change_requests.filter(kind=wish.kind, state__in=OPEN).exists():
        raise RuleBroken(
            _("Such a change is asked for already."),
            remedy=_("Wait for the answer, or withdraw that one."),
            code="asked_already",
        )
    check(allocation, wish)
    change = ChangeRequest.objects.create(
        allocation=allocation,
        reason=reason,
        asked_by=actor,
        before=snapshot(allocation),
        kind=wish.kind,
        **{FIELD_OF[wish.kind]: getattr(wish, FIELD_OF[wish.kind])},  # what else was sent along is not asked for
    )
    record(actor=actor, verb="change.ask", target=change, changes=_said(change))
    _tell(change, officers(), "change_asked")
    return change


@transaction.atomic
def withdraw(*, actor: Any, change: ChangeRequest) -> ChangeRequest:
    """Take it back before it is decided. Owners and managers. Forbidden, InvalidTransition."""
    change = _lock(change)
    require(actor, may_answer, change.allocation.project.organisation)
    before, change.state = change.state, CHANGE.next(change.state, "withdraw")
    change.save(update_fields=["state"])
    record(actor=actor, verb="change.withdraw", target=change, changes={"state": [before, change.state]})
    return change


@transaction.atomic
def decline(*, actor: Any, change: ChangeRequest, reason: str) -> ChangeRequest:
    """Say no, and why. Forbidden, InvalidTransition, RuleBroken without a reason."""
    require(actor, may_decide)
    reason, change = needed(reason), _lock(change)
    check_stranger(actor, change.allocation.project.organisation)
    before, change.state = change.state, CHANGE.next(change.state, "decline")
    _decided(change, actor, reason)
    change.save()
    changes = {"state": [before, change.state], "reason": reason}
    record(actor=actor, verb="change.decline", target=change, changes=changes)
    _tell(change, managers_of(change.allocation.project.organisation), "change_declined")
    return change


def grant(*, actor: Any, change: ChangeRequest, reason: str = "") -> ChangeRequest:
    """Say yes: the allocation, or the project's lead, changes at once. Where it takes two officers the first one's yes
    waits for the second's.

    Forbidden; InvalidTransition; WrongState; RuleBroken past the agreement, the pool or its bound, or for whoever was
    the first of the two.
    """
    require(actor, may_decide)
    return in_one_transaction(lambda: _grant(actor, change, bounded(reason)))


def _grant(actor: Any, change: ChangeRequest, reason: str) -> ChangeRequest:
    change = _lock(change)
    check_stranger(actor, change.allocation.project.organisation)
    allocation = checks.lock_allocation(change.allocation_id)
    wish = Wish(change.kind, change.gpu_seconds, change.valid_until, change.pool, change.lead)
    if change.state == "asked" and needs_second(change, allocation):
        check(allocation, wish)
        before, change.state = change.state, CHANGE.next(change.state, "approve")
        change.approved_by = actor
        change.save(update_fields=["state", "approved_by"])
        record(actor=actor, verb="change.approve", target=change, changes={"state": [before, change.state]})
        _tell(change, [person for person in officers() if person.pk != actor.pk], "change_approved")
        return change
    state = CHANGE.next(change.state, "grant")
    second.check_other(actor, [change.approved_by])
    check(allocation, wish)
    change.before = snapshot(allocation)
    result = _carried_out(actor, allocation, wish, f"{change.public_id}: {change.reason}"[:200])
    before, change.state = change.state, CHANGE.next(change.state, "grant")
    _decided(change, actor, reason)
    change.after, change.result_ref = snapshot(result), result.public_id
    change.save()
    changes = {"state": [before, state], "before": change.before, "after": change.after, "reason": reason}
    record(actor=actor, verb="change.grant", target=change, changes=changes)
    _tell(change, managers_of(allocation.project.organisation), "change_granted")
    return change


def _carried_out(actor: Any, allocation: Allocation, wish: Wish, why: str) -> Allocation:
    """The change itself; the allocation that came of it."""
    if wish.kind == Kind.HOURS and wish.gpu_seconds:
        percent = _held_back_percent(allocation)
        return amending.add_hours(
            actor=actor, allocation=allocation, gpu_seconds=wish.gpu_seconds, reason=why, held_back_percent=percent
        )
    if wish.kind == Kind.TERM and wish.valid_until:
        return amending.prolong(actor=actor, allocation=allocation, valid_until=wish.valid_until, reason=why)
    if wish.kind == Kind.POOL and wish.pool:
        return amending.move(actor=actor, allocation=allocation, pool=wish.pool, reason=why)
    assert wish.lead is not None, "checked before"
    hand_over(actor=actor, project=allocation.project, user=wish.lead, reason=why)
    return Allocation.objects.select_related("project", "pool").get(pk=allocation.pk)


def _held_back_percent(allocation: Allocation) -> int:
    """What the award's call holds back until a progress report, per cent."""
    rows = Proposal.objects.filter(public_id=allocation.project.proposal_ref)
    return rows.values_list("call__held_back_percent", flat=True).first() or 0


def _decided(change: ChangeRequest, actor: Any, answer: str) -> None:
    change.decided_by, change.decided_at, change.answer = actor, timezone.now(), answer


def _lock(change: ChangeRequest) -> ChangeRequest:
    """Locked before its allocation: of two who decide at once the second finds it decided."""
    rows = ChangeRequest.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related(
        "allocation__project__organisation", "allocation__pool", "pool__gpu_class", "lead", "approved_by", "asked_by"
    ).get(pk=change.pk)


def _said(change: ChangeRequest) -> dict[str, Any]:
    return {
        "allocation": change.allocation.public_id,
        "kind": change.kind,
        "gpu_seconds": change.gpu_seconds,
        "valid_until": change.valid_until,
        "pool": change.pool.name if change.pool else None,
        "lead": change.lead.public_id if change.lead else None,
        "reason": change.reason,
    }


def _tell(change: ChangeRequest, people: Any, event: str) -> None:
    project = change.allocation.project
    context = {
        "project": project.title,
        "organisation": project.organisation.lazy_name,
        "change": Kind(change.kind).label,
        "reason": change.reason,
        "answer": change.answer,
    }
    notify(recipients=people, event=event, context=context, url=change.get_absolute_url())
