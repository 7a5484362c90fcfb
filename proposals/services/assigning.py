"""Who reviews what: by hand, or proposed for a whole call, then sent."""

from typing import Any

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import lazy
from django.utils.translation import gettext as _

from accounts.models import User
from audit.services import record
from common.errors import RuleBroken, WrongState
from common.permissions import require
from notifications.services import notify
from proposals.lifecycle import ASSIGNMENT
from proposals.matching import Candidate, Match, Plan, Work, propose
from proposals.models import Assignment, Call, CallStep, Conflict, Proposal, ProposalStep, ReviewerProfile
from proposals.models.reviewing import ACTIVE
from proposals.models.steps import IN_REVIEW
from proposals.rules import may_assign
from proposals.selectors.conflicts import blocked_pairs, facts_of
from proposals.selectors.reviewers import loads, pool_of_reviewers, staff


@transaction.atomic
def assign(*, actor: Any, proposal: Proposal, reviewer: User) -> Assignment:
    """Give a proposal to one reviewer, by hand. They learn of it when it is sent.

    Forbidden; WrongState outside a review; RuleBroken for a conflict that is not waived, a full desk, a second
    time, or in a blind call for somebody who works for the agency.
    """
    require(actor, may_assign)
    Call.objects.select_for_update(no_key=True).get(pk=proposal.call_id)  # before it: one plan of a call at a time
    proposal = _lock(proposal)
    if proposal.state not in IN_REVIEW:
        raise WrongState(
            _("This proposal is not under review now."), remedy=_("Reviewers are assigned once the review has begun.")
        )
    profile = pool_of_reviewers().select_for_update(of=("self",), no_key=True).filter(user=reviewer).first()
    if profile is None or not profile.is_available:
        raise RuleBroken(_("This person cannot be asked to review."), code="not_a_reviewer", field="reviewer")
    if proposal.call.blind and reviewer.is_agency:
        raise staff_in_blind(reviewer)
    kinds = facts_of([reviewer])[reviewer.pk].kinds(proposal)
    if kinds:
        raise in_conflict(kinds)
    load = loads([reviewer.pk]).get(reviewer.pk, 0)
    if load >= profile.load_limit:
        raise RuleBroken(
            _("%(person)s has %(load)s reviews already, and takes %(limit)s at a time.")
            % {"person": reviewer, "load": load, "limit": profile.load_limit},
            remedy=_("Choose somebody else, or raise the limit."),
            code="desk_full",
            field="reviewer",
            facts={"load": load, "limit": profile.load_limit},
        )
    assignment = _place(actor, proposal, reviewer)
    record(actor=actor, verb="review.assign", target=proposal, changes={"reviewer": reviewer.public_id})
    return assignment


@transaction.atomic
def propose_for_call(*, actor: Any, call: Call) -> Plan:
    """Fill what is missing to the reviews needed, for every proposal of the call that is under review.

    The best match of expertise with equal load, conflicts left out; nothing is sent. Forbidden.
    """
    require(actor, may_assign)
    Call.objects.select_for_update(no_key=True).get(pk=call.pk)
    proposals = {row.pk: row for row in under_review(call)}
    profiles = [profile for profile in pool_of_reviewers(blind=call.blind) if profile.is_available]
    taken = _taken(proposals)
    people = [profile.user for profile in profiles]
    plan = propose(
        [_work(row, call.reviews_needed, taken.get(row.pk, {})) for row in proposals.values()],
        _candidates(profiles),
        set(blocked_pairs(people, proposals.values())),
    )
    by = actor if isinstance(actor, User) else None
    Assignment.objects.bulk_create(
        Assignment(
            proposal_id=match.work,
            version=proposals[match.work].version,
            reviewer_id=match.candidate,
            grounds=_grounds(match),
            assigned_by=by,
        )
        for match in plan.matches
    )
    changes = {"assignments": len(plan.matches), "short": sum(plan.short.values())}
    record(actor=actor, verb="review.propose", target=call, changes=changes)
    return plan


@transaction.atomic
def send(*, actor: Any, call: Call) -> int:
    """Ask the reviewers who are proposed, for every proposal whose expert review is open; how many were asked.

    Forbidden; RuleBroken where there is nobody to ask.
    """
    require(actor, may_assign)
    steps = ProposalStep.objects.at_work().filter(proposal__call=call, kind=CallStep.Kind.EXPERT)
    due = dict(steps.values_list("proposal_id", "due_at"))
    waiting = Assignment.objects.filter(proposal__in=due, state="proposed")
    if call.blind:
        waiting = waiting.exclude(reviewer__in=staff())  # came to the agency since they were proposed
    rows = list(waiting.select_for_update(of=("self",), no_key=True).select_related("reviewer").order_by("pk"))
    if not rows:
        raise RuleBroken(
            _("Nobody can be asked now."),
            remedy=_("Propose or assign reviewers first; they are asked once the expert review of a proposal is open."),
            code="nothing_to_send",
        )
    now = timezone.now()
    for row in rows:
        row.state = ASSIGNMENT.next(row.state, "send")
        row.sent_at, row.due_at = now, due[row.proposal_id]
    Assignment.objects.bulk_update(rows, ["state", "sent_at", "due_at"])
    by_person: dict[int, list[Assignment]] = {}
    for row in rows:
        by_person.setdefault(row.reviewer_id, []).append(row)
    record(actor=actor, verb="review.send", target=call, changes={"sent": [row.public_id for row in rows]})
    _tell_reviewers(call, by_person)
    return len(rows)


