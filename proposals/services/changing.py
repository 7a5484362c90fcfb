"""Changes to what was awarded: a partner asks, an officer decides (two where it is large), the allocation changes.

A smaller path than a proposal, past the same agreement, the same pools and the same two people.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from allocations.lifecycle import OVER
from allocations.models import Allocation
from allocations.selectors.balances import balance
from allocations.selectors.envelopes import commitment
from allocations.services import amending, checks
from allocations.services.retrying import in_one_transaction
from audit.services import record
from cluster.models import Pool
from common.errors import RuleBroken, WrongState
from common.permissions import require
from common.quantities import seconds_to_hours
from notifications.services import notify
from partners.policy import agency_day, check_ask, check_more_hours
from partners.selectors import managers_of, officers
from projects.services import check_may_lead, hand_over
from proposals.lifecycle import CHANGE
from proposals.models import ChangeRequest, Proposal
from proposals.rules import may_answer, may_decide
from proposals.selectors import committed, waiting_awards
from proposals.services import second
from proposals.services.deciding import bounded, needed
from proposals.services.promising import check_room, one_at_a_time

Kind = ChangeRequest.Kind
OPEN = ("asked", "approved")
MOST_GPU_SECONDS = 10**15


@dataclass(frozen=True)
class Wish:
    """What is to change: device-seconds more, a later end (exclusive), another pool, or another lead."""

    kind: str
    gpu_seconds: int | None = None
    valid_until: datetime | None = None
    pool: Pool | None = None
    lead: User | None = None


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
        **{name: value for name, value in vars(wish).items() if value is not None},
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


def needs_second(change: ChangeRequest, allocation: Allocation) -> bool:
    """Whether it takes two officers: an award, all its lines together, that is large under its call with the change.

    Two queries.
    """
    if change.kind == Kind.LEAD:
        return False
    ref = allocation.project.proposal_ref
    proposal = Proposal.objects.filter(public_id=ref).select_related("call").first()
    if proposal is None:
        return False
    # a line that moved left to the old allocation what it had used, so nothing counts twice
    given = Allocation.objects.filter(project=allocation.project_id).aggregate(
        total=Sum(F("awarded_gpu_seconds") + F("adjusted_gpu_seconds"), default=0)
    )
    return second.is_large(proposal.call, given["total"] + (change.gpu_seconds or 0))


def check(allocation: Allocation, wish: Wish) -> None:
    """The refusal where a wish could not be granted as things stand. The caller has locked the allocation."""
    if allocation.state in OVER:
        raise WrongState(
            _("This allocation is over: nothing of it can be changed."),
            code="allocation_over",
            remedy=_("Please propose again."),
            facts={"state": allocation.state},
        )
    if wish.kind == Kind.HOURS:
        _check_hours(allocation, wish.gpu_seconds)
    elif wish.kind == Kind.TERM:
        _check_term(allocation, wish.valid_until)
    elif wish.kind == Kind.POOL:
        _check_pool(allocation, wish.pool)
    elif wish.kind == Kind.LEAD:
        if wish.lead is None:
            raise _missing("lead")
        check_may_lead(allocation.project, wish.lead)


def snapshot(allocation: Allocation) -> dict[str, Any]:
    """What can change, as it is now; hours as text with two digits. Two queries."""
    lead = allocation.project.team.filter(is_lead=True).select_related("user").first()
    return {
        "allocation": allocation.public_id,
        "state": allocation.state,
        "awarded_gpu_hours": str(seconds_to_hours(allocation.awarded_gpu_seconds + allocation.adjusted_gpu_seconds)),
        "left_gpu_hours": str(seconds_to_hours(balance(allocation).left)),
        "valid_until": allocation.valid_until.isoformat(),
        "pool": allocation.pool.name,
        "gpus": allocation.concurrent_gpus,
        "guaranteed_gpus": allocation.guaranteed_gpus,
        "lead": lead.user.name if lead else "",
    }


def _grant(actor: Any, change: ChangeRequest, reason: str) -> ChangeRequest:
    change = _lock(change)
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


def _check_hours(allocation: Allocation, gpu_seconds: int | None) -> None:
    if not gpu_seconds or not 0 < gpu_seconds <= MOST_GPU_SECONDS:
        raise _missing("hours")
    seconds = max(0, int((allocation.valid_until - max(timezone.now(), allocation.valid_from)).total_seconds()))
    fit = allocation.concurrent_gpus * seconds
    if balance(allocation).left + gpu_seconds > fit:
        raise RuleBroken(
            _("So many GPU-hours can no longer be used: until the end of the term at most %(fit)s fit.")
            % {"fit": seconds_to_hours(fit)},
            remedy=_("Ask for fewer, or for a longer term first."),
            code="hours_exceed_window",
            field="hours",
        )
    agreement = allocation.project.agreement
    first, last = agency_day(allocation.valid_from), agency_day(allocation.valid_until - timedelta(microseconds=1))
    check_more_hours(agreement, gpu_seconds, committed(agreement), first=first, last=last)


def _check_term(allocation: Allocation, valid_until: datetime | None) -> None:
    if valid_until is None:
        raise _missing("valid_until")
    if valid_until <= max(allocation.valid_until, timezone.now()):
        raise RuleBroken(_("The new end must come after the present one."), code="not_later", field="valid_until")
    _check_agreement(allocation, allocation.pool, valid_until)
    _check_capacity(allocation, allocation.pool, allocation.valid_until, valid_until, field="valid_until")


def _check_pool(allocation: Allocation, pool: Pool | None) -> None:
    if pool is None:
        raise _missing("pool")
    if pool.pk == allocation.pool_id:
        raise RuleBroken(_("It lies on this pool already."), code="same_pool", field="pool")
    _check_agreement(allocation, pool, allocation.valid_until)
    start = max(timezone.now(), allocation.valid_from)
    _check_capacity(allocation, pool, start, allocation.valid_until, field="pool")


def _check_agreement(allocation: Allocation, pool: Pool, valid_until: datetime) -> None:
    """The whole allocation as it would be, as if it were asked for anew."""
    agreement = allocation.project.agreement
    check_ask(
        agreement,
        gpu_class_code=pool.gpu_class.code,
        gpus=allocation.concurrent_gpus,
        gpu_seconds=allocation.awarded_gpu_seconds + allocation.adjusted_gpu_seconds,
        window_from=agency_day(allocation.valid_from),
        window_until=agency_day(valid_until - timedelta(microseconds=1)),
        committed=committed(agreement, without=allocation),
        pool=pool.public_id,
    )


def _check_capacity(allocation: Allocation, pool: Pool, start: datetime, end: datetime, *, field: str) -> None:
    one_at_a_time([pool])
    try:
        check_room(pool, allocation.concurrent_gpus, commitment(pool, start, end, waiting_awards(pool)))
    except RuleBroken as error:
        error.field = field
        raise


def _missing(field: str) -> RuleBroken:
    return RuleBroken(_("Say what it is to become."), code="wish_missing", field=field)


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
