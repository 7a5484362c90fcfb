"""A call with criteria and steps, and reviewers for it."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import User
from proposals.models import Assignment, CallStep, Criterion, Proposal, ProposalStep, Review, ReviewerProfile
from proposals.services import assigning, decisions, declaring, drafting, reviewing, stepping
from proposals.services.reviewing import ReviewContent
from tests.factories import UserFactory, enable_mfa, grant_role
from tests.proposals.stage import Stage


@dataclass
class Jury:
    """Three reviewers, two criteria (weight 1 of 10, weight 3 of 5; the second needs a comment), all four steps."""

    stage: Stage
    reviewers: list[User] = field(default_factory=list)

    def started(self, *, steps: bool = True, **changes: Any) -> Proposal:
        """A proposal whose review has begun."""
        proposal = drafting.submit(actor=self.stage.cast.owner, proposal=self.stage.draft(**changes))
        return decisions.start_review(actor=self.stage.cast.officer, proposal=proposal)

    def step(self, proposal: Proposal, kind: str) -> ProposalStep:
        """The step of the present version."""
        return ProposalStep.objects.current().get(proposal=proposal, kind=kind)

    def at_experts(self, **changes: Any) -> Proposal:
        """A proposal that has come to the expert review."""
        proposal = self.started(**changes)
        cast = self.stage.cast
        stepping.judge(actor=cast.officer, step=self.step(proposal, "formal"), verdict="pass")
        stepping.judge(actor=cast.operator, step=self.step(proposal, "technical"), verdict="pass", pool=self.stage.pool)
        return Proposal.objects.get(pk=proposal.pk)

    def sent(self, proposal: Proposal, *people: User) -> list[Assignment]:
        """Given to these reviewers and sent."""
        for person in people or self.reviewers:
            assigning.assign(actor=self.stage.cast.officer, proposal=proposal, reviewer=person)
        assigning.send(actor=self.stage.cast.officer, call=self.stage.call)
        return list(Assignment.objects.filter(proposal=proposal, state="sent").order_by("pk"))

    def opened(self, proposal: Proposal, person: User) -> Assignment:
        """Sent, and declared without a conflict."""
        assignment = next(row for row in self.sent(proposal, person) if row.reviewer_id == person.pk)
        return declaring.declare(actor=person, assignment=assignment, conflict=False)

    def submitted(self, assignment: Assignment, first: int = 8, second: int = 4) -> Review:
        """A whole review."""
        return reviewing.submit(
            actor=assignment.reviewer, assignment=assignment, content=marks(first, second), revision=0
        )


def marks(first: int | None = 8, second: int | None = 4, **changes: Any) -> ReviewContent:
    """A whole review's content."""
    fields: dict[str, Any] = {
        "points": {1: first, 2: second},
        "comments": {1: "", 2: "Feasible."},
        "comment": "Good.",
        "partner_comment": "Say more of the data.",
    }
    return ReviewContent(**{**fields, **changes})


def make_jury(stage: Stage, *, needed: int = 2) -> Jury:
    """The jury, ready."""
    call = stage.call
    call.reviews_needed = needed
    call.save()
    Criterion.objects.create(call=call, place=1, label_ko="적합성", label_en="Fit", weight=1, scale=10)
    Criterion.objects.create(
        call=call, place=2, label_ko="실현성", label_en="Feasibility", weight=3, scale=5, comment_needed=True
    )
    for kind in CallStep.Kind.values:
        CallStep.objects.create(call=call, kind=kind, due_at=timezone.now() + timedelta(days=10))
    jury = Jury(stage)
    for number in range(3):
        person = grant_role(UserFactory(email=f"jury{number}@uni.example.test", name=f"Juror {number}"), "reviewer")
        enable_mfa(person)
        ReviewerProfile.objects.create(user=person, purposes=["pretraining"], topics=["LLM"], load_limit=5)
        jury.reviewers.append(person)
    return jury
