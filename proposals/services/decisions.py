"""The agency's verbs: review, return, hold, decline, award. The partner's answers (answers.py) are re-exported."""

from typing import Any

from django.db import transaction

from allocations.services.retrying import in_one_transaction
from common.permissions import require
from proposals.awards import AwardAsk
from proposals.models import Decision, Proposal
from proposals.rules import may_decide
from proposals.services import awarding, outcomes, preparing, stepping
from proposals.services.answers import accept, refuse
from proposals.services.deciding import move, needed, tell_partner, written
from proposals.services.returning import send_back

__all__ = [
    "AwardAsk",
    "accept",
    "award",
    "decline",
    "hold",
    "refuse",
    "resume",
    "return_for_changes",
    "start_review",
]


@transaction.atomic
def start_review(*, actor: Any, proposal: Proposal) -> Proposal:
    """Take it from the queue to look at it. Forbidden, InvalidTransition."""
    require(actor, may_decide)
    proposal = move(actor, proposal, "start_review", {})
    stepping.begin(actor=actor, proposal=proposal)
    tell_partner(proposal, "proposal_in_review")
    return proposal


@transaction.atomic
def return_for_changes(*, actor: Any, proposal: Proposal, reason: str) -> Proposal:
    """Send it back to be changed and submitted again. What was prepared for it is discarded.

    Forbidden, InvalidTransition, RuleBroken without a reason.
    """
    require(actor, may_decide)
    return send_back(actor=actor, proposal=proposal, reason=needed(reason))


@transaction.atomic
def hold(*, actor: Any, proposal: Proposal, reason: str) -> Proposal:
    """Decide later; the partner learns why. Forbidden, InvalidTransition, RuleBroken without a reason."""
    require(actor, may_decide)
    preparing.discard_open(actor=actor, proposal=proposal)
    return outcomes.put_on_hold(actor=actor, proposal=proposal, reason=reason).proposal


@transaction.atomic
def resume(*, actor: Any, proposal: Proposal, reason: str = "") -> Proposal:
    """Take a held proposal up again. Forbidden, InvalidTransition."""
    require(actor, may_decide)
    proposal = move(actor, proposal, "resume", {"reason": reason})
    written(actor, proposal, Decision.Kind.RESUME, reason)
    tell_partner(proposal, "proposal_in_review")
    return proposal


@transaction.atomic
def decline(*, actor: Any, proposal: Proposal, reason: str) -> Proposal:
    """Refuse it. Forbidden; InvalidTransition; RuleBroken without a reason, or before it was heard (readiness.py)."""
    require(actor, may_decide)
    preparing.discard_open(actor=actor, proposal=proposal)
    return outcomes.turn_down(actor=actor, proposal=proposal, reason=reason).proposal


def award(
    *, actor: Any, proposal: Proposal, lines: list[AwardAsk], reason: str = "", override_reason: str = ""
) -> Proposal:
    """Award some or all of what was asked at once; a line that is not in `lines` gets nothing.

    Forbidden; InvalidTransition; RuleBroken (field `lines.N.<field>`) past the ask, the pool, its bound of
    over-commitment, what can be guaranteed, the window or a ceiling of the agreement; a reason is needed where less is
    awarded than asked; `second_person` where the award is not one officer's alone (services/second.py).
    """
    require(actor, may_decide)
    return in_one_transaction(lambda: _award(actor, proposal, lines, reason, override_reason))


def _award(actor: Any, proposal: Proposal, lines: list[AwardAsk], reason: str, override_reason: str) -> Proposal:
    more = {"reason": reason, "override_reason": override_reason}
    decision = awarding.give(actor=actor, proposal=proposal, lines=lines, **more)
    preparing.discard_open(actor=actor, proposal=proposal)
    return decision.proposal
