"""Whether a proposal has come so far that it can be awarded. Asked by the award; imports no other verb."""

from django.utils.translation import gettext as _

from common.errors import RuleBroken
from proposals.models import CallStep, Proposal
from proposals.selectors.reviewing import steps_of


def check_ready(proposal: Proposal) -> None:
    """RuleBroken where a step that the call switched on has not passed; it names the first. No step: ready.

    Facts: `waiting`, the kinds of all that have not passed.
    """
    if not CallStep.objects.filter(call_id=proposal.call_id).exists():
        return
    steps = steps_of(proposal)
    missing = [step for step in steps if step.state != "passed"]
    if not steps:
        raise RuleBroken(
            _("The steps of this call have not begun."),
            remedy=_("Start the review first."),
            code="steps_not_begun",
        )
    if missing:
        raise RuleBroken(
            _("The step “%(step)s” has not been passed.") % {"step": missing[0].get_kind_display()},
            remedy=_("Decide after it, or open it again and pass it with a reason."),
            code="step_not_passed",
            facts={"waiting": [step.kind for step in missing]},
        )
