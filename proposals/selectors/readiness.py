"""How far a proposal has come in its review, and what may therefore be decided of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from proposals.models import CallStep, FastLane, PreparedDecision, Proposal, ProposalStep
from proposals.selectors.fast_lane import skips_review
from proposals.selectors.prepared import OPEN_PREPARED
from proposals.selectors.reviewing import steps_of


@dataclass(frozen=True)
class Readiness:
    """`has_steps`: the call switched steps on, and this proposal goes through them; `steps` those of its version."""

    has_steps: bool
    steps: Sequence[ProposalStep]

    @property
    def begun(self) -> bool:
        """Whether the steps are there, or none are needed."""
        return bool(self.steps) or not self.has_steps

    @property
    def missing(self) -> list[ProposalStep]:
        """The steps that have not passed, in their order."""
        return [step for step in self.steps if step.state != "passed"] if self.has_steps else []

    @property
    def next_step(self) -> ProposalStep | None:
        """The one that is to be taken now."""
        return next((step for step in self.missing if step.state == "open"), None)

    @property
    def may_award(self) -> bool:
        """Once every step has passed."""
        return self.begun and not self.missing

    @property
    def may_decline(self) -> bool:
        """Once every step has passed, or one has failed: a proposal is heard to its end, or to what it failed in."""
        return self.may_award or any(step.state == "failed" for step in self.missing)


def to_decide() -> Q:
    """Of proposals: those in review that wait for a decision and for nothing before it, and of which none is prepared
    that waits for its release. Together with what is not taken into review, with the steps at work and with what is
    prepared they are all that waits for the agency.
    """
    at_work = ProposalStep.objects.at_work().filter(proposal=OuterRef("pk"))
    prepared = PreparedDecision.objects.filter(proposal=OuterRef("pk"), state__in=OPEN_PREPARED)
    return Q(state="in_review") & ~Exists(at_work) & ~Exists(prepared)


def with_steps_due(queryset: QuerySet[Proposal]) -> QuerySet[Proposal]:
    """With `steps_due`: whether a proposal goes through review steps. For pages: verbs ask anew."""
    wanted = CallStep.objects.filter(call=OuterRef("call"))
    lane = FastLane.objects.filter(proposal=OuterRef("pk"), version=OuterRef("version"))
    return queryset.annotate(steps_due=Exists(wanted) & ~Exists(lane.exclude(outcome=FastLane.Outcome.ORDINARY)))


def readiness_of(proposal: Proposal, steps: Sequence[ProposalStep] | None = None) -> Readiness:
    """Three queries at most; none where `steps` (of its present version) are handed in and `steps_due` came along."""
    due = getattr(proposal, "steps_due", None) if steps is not None else None  # verbs ask anew
    if due is None:
        due = CallStep.objects.filter(call_id=proposal.call_id).exists() and not skips_review(proposal)
    if not due:
        return Readiness(has_steps=False, steps=())
    return Readiness(has_steps=True, steps=steps_of(proposal) if steps is None else steps)
