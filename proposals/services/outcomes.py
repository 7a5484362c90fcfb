"""Refusals, holds and what came of an appeal: a state, a row with its reason, a letter. Permission is the caller's.

`decided_by` is whoever prepared it (else the actor), `approved_by` the second person, where there was one.
"""

from typing import Any

from proposals.lifecycle import PROPOSAL
from proposals.models import Decision, LetterKind, Proposal
from proposals.services import letters, second
from proposals.services.deciding import lock, move, needed, person, tell_partner, written
from proposals.services.readiness import check_heard


def turn_down(*, actor: Any, proposal: Proposal, reason: str, **by: Any) -> Decision:
    """Refuse a proposal. The caller's transaction.

    InvalidTransition; RuleBroken without a reason, before a step failed or all have passed, or (`took_part`) where an
    appeal against a refusal of it was upheld and one of those who refused it then has a part in this one, too.
    """
    proposal = lock(proposal)
    if PROPOSAL.allows(proposal.state, "decline"):  # else the table's own answer is the better one
        check_heard(proposal)
    second.check_refusers(proposal, [actor, by.get("decided_by"), by.get("approved_by")])
    return _said(actor, proposal, "decline", Decision.Kind.DECLINE, LetterKind.DECLINE, reason, **by)


def put_on_hold(*, actor: Any, proposal: Proposal, reason: str, **by: Any) -> Decision:
    """Decide a proposal later. InvalidTransition; RuleBroken without a reason. The caller's transaction."""
    return _said(actor, proposal, "hold", Decision.Kind.HOLD, LetterKind.HOLD, reason, **by)


def answer_appeal(*, actor: Any, proposal: Proposal, upheld: bool, reason: str) -> Decision:
    """Dismiss or uphold an appeal. InvalidTransition; RuleBroken without a reason. The caller's transaction."""
    if upheld:
        return _said(actor, proposal, "uphold", Decision.Kind.UPHOLD, LetterKind.UPHOLD, reason)
    return _said(actor, proposal, "dismiss", Decision.Kind.DISMISS, LetterKind.DISMISS, reason)


NOTICES = {
    "decline": "proposal_declined",
    "hold": "proposal_held",
    "uphold": "proposal_appeal_upheld",
    "dismiss": "proposal_appeal_dismissed",
}


def _said(
    actor: Any,
    proposal: Proposal,
    event: str,
    kind: str,
    letter_kind: str,
    reason: str,
    decided_by: Any = None,
    approved_by: Any = None,
) -> Decision:
    reason = needed(reason)
    changes = {"reason": reason} | ({"approved_by": approved_by.email} if approved_by else {})
    proposal = move(actor, proposal, event, changes)
    released_by = person(actor) if decided_by else None
    decision = written(decided_by or actor, proposal, kind, reason, approved_by=approved_by, released_by=released_by)
    letter = letters.send(decision=decision, kind=letter_kind)
    tell_partner(proposal, NOTICES[event], url=letter.get_absolute_url(), reason=reason)
    return decision
