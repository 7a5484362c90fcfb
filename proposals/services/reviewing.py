"""Writing a review: saved as a draft, submitted, opened again."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.services import record
from common.errors import RuleBroken, WrongState
from common.overtaken import Difference, SavedMeanwhile
from common.permissions import require
from notifications.services import notify
from proposals.lifecycle import ASSIGNMENT, REVIEW, STEP
from proposals.models import Assignment, CallStep, Criterion, Proposal, ProposalStep, Review, Score
from proposals.models.steps import IN_REVIEW
from proposals.rules import may_assign, may_review
from proposals.scoring import Mark, weighted
from proposals.services.stepping import settle_experts

MAX_COMMENT = 10_000
MAX_SCORE_COMMENT = 4_000


@dataclass(frozen=True)
class ReviewContent:
    """What a reviewer typed. `points` and `comments` by the criterion's place in the call."""

    points: dict[int, int | None] = field(default_factory=dict)
    comments: dict[int, str] = field(default_factory=dict)
    comment: str = ""
    partner_comment: str = ""


@transaction.atomic
def save_draft(*, actor: Any, assignment: Assignment, content: ReviewContent, revision: int) -> Review:
    """Keep what was typed; it may be incomplete. `revision` is that of the draft it was typed over.

    Forbidden; WrongState once submitted or the expert review is over; SavedMeanwhile; RuleBroken (field `points_N`).
    """
    assignment, review = _lock(actor, assignment)
    criteria = _criteria(assignment)
    _check_content(content, criteria)
    _write(review, content, criteria, revision)
    changes = {"assignment": assignment.public_id, "revision": review.revision}
    record(actor=actor, verb="review.save", target=assignment.proposal, changes=changes)
    return review


@transaction.atomic
def submit(*, actor: Any, assignment: Assignment, content: ReviewContent, revision: int) -> Review:
    """Hand the review in: complete, weighted, closed. The last one that is needed passes the expert review.

    Forbidden; WrongState; SavedMeanwhile; RuleBroken (field `points_N`, `comment_N`) for what is missing.
    """
    assignment, review = _lock(actor, assignment)
    criteria = _criteria(assignment)
    _check_content(content, criteria)
    _check_seen(review, content, criteria, revision)  # before what is missing: it may stand in what was saved meanwhile
    total = _check_complete(content, criteria)
    _write(review, content, criteria, revision)
    review.state = REVIEW.next(review.state, "submit")
    review.total, review.submitted_at = total, timezone.now()
    review.save(update_fields=["state", "total", "submitted_at"])
    assignment.state = ASSIGNMENT.next(assignment.state, "finish")
    assignment.save(update_fields=["state"])
    changes = {"assignment": assignment.public_id, "revision": review.revision, "total": str(total)}
    record(actor=actor, verb="review.submit", target=assignment.proposal, changes=changes)
    settle_experts(actor=actor, proposal=assignment.proposal)
    return review


@transaction.atomic
def reopen(*, actor: Any, assignment: Assignment, reason: str) -> Assignment:
    """Give a submitted review back to its reviewer to be changed; an expert review that had passed is open again.

    Officers. Forbidden; InvalidTransition; RuleBroken without a reason, or once the panel has met.
    """
    require(actor, may_assign)
    if not reason.strip():
        raise RuleBroken(_("A reason is needed."), code="reason_needed", field="reason")
    assignment = _rows(assignment)
    proposal = assignment.proposal
    _reopen_step(proposal)
    review = Review.objects.select_for_update(no_key=True).filter(assignment=assignment).first() or Review()
    assignment.state = ASSIGNMENT.next(assignment.state, "reopen")
    assignment.save(update_fields=["state"])
    review.state = REVIEW.next(review.state, "reopen")
    review.save(update_fields=["state"])
    changes = {"assignment": assignment.public_id, "reason": reason.strip()}
    record(actor=actor, verb="review.reopen", target=proposal, changes=changes)
    context = {"number": proposal.number or "", "reason": reason.strip()}
    notify(
        recipients=[assignment.reviewer], event="review_reopened", context=context, url=assignment.get_absolute_url()
    )
    return assignment


def content_of(review: Review | None) -> ReviewContent:
    """What is stored, in the shape that is typed: one query."""
    if review is None or review.pk is None:
        return ReviewContent()
    rows = list(review.scores.select_related("criterion"))
    return ReviewContent(
        points={row.criterion.place: row.points for row in rows},
        comments={row.criterion.place: row.comment for row in rows},
        comment=review.comment,
        partner_comment=review.partner_comment,
    )


def _rows(assignment: Assignment) -> Assignment:
    """Locked, behind its proposal, in the order that everybody keeps."""
    proposal = (
        Proposal.objects.select_for_update(of=("self",), no_key=True)
        .select_related("call")
        .get(pk=assignment.proposal_id)
    )
    locked = (
        Assignment.objects.select_for_update(of=("self",), no_key=True).select_related("reviewer").get(pk=assignment.pk)
    )
    locked.proposal = proposal
    return locked


