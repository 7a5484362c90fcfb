"""Conflicts of interest: declared by reviewers before a proposal opens, waived by officers with a reason."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from audit.services import record
from common.errors import RuleBroken
from common.permissions import require
from notifications.services import notify
from partners.selectors import officers
from proposals.lifecycle import ASSIGNMENT
from proposals.models import Assignment, Conflict, Proposal
from proposals.rules import may_assign, may_review
from proposals.selectors.conflicts import facts_of
from proposals.services.assigning import staff_in_blind

MAX_WORDS = 2_000


@transaction.atomic
def declare(*, actor: Any, assignment: Assignment, conflict: bool, words: str = "") -> Assignment:
    """Say before it opens whether anything stands in the way. No conflict: it opens. A conflict: it is gone for them.

    Forbidden; InvalidTransition; RuleBroken for a conflict without words, or where the data knows of one.
    """
    assignment = _lock(assignment)
    require(actor, may_review, assignment)
    proposal = assignment.proposal
    before, words = assignment.state, words.strip()
    if len(words) > MAX_WORDS:
        raise RuleBroken(_("At most %(most)s characters.") % {"most": MAX_WORDS}, code="too_long", field="words")
    if not conflict:
        _check_data(assignment)
        assignment.state = ASSIGNMENT.next(before, "clear")
    else:
        if not words:
            raise RuleBroken(
                _("Say in a few words what the conflict is."),
                remedy=_("Only the agency reads it."),
                code="words_needed",
                field="words",
            )
        assignment.state = ASSIGNMENT.next(before, "conflict")
        Conflict.objects.update_or_create(
            proposal=proposal,
            reviewer=assignment.reviewer,
            kind=Conflict.Kind.DECLARED,
            defaults={
                "words": words,
                "declared_at": timezone.now(),
                "waived_at": None,
                "waived_by": None,
                "waive_reason": "",
            },
        )
    assignment.declared_at = timezone.now()
    assignment.save(update_fields=["state", "declared_at"])
    changes = {"assignment": assignment.public_id, "state": [before, assignment.state], "words": words}
    record(actor=actor, verb="review.declare", target=proposal, changes=changes)
    if conflict:
        context = {"number": proposal.number or "", "title": proposal.title, "person": str(actor), "words": words}
        notify(recipients=officers(), event="review_conflict", context=context, url=proposal.get_absolute_url())
    return assignment


@transaction.atomic
def waive(*, actor: Any, proposal: Proposal, reviewer: User, reason: str) -> list[Conflict]:
    """Let somebody review all the same: every conflict that stands between the two now. Officers, with a reason.

    A conflict that arises later blocks again. Forbidden; RuleBroken without a reason or without a conflict.
    """
    require(actor, may_assign)
    reason = reason.strip()
    if not reason or len(reason) > MAX_WORDS:
        raise RuleBroken(
            _("A reason is needed, of at most %(most)s characters.") % {"most": MAX_WORDS},
            code="reason_needed",
            field="reason",
        )
    proposal = (
        Proposal.objects.select_for_update(of=("self",), no_key=True).select_related("organisation").get(pk=proposal.pk)
    )
    kinds = facts_of([reviewer])[reviewer.pk].kinds(proposal)
    if not kinds:
        raise RuleBroken(
            _("Nothing stands between this reviewer and the proposal."), code="no_conflict", field="reviewer"
        )
    waived = []
    for kind in kinds:
        row, _made = Conflict.objects.update_or_create(
            proposal=proposal,
            reviewer=reviewer,
            kind=kind,
            defaults={"waived_at": timezone.now(), "waived_by": actor, "waive_reason": reason},
        )
        waived.append(row)
    blocked = Assignment.objects.select_for_update(no_key=True).filter(
        proposal=proposal, reviewer=reviewer, version=proposal.version, state="conflicted"
    )
    for assignment in blocked:
        assignment.state = ASSIGNMENT.next(assignment.state, "waive")
        assignment.save(update_fields=["state"])
    changes = {"reviewer": reviewer.public_id, "kinds": kinds, "reason": reason}
    record(actor=actor, verb="conflict.waive", target=proposal, changes=changes)
    return waived


def _lock(assignment: Assignment) -> Assignment:
    return (
        Assignment.objects.select_for_update(of=("self",), no_key=True)
        .select_related("proposal__organisation", "proposal__call", "reviewer")
        .get(pk=assignment.pk)
    )


def _check_data(assignment: Assignment) -> None:
    if assignment.proposal.call.blind and assignment.reviewer.is_agency:
        raise staff_in_blind(assignment.reviewer)
    if facts_of([assignment.reviewer])[assignment.reviewer_id].kinds(assignment.proposal):
        raise RuleBroken(
            _("The agency's register shows a conflict of interest."),
            remedy=_("Please declare it, or write to the programme officer."),
            code="conflict_of_interest",
        )
