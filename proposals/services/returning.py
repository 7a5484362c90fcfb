"""Sending a proposal back to its partner, by whoever found that it has to be changed."""

from typing import Any

from proposals.models import Decision, Proposal
from proposals.services import preparing
from proposals.services.deciding import move, tell_partner, written


def send_back(*, actor: Any, proposal: Proposal, reason: str) -> Proposal:
    """Return it for changes: the caller has asked for the right, and whether there is a reason. InvalidTransition.

    What was prepared for it is discarded.
    """
    proposal = move(actor, proposal, "return", {"reason": reason})
    written(actor, proposal, Decision.Kind.RETURN, reason)
    preparing.discard_open(actor=actor, proposal=proposal)
    tell_partner(proposal, "proposal_returned", reason=reason)
    return proposal