@transaction.atomic
def remove(*, actor: Any, assignment: Assignment, reason: str = "") -> Assignment:
    """Take a proposal away from a reviewer. What they wrote is kept, and counts no longer. Forbidden.

    InvalidTransition; RuleBroken without a reason once the reviewer was asked.
    """
    require(actor, may_assign)
    assignment = (
        Assignment.objects.select_for_update(of=("self",), no_key=True)
        .select_related("proposal", "reviewer")
        .get(pk=assignment.pk)
    )
    before = assignment.state
    if before != "proposed" and not reason.strip():
        raise RuleBroken(_("A reason is needed."), code="reason_needed", field="reason")
    assignment.state = ASSIGNMENT.next(assignment.state, "remove")
    assignment.save(update_fields=["state"])
    changes = {"reviewer": assignment.reviewer.public_id, "state": [before, "removed"], "reason": reason.strip()}
    record(actor=actor, verb="review.remove", target=assignment.proposal, changes=changes)
    return assignment


def under_review(call: Call) -> Any:
    """The proposals of a call that can be given to reviewers, with their organisations."""
    return call.proposals.filter(state__in=IN_REVIEW).select_related("organisation").order_by("pk")


def staff_in_blind(reviewer: User) -> RuleBroken:
    """The refusal of somebody who would see on the agency's pages whose proposal it is."""
    return RuleBroken(
        _("This call is reviewed blind, and %(person)s works for the agency: they see whose proposals these are.")
        % {"person": reviewer},
        remedy=_("Choose a reviewer without another role in the agency."),
        code="staff_in_blind_call",
        field="reviewer",
        facts={"rule": "blind_review"},
    )


def in_conflict(kinds: list[str]) -> RuleBroken:
    """The refusal that names what stands between a reviewer and a proposal."""
    return RuleBroken(
        _("This reviewer has a conflict of interest: %(kinds)s.")
        % {"kinds": ", ".join(str(Conflict.Kind(kind).label) for kind in kinds)},
        remedy=_("Choose somebody else; an officer may waive it with a reason."),
        code="conflict_of_interest",
        field="reviewer",
        facts={"kinds": kinds},
    )


def _lock(proposal: Proposal) -> Proposal:
    return (
        Proposal.objects.select_for_update(of=("self",), no_key=True)
        .select_related("organisation", "call")
        .get(pk=proposal.pk)
    )


def _place(actor: Any, proposal: Proposal, reviewer: User) -> Assignment:
    """The row, new or taken up again after it was removed."""
    row = (
        Assignment.objects.select_for_update(no_key=True)
        .filter(proposal=proposal, version=proposal.version, reviewer=reviewer)
        .first()
    )
    by = actor if isinstance(actor, User) else None
    if row is None:
        return Assignment.objects.create(proposal=proposal, version=proposal.version, reviewer=reviewer, assigned_by=by)
    if row.state != "removed":
        raise RuleBroken(_("This reviewer has it already."), code="assigned_already", field="reviewer")
    row.state = ASSIGNMENT.next(row.state, "propose")
    row.grounds, row.assigned_by = {}, by
    row.sent_at = row.declared_at = row.reminded_at = row.chased_at = None
    row.save()
    return row


def _grounds(match: Match) -> dict[str, Any]:
    return {"topics": match.topics, "purposes": match.purposes, "load": match.load, "limit": match.limit}


def _taken(proposals: dict[int, Proposal]) -> dict[int, dict[int, str]]:
    """By proposal: who has it or had it, and in which state."""
    found: dict[int, dict[int, str]] = {}
    rows = Assignment.objects.filter(proposal__in=proposals).values_list(
        "proposal_id", "version", "reviewer_id", "state"
    )
    for proposal, version, reviewer, state in rows:
        if version == proposals[proposal].version:
            found.setdefault(proposal, {})[reviewer] = state
    return found


def _work(proposal: Proposal, needed: int, taken: dict[int, str]) -> Work:
    has = sum(state in ACTIVE for state in taken.values())
    text = f"{proposal.title}\n{proposal.plan}\n{proposal.data}"
    return Work(proposal.pk, frozenset(proposal.purposes), text, max(0, needed - has), frozenset(taken))


def _candidates(profiles: list[ReviewerProfile]) -> list[Candidate]:
    load = loads([profile.user_id for profile in profiles])
    return [
        Candidate(
            key=profile.user_id,
            purposes=frozenset(profile.purposes),
            topics=tuple(profile.topics),
            load=load.get(profile.user_id, 0),
            limit=profile.load_limit,
        )
        for profile in profiles
        if profile.load_limit > 0
    ]


def _tell_reviewers(call: Call, by_person: dict[int, list[Assignment]]) -> None:
    """One mail a person, however many proposals. It names none of them: a blind call's least of all."""
    for rows in by_person.values():
        dues = [row.due_at for row in rows if row.due_at]
        context = {"call": lazy(lambda: call.title, str)(), "count": len(rows), "due": min(dues) if dues else None}
        notify(recipients=[rows[0].reviewer], event="review_asked", context=context, url=reverse("proposals:reviews"))
