"""Whether a proposal has come so far that it can be awarded, or declined. Imports no other verb."""

from collections.abc import Sequence

from django.utils.translation import gettext as _

from common.errors import RuleBroken
from proposals.models import Proposal, ProposalStep
from proposals.selectors.readiness import Readiness, readiness_of


def check_ready(proposal: Proposal, steps: Sequence[ProposalStep] | None = None) -> None:
    """RuleBroken where a step that the call switched on has not passed; it names the first. No step: ready.

    Facts: `waiting`, the kinds of all that have not passed. `steps`: those that a page has read already.
    """
    found = _begun(proposal, steps)
    if found.missing:
        raise RuleBroken(
            _("The step “%(step)s” has not been passed.") % {"step": found.missing[0].get_kind_display()},
            remedy=_("Decide after it, or open it again and pass it with a reason."),
            code="step_not_passed",
            facts={"waiting": [step.kind for step in found.missing]},
        )


def check_heard(proposal: Proposal) -> None:
    """RuleBroken where it can not be declined yet: neither has a step failed, nor have all of them passed.

    Every partner of a call is heard to the end, or to the step in which the proposal failed. Facts as above.
    """
    found = _begun(proposal)
    if not found.may_decline:
        raise RuleBroken(
            _("The step “%(step)s” has not ended.") % {"step": found.missing[0].get_kind_display()},
            remedy=_("Let the step fail with its reason, then decline; or decline after the last step."),
            code="step_not_ended",
            facts={"waiting": [step.kind for step in found.missing]},
        )


def _begun(proposal: Proposal, steps: Sequence[ProposalStep] | None = None) -> Readiness:
    found = readiness_of(proposal, steps)
    if not found.begun:
        raise RuleBroken(
            _("The steps of this call have not begun."),
            remedy=_("Start the review first."),
            code="steps_not_begun",
        )
    return found
