"""Who has what in a call: the board of assignments, progress, one proposal's reviews side by side."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Max, Q
from django.utils import timezone

from accounts.models import User
from proposals.models import Assignment, Call, CallStep, Conflict, Criterion, Proposal, ProposalStep, ReviewerProfile
from proposals.models.reviewing import ACTIVE
from proposals.models.steps import IN_REVIEW
from proposals.selectors.conflicts import facts_of
from proposals.selectors.reviewers import pool_of_reviewers, with_loads


@dataclass(frozen=True)
class Desk:
    """A reviewer of the pool and how full their desk is."""

    profile: ReviewerProfile
    load: int

    @property
    def percent(self) -> int:
        """Of the limit; 100 and more: full."""
        limit = self.profile.load_limit
        return 100 * self.load // limit if limit else 100


@dataclass(frozen=True)
class Placed:
    """An assignment on the board, and the conflicts that the data shows by now."""

    assignment: Assignment
    conflicts: list[Any]


@dataclass(frozen=True)
class BoardRow:
    """A proposal under review and who has it."""

    proposal: Proposal
    placed: list[Placed]
    missing: int


def desks() -> list[Desk]:
    """Everybody of the pool with their load: one query."""
    return [Desk(profile, profile.load) for profile in with_loads(pool_of_reviewers())]  # type: ignore[attr-defined]


def board_counts(call: Call) -> dict[int, int]:
    """By proposal under review: reviewers who have it, of the present version; one query."""
    rows = call.proposals.filter(state__in=IN_REVIEW).annotate(
        found=Count(
            "assignments",
            filter=Q(assignments__version=F("version"), assignments__state__in=ACTIVE),
        )
    )
    return dict(rows.order_by("number", "pk").values_list("pk", "found"))


def board_rows(call: Call, keys: list[int]) -> list[BoardRow]:
    """These proposals with their assignments; the conflicts found in the data are looked up for all at once."""
    proposals = list(Proposal.objects.filter(pk__in=keys).select_related("organisation").order_by("number", "pk"))
    rows = list(
        Assignment.objects.filter(proposal__in=keys, version=F("proposal__version"))
        .exclude(state="removed")
        .select_related("reviewer")
        .order_by("pk")
    )
    facts = facts_of({row.reviewer_id: row.reviewer for row in rows}.values())
    by_proposal: dict[int, list[Assignment]] = defaultdict(list)
    for row in rows:
        by_proposal[row.proposal_id].append(row)
    found = []
    for proposal in proposals:
        theirs = by_proposal[proposal.pk]
        has = sum(row.state in ACTIVE for row in theirs)
        placed = [
            Placed(row, [Conflict.Kind(kind).label for kind in facts[row.reviewer_id].kinds(proposal)])
            for row in theirs
        ]
        found.append(BoardRow(proposal, placed, max(0, call.reviews_needed - has)))
    return found


@dataclass(frozen=True)
class StepCount:
    """How many proposals of a call stand where in one step."""

    kind: str
    label: Any
    counts: dict[str, int]
    overdue: int
    due_at: datetime | None

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class ReviewerCount:
    """What one reviewer was asked for in a call and what is in."""

    name: str
    asked: int
    done: int
    overdue: int
    undeclared: int


def step_counts(call: Call) -> list[StepCount]:
    """The steps of a call in their order, with how many proposals stand where: two queries."""
    wanted = {row.kind: row for row in CallStep.objects.filter(call=call)}
    counts: dict[str, dict[str, int]] = {kind: {} for kind in CallStep.Kind.values if kind in wanted}
    overdue: dict[str, int] = defaultdict(int)
    rows = ProposalStep.objects.current().filter(proposal__call=call)
    late = Count("pk", filter=Q(state="open", due_at__lt=timezone.now(), proposal__state__in=IN_REVIEW))
    for kind, state, count, behind in rows.values_list("kind", "state").annotate(found=Count("pk"), late=late):
        counts.setdefault(kind, {})[state] = count
        overdue[kind] += behind
    return [
        StepCount(
            kind, CallStep.Kind(kind).label, found, overdue[kind], wanted[kind].due_at if kind in wanted else None
        )
        for kind, found in counts.items()
    ]


def reviewer_counts(call: Call) -> list[ReviewerCount]:
    """Who was asked in a call, who is behind first: one query."""
    late = Q(state__in=("sent", "open"), due_at__lt=timezone.now())
    rows = (
        Assignment.objects.filter(
            proposal__call=call, version=F("proposal__version"), state__in=("sent", "open", "done")
        )
        .values("reviewer_id")
        .annotate(
            name=Max("reviewer__name"),
            asked=Count("pk"),
            done=Count("pk", filter=Q(state="done")),
            overdue=Count("pk", filter=late),
            undeclared=Count("pk", filter=Q(state="sent")),
        )
        .order_by("-overdue", "name")
    )
    return [
        ReviewerCount(**{key: row[key] for key in ("name", "asked", "done", "overdue", "undeclared")}) for row in rows
    ]


@dataclass(frozen=True)
class SheetColumn:
    """One reviewer of the sheet."""

    assignment: Assignment
    person: User
    scores: dict[int, Any]


@dataclass(frozen=True)
class Sheet:
    """All reviews of one proposal side by side: a row a criterion, a column a reviewer."""

    criteria: list[Criterion]
    columns: list[SheetColumn]
    conflicts: list[Conflict]

    @property
    def rows(self) -> list[tuple[Criterion, list[Any]]]:
        """(criterion, the scores of the columns, None where there is none)."""
        return [(row, [column.scores.get(row.pk) for column in self.columns]) for row in self.criteria]


def sheet_of(proposal: Proposal) -> Sheet:
    """Of the present version: four queries."""
    rows = (
        Assignment.objects.filter(proposal=proposal, version=proposal.version)
        .exclude(state="removed")
        .select_related("reviewer", "review")
        .prefetch_related("review__scores")
        .order_by("pk")
    )
    columns = []
    for row in rows:
        review = getattr(row, "review", None)
        scores = {score.criterion_id: score for score in review.scores.all()} if review else {}
        columns.append(SheetColumn(row, row.reviewer, scores))
    conflicts = proposal.conflicts.select_related("reviewer", "waived_by")
    return Sheet(list(Criterion.objects.filter(call_id=proposal.call_id)), columns, list(conflicts))
