"""The partner's answer to an award: accepted, it becomes a project with allocations; refused, nothing is kept back.

What nobody answers expires, see expiring.py.
"""

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from allocations.services.awards import create_allocation
from allocations.services.held_back import part_of
from audit.services import record
from common.errors import RuleBroken
from common.moments import agency_today
from common.permissions import require
from notifications.services import notify
from partners.models import Agreement
from partners.policy import check_active
from partners.selectors import managers_of, officers
from projects.models import Project
from projects.services import create_project
from proposals.lifecycle import PROPOSAL
from proposals.models import AwardLine, Decision, Proposal
from proposals.rules import may_answer
from proposals.services import promising
from proposals.services.drafting import shown_moment, told
from proposals.services.teaming import join_team


@transaction.atomic
def accept(*, actor: Any, proposal: Proposal) -> Project:
    """Accept the award: the project and one allocation an award line, or nothing at all.

    Forbidden; InvalidTransition; RuleBroken where its last moment has passed, the agreement is no longer active or a
    window is over.
    """
    require(actor, may_answer, proposal.organisation)
    agreement = Agreement.objects.select_for_update(no_key=True).get(pk=proposal.agreement_id)
    proposal = _lock(proposal)
    before, decision = proposal.state, proposal.decisions.filter(kind=Decision.Kind.AWARD).order_by("id").last()
    _check_in_time(proposal, decision)
    proposal.state = PROPOSAL.next(proposal.state, "accept")
    assert decision is not None, "the table lets nothing be accepted that was not awarded"
    check_active(agreement, agency_today())
    lines = list(decision.lines.select_related("request", "pool"))
    _check_windows(lines)
    proposal.save(update_fields=["state"])
    project = create_project(
        actor=actor,
        agreement=agreement,
        title=proposal.title,
        summary=proposal.plan,
        proposal_ref=proposal.public_id,
        lead=_lead(proposal, actor),
    )
    join_team(actor=actor, project=project, proposal=proposal)
    for line in lines:
        _allocate(actor, project, line, proposal.call.held_back_percent)
    changes = {"state": [before, proposal.state], "project": project.public_id}
    record(actor=actor, verb="proposal.accept", target=proposal, changes=changes)
    people = [*officers(), *managers_of(proposal.organisation)]
    notify(recipients=people, event="proposal_accepted", context=told(proposal), url=project.get_absolute_url())
    return project


@transaction.atomic
def refuse(*, actor: Any, proposal: Proposal, reason: str) -> Proposal:
    """Do not take the award. Forbidden, InvalidTransition, RuleBroken without a reason."""
    require(actor, may_answer, proposal.organisation)
    if not reason.strip():
        raise RuleBroken(_("A reason is needed."), code="reason_needed", field="reason")
    proposal = _lock(proposal)
    before = proposal.state
    proposal.state = PROPOSAL.next(proposal.state, "refuse")
    proposal.save(update_fields=["state"])
    promising.let_go(actor=actor, proposal=proposal, reason="the award was refused")
    Decision.objects.create(proposal=proposal, kind=Decision.Kind.REFUSE, reason=reason.strip(), decided_by=actor)
    changes: dict[str, Any] = {"state": [before, proposal.state], "reason": reason.strip()}
    record(actor=actor, verb="proposal.refuse", target=proposal, changes=changes)
    notify(
        recipients=officers(),
        event="proposal_refused",
        context=told(proposal, reason=reason.strip()),
        url=proposal.get_absolute_url(),
    )
    return proposal


def _lock(proposal: Proposal) -> Proposal:
    return (
        Proposal.objects.select_for_update(of=("self",), no_key=True)
        .select_related("organisation", "created_by")
        .get(pk=proposal.pk)
    )


def _check_in_time(proposal: Proposal, decision: Decision | None) -> None:
    if decision is None or decision.answer_by is None or proposal.state not in ("awarded", "expired"):
        return
    if proposal.state == "expired" or decision.answer_by <= timezone.now():
        raise RuleBroken(
            _("This award could be accepted until %(until)s; it is no longer kept for you.")
            % {"until": shown_moment(decision.answer_by)},
            remedy=_("Please propose again, or ask your programme officer for a new award."),
            code="answer_late",
            facts={"answer_by": decision.answer_by.isoformat()},
        )


def _lead(proposal: Proposal, actor: Any) -> User:
    """Whoever wrote the proposal, while they still belong to the organisation; else whoever accepts."""
    still_there = proposal.organisation.memberships.filter(user=proposal.created_by).exists()
    return proposal.created_by if still_there else actor


def _check_windows(lines: list[AwardLine]) -> None:
    if any(line.window_until <= timezone.now() for line in lines):
        raise RuleBroken(
            _("The window of this award is over."),
            remedy=_("Please refuse it and propose again, or talk to your programme officer."),
            code="award_over",
        )


def _allocate(actor: Any, project: Project, line: AwardLine, held_back_percent: int) -> None:
    allocation = create_allocation(
        actor=actor,
        project=project,
        pool=line.pool,
        asked_gpu_seconds=line.request.gpu_seconds,
        asked_concurrent_gpus=line.request.gpus,
        awarded_gpu_seconds=line.gpu_seconds,
        concurrent_gpus=line.gpus,
        valid_from=line.window_from,
        valid_until=line.window_until,
        held_back_gpu_seconds=part_of(line.gpu_seconds, held_back_percent),
    )
    promising.attach(actor=actor, line=line, allocation=allocation)
    line.allocation_ref = allocation.public_id
    line.save(update_fields=["allocation_ref"])
