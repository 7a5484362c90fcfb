"""What of an allocation may be changed, and what stands against it: the agreement, the pools, the term.

Asked when a change is asked for and again when it is granted (changing.py). Imports no verb.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Sum
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from accounts.models import User
from allocations.lifecycle import OVER
from allocations.models import Allocation
from allocations.selectors.balances import balance
from allocations.selectors.envelopes import commitment
from cluster.models import Pool
from common.errors import RuleBroken, WrongState
from common.moments import agency_day
from common.quantities import seconds_to_hours
from partners.policy import check_ask, check_more_hours
from projects.services import check_may_lead
from proposals.models import ChangeRequest, Proposal
from proposals.selectors import committed, waiting_awards
from proposals.selectors.choices import other_leads, other_pools
from proposals.services import second
from proposals.services.promising import check_room, one_at_a_time

Kind = ChangeRequest.Kind
MOST_GPU_SECONDS = 10**15
FIELD_OF: dict[str, str] = {Kind.HOURS: "gpu_seconds", Kind.TERM: "valid_until", Kind.POOL: "pool", Kind.LEAD: "lead"}
"""What of a wish each kind of change is about."""


@dataclass(frozen=True)
class Wish:
    """What is to change: device-seconds more, a later end (exclusive), another pool, or another lead."""

    kind: str
    gpu_seconds: int | None = None
    valid_until: datetime | None = None
    pool: Pool | None = None
    lead: User | None = None


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


def check_choice(allocation: Allocation, kind: str, user: Any) -> None:
    """RuleBroken where there is nothing that this could be changed to: asked before a form is shown. One query."""
    if kind == Kind.POOL and not other_pools(allocation, user).exists():
        raise RuleBroken(
            _("There is no other pool to move to that the agreement covers."),
            remedy=_("More GPU-hours or a longer term can be asked for instead."),
            code="no_other_pool",
        )
    if kind == Kind.LEAD and not other_leads(allocation).exists():
        raise RuleBroken(
            _("Nobody else of your organisation may use GPUs, so nobody else can lead the project."),
            remedy=_("Invite somebody to the organisation first, as a member at least."),
            code="no_other_lead",
        )


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


def _check_hours(allocation: Allocation, gpu_seconds: int | None) -> None:
    if not gpu_seconds or not 0 < gpu_seconds <= MOST_GPU_SECONDS:
        raise _missing("hours")
    seconds = max(0, int((allocation.valid_until - max(timezone.now(), allocation.valid_from)).total_seconds()))
    fit = allocation.concurrent_gpus * seconds
    if balance(allocation).left + gpu_seconds > fit:
        raise RuleBroken(
            _("So many GPU-hours can no longer be used: until the end of the term at most %(fit)s fit.")
            % {"fit": number_format(seconds_to_hours(fit), 2, force_grouping=True)},
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
