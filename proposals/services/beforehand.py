"""What a verb would refuse whatever is typed: asked when its form is opened, so that nobody writes in vain.

The verbs ask all of it again. Imports no verb.
"""

from collections.abc import Sequence
from typing import Any

from partners.services.strangers import check_stranger
from proposals.lifecycle import PROPOSAL
from proposals.models import Proposal, ProposalStep
from proposals.services import second
from proposals.services.readiness import check_heard, check_ready

PREPARED = ("award", "decline", "hold")
"""What can be prepared; the form is of use while one of them can follow."""
PARTNERS_OWN = ("refuse",)  # of the events with a form: all others are the agency's answers


def check(*, actor: Any, proposal: Proposal, event: str, steps: Sequence[ProposalStep] | None = None) -> None:
    """InvalidTransition where the event cannot follow the proposal's state; RuleBroken where it has not come so far in
    its review, it is of this person's own organisation, or an appeal is against what this person decided.

    Four queries at most; none for an award whose `steps` and `steps_due` came along (selectors/readiness.py), with the
    reader's role in the organisation (`partners.rules.knowing_role`).
    """
    PROPOSAL.next(proposal.state, event)
    if event not in PARTNERS_OWN:
        check_stranger(actor, proposal.organisation)
    if event == "award":
        check_ready(proposal, steps)
    elif event == "decline":
        check_heard(proposal)
    elif event in ("dismiss", "uphold"):
        second.check_answers(actor, proposal.appeal)


def check_preparing(actor: Any, proposal: Proposal) -> None:
    """InvalidTransition where nothing that can be prepared can follow any more; RuleBroken for somebody of the
    organisation that asks. One query.
    """
    if not any(PROPOSAL.allows(proposal.state, event) for event in PREPARED):
        PROPOSAL.next(proposal.state, "award")
    check_stranger(actor, proposal.organisation)
