"""Where one proposal stands in its review: steps and scores."""

from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, OuterRef, Q, QuerySet

from proposals.models import Assignment, Proposal, ProposalStep, Review
from proposals.scoring import Spread, spread
from proposals.visibility import Part, role_of, seen, step_of


@dataclass(frozen=True)
class ReviewsIn:
    """How many reviews of the present version are submitted, and how many reviewers are still at it."""

    submitted: int
    writing: int


@dataclass(frozen=True)
class Standing:
    """Steps of the present version in their order; what the submitted reviews say together, None before the first."""

    steps: list[ProposalStep]
    scores: Spread | None
    needed: int
    writing: int

    @property
    def is_ready(self) -> bool:
        """Whether every step has passed (no step: yes)."""
        return all(step.state == "passed" for step in self.steps)

    @property
    def open_step(self) -> ProposalStep | None:
        """The one that is being taken."""
        return next((step for step in self.steps if step.state == "open"), None)


def steps_of(proposal: Proposal) -> list[ProposalStep]:
    """The steps of the present version, in their order: one query."""
    return list(_steps(proposal))


def _steps(proposal: Proposal) -> QuerySet[ProposalStep]:
    rows = ProposalStep.objects.filter(proposal=proposal, version=proposal.version)
    return rows.select_related("owner", "closed_by", "gpu_class", "pool").order_by("place")


def reviews_in(proposal: Proposal) -> ReviewsIn:
    """Of the present version: one query."""
    rows = Assignment.objects.filter(proposal=proposal, version=proposal.version)
    found = rows.aggregate(
        submitted=Count("pk", filter=Q(state="done")), writing=Count("pk", filter=Q(state__in=("sent", "open")))
    )
    return ReviewsIn(**found)


def standing_of(proposal: Proposal) -> Standing:
    """Steps, scores and what is still awaited, for the people of the agency: one query (the call fetched).

    A call without steps has no reviews.
    """
    of_version = {"assignment__proposal": OuterRef("proposal"), "assignment__version": OuterRef("version")}
    totals = Review.objects.filter(assignment__state="done", state="submitted", **of_version).order_by()
    writing = Assignment.objects.filter(
        proposal=OuterRef("proposal"), version=OuterRef("version"), state__in=("sent", "open")
    ).order_by()
    rows: Any = _steps(proposal).annotate(
        totals=ArraySubquery(totals.values("total")), writing=ArraySubquery(writing.values("pk"))
    )
    steps = list(rows)
    return Standing(
        steps=steps,
        scores=spread(steps[0].totals) if steps else None,
        needed=proposal.call.reviews_needed,
        writing=len(steps[0].writing) if steps else 0,
    )


@dataclass(frozen=True)
class ShownReview:
    """What one reader sees of the review of one proposal, by the table of visibility."""

    parts: frozenset[Part]
    steps: list[ProposalStep]
    standing: Standing | None
    feedback: list[str]

    @property
    def sees_notes(self) -> bool:
        """Whether to show who checked and what was written."""
        return Part.NOTES in self.parts


def shown_review(user: Any, proposal: Proposal) -> ShownReview:
    """Steps for everybody who sees the proposal; standing and notes for whom they are meant; at most two queries.

    After the decision its partner reads what reviewers wrote for them, without names.
    """
    if proposal.submitted_at is None:
        return ShownReview(frozenset(), [], None, [])
    call, role = proposal.call, role_of(user.agency_roles)
    role = "partner" if role == "reviewer" else role  # who sees it whole sees it as one of its organisation
    standing = standing_of(proposal) if role in ("officer", "auditor") else None
    steps = standing.steps if standing else steps_of(proposal)
    step = step_of(proposal.state, open_kind(steps))
    parts = seen(role, step, blind=call.blind, reviewers_see=call.reviewers_see)
    feedback = _feedback(proposal) if Part.FEEDBACK in parts and step == "decided" else []
    return ShownReview(parts, steps, standing if Part.STANDING in parts else None, feedback)


def _feedback(proposal: Proposal) -> list[str]:
    rows = Review.objects.filter(
        assignment__proposal=proposal,
        assignment__version=proposal.version,
        assignment__state="done",
        state="submitted",
    ).exclude(partner_comment="")
    return list(rows.order_by("partner_comment").values_list("partner_comment", flat=True))


def open_kind(steps: list[Any]) -> str:
    """The kind of the step that is open, "" where none is."""
    return next((step.kind for step in steps if step.state == "open"), "")