def _lock(actor: Any, assignment: Assignment) -> tuple[Assignment, Review]:
    assignment = _rows(assignment)
    require(actor, may_review, assignment)
    if not Assignment.objects.of(actor).filter(pk=assignment.pk).exists():
        raise WrongState(_("This review is not yours any more."), remedy=_("Please write to the programme officer."))
    if assignment.state == "sent":
        raise WrongState(
            _("You have not declared yet whether a conflict of interest stands in the way."),
            remedy=_("Declare first; then it opens."),
        )
    review, _made = Review.objects.select_for_update(no_key=True).get_or_create(assignment=assignment)
    if review.state != "draft":
        raise WrongState(_("This review has been submitted."), remedy=_("An officer can open it again, with a reason."))
    _check_step(assignment.proposal)
    return assignment, review


def _check_step(proposal: Proposal) -> None:
    expert = ProposalStep.objects.filter(
        proposal=proposal, version=proposal.version, kind=CallStep.Kind.EXPERT, state="open"
    )
    if proposal.state not in IN_REVIEW or not expert.exists():
        raise WrongState(
            _("The expert review of this proposal is over."), remedy=_("What you wrote is kept. Thank you.")
        )


def _reopen_step(proposal: Proposal) -> None:
    steps = list(
        ProposalStep.objects.select_for_update(no_key=True)
        .filter(proposal=proposal, version=proposal.version)
        .order_by("place")
    )
    expert = next((step for step in steps if step.kind == CallStep.Kind.EXPERT), None)
    if expert is None or expert.state == "open":
        return
    later = [step for step in steps if step.place > expert.place]
    if any(step.state not in ("waiting", "open") for step in later):
        raise RuleBroken(
            _("A later step has ended already."), remedy=_("Open that one again first."), code="later_step_ended"
        )
    for step in later:
        if step.state == "open":
            step.state = STEP.next(step.state, "shelve")
            step.save(update_fields=["state"])
    expert.state = STEP.next(expert.state, "reopen")
    expert.closed_at = expert.closed_by = None
    expert.save(update_fields=["state", "closed_at", "closed_by"])


def _criteria(assignment: Assignment) -> dict[int, Criterion]:
    return {row.place: row for row in Criterion.objects.filter(call_id=assignment.proposal.call_id)}


def _check_content(content: ReviewContent, criteria: dict[int, Criterion]) -> None:
    if (set(content.points) | set(content.comments)) - set(criteria):
        raise RuleBroken(_("This call has no such criterion."), code="unknown_criterion")
    for place, points in content.points.items():
        if points is not None and not 0 <= points <= criteria[place].scale:
            raise RuleBroken(
                _("Points lie between 0 and %(most)s.") % {"most": criteria[place].scale},
                code="off_scale",
                field=f"points_{place}",
            )
    for name, text, most in (
        *((f"comment_{place}", text, MAX_SCORE_COMMENT) for place, text in content.comments.items()),
        ("comment", content.comment, MAX_COMMENT),
        ("partner_comment", content.partner_comment, MAX_COMMENT),
    ):
        if len(text) > most:
            raise RuleBroken(_("At most %(most)s characters.") % {"most": most}, code="too_long", field=name)


def _check_complete(content: ReviewContent, criteria: dict[int, Criterion]) -> Decimal:
    if not criteria:
        raise RuleBroken(
            _("This call has no criteria yet."), remedy=_("Please write to the programme officer."), code="no_criteria"
        )
    marks = []
    for place, criterion in sorted(criteria.items()):
        points = content.points.get(place)
        if points is None:
            raise RuleBroken(_("Points are missing."), code="points_missing", field=f"points_{place}")
        if criterion.comment_needed and not content.comments.get(place, "").strip():
            raise RuleBroken(_("This criterion needs a comment."), code="comment_missing", field=f"comment_{place}")
        marks.append(Mark(points, criterion.scale, criterion.weight))
    return weighted(marks)


def _check_seen(review: Review, content: ReviewContent, criteria: dict[int, Criterion], revision: int) -> None:
    if review.revision != revision:
        differences = _differences(content_of(review), content, criteria)
        raise SavedMeanwhile(who=review.assignment.reviewer, differences=differences, revision=review.revision)


def _differences(stored: ReviewContent, typed: ReviewContent, criteria: dict[int, Criterion]) -> Iterator[Difference]:
    for place, criterion in sorted(criteria.items()):
        points = ["" if each.points.get(place) is None else str(each.points[place]) for each in (stored, typed)]
        yield Difference(criterion.label, points[0], points[1], f"points_{place}")
        label = _("%(criterion)s: comment") % {"criterion": criterion.label}
        yield Difference(label, stored.comments.get(place, ""), typed.comments.get(place, ""), f"comment_{place}")
    yield Difference(_("Comment for the agency"), stored.comment, typed.comment, "comment")
    yield Difference(_("Comment for the partner"), stored.partner_comment, typed.partner_comment, "partner_comment")


def _write(review: Review, content: ReviewContent, criteria: dict[int, Criterion], revision: int) -> None:
    _check_seen(review, content, criteria, revision)
    review.comment, review.partner_comment = content.comment, content.partner_comment
    review.revision += 1
    review.saved_at = timezone.now()
    review.save(update_fields=["comment", "partner_comment", "revision", "saved_at"])
    rows = [
        Score(
            review=review,
            criterion=criterion,
            points=content.points.get(place),
            comment=content.comments.get(place, ""),
        )
        for place, criterion in criteria.items()
    ]
    Score.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["review", "criterion"], update_fields=["points", "comment"]
    )
