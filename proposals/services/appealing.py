"""An appeal against a refusal: once, within the days of the settings, answered by somebody who had no part in it."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from common.errors import DomainError, RuleBroken, WrongState
from common.permissions import require
from notifications.services import notify
from partners.selectors import officers
from proposals.lifecycle import PROPOSAL
from proposals.models import Appeal, Decision, Proposal
from proposals.rules import may_answer, may_decide
from proposals.services import outcomes, second
from proposals.services.deciding import lock, move, needed, written
from proposals.services.drafting import shown_moment, told


def last_moment(refusal: Decision) -> datetime:
    """Until when one may appeal against a refusal."""
    return refusal.decided_at + timedelta(days=settings.APPEAL_DAYS)


def appealable(proposal: Proposal) -> Decision | None:
    """The refusal that can be appealed against now; None where there is none. Two queries at most."""
    if proposal.state != "declined":
        return None
    try:
        return check(proposal)
    except DomainError:
        return None


def check(proposal: Proposal) -> Decision:
    """The refusal that an appeal is against. RuleBroken after the first appeal, or after the last day for it;
    InvalidTransition where nothing was refused. Two queries.
    """
    earlier = Appeal.objects.filter(proposal=proposal).first()
    if earlier is not None:
        raise RuleBroken(
            _("An appeal against the decision on this proposal was made on %(when)s; there is one only.")
            % {"when": shown_moment(earlier.made_at)},
            remedy=_("You may write a new proposal."),
            code="appealed_already",
        )
    PROPOSAL.next(proposal.state, "appeal")
    refusal = proposal.decisions.filter(kind=Decision.Kind.DECLINE).order_by("id").last()
    if refusal is None:
        raise WrongState()
    if last_moment(refusal) <= timezone.now():
        raise RuleBroken(
            _("An appeal was possible until %(until)s.") % {"until": shown_moment(last_moment(refusal))},
            remedy=_("You may write a new proposal."),
            code="appeal_late",
            facts={"rule": "appeal_days", "until": last_moment(refusal).isoformat()},
        )
    return refusal


@transaction.atomic
def appeal(*, actor: Any, proposal: Proposal, reason: str) -> Appeal:
    """Ask for a second look at a refusal, by somebody else. Owners and managers.

    Forbidden; InvalidTransition; RuleBroken without a reason, the second time, or after the last day for it.
    """
    require(actor, may_answer, proposal.organisation)
    reason = needed(reason, _("Say why the decision should be looked at again."))
    proposal = lock(proposal)
    refusal = check(proposal)
    proposal = move(actor, proposal, "appeal", {"reason": reason})
    made = Appeal.objects.create(proposal=proposal, against=refusal, reason=reason, made_by=actor)
    written(actor, proposal, Decision.Kind.APPEAL, reason)
    notify(
        recipients=officers(),
        event="proposal_appealed",
        context=told(proposal, reason=reason, decided_by=str(refusal.decided_by or "")),
        url=proposal.get_absolute_url(),
    )
    return made


@transaction.atomic
def dismiss(*, actor: Any, proposal: Proposal, reason: str) -> Appeal:
    """The refusal stands. Forbidden; InvalidTransition; RuleBroken without a reason or for those who had a part
    in the refusal.
    """
    return _answer(actor, proposal, reason, upheld=False)


@transaction.atomic
def uphold(*, actor: Any, proposal: Proposal, reason: str) -> Appeal:
    """It is in review again. Forbidden; InvalidTransition; RuleBroken without a reason or for those who
    had a part in the refusal.
    """
    return _answer(actor, proposal, reason, upheld=True)


def _answer(actor: Any, proposal: Proposal, reason: str, *, upheld: bool) -> Appeal:
    require(actor, may_decide)
    decision = outcomes.answer_appeal(actor=actor, proposal=proposal, upheld=upheld, reason=reason)
    made = Appeal.objects.select_related("against").get(proposal=proposal)
    second.check_answers(actor, made)
    made.upheld, made.answer, made.answered_by, made.answered_at = upheld, decision.reason, actor, timezone.now()
    made.save(update_fields=["upheld", "answer", "answered_by", "answered_at"])
    return made
