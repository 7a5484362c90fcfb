"""A project begins with an accepted award; its team comes from the organisation."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rules import may_run_programme
from audit.services import record
from common.errors import RuleBroken
from common.permissions import require
from notifications.services import notify
from partners.models import Agreement, Membership
from partners.rules import may_manage
from projects.models import Project, ProjectMember
from projects.rules import may_run_team


@transaction.atomic
def create_project(
    *, actor: Any, agreement: Agreement, title: str, proposal_ref: str, lead: User, summary: str = ""
) -> Project:
    """Make the project of an accepted proposal, with its lead in the team. Forbidden."""
    require(actor, may_manage | may_run_programme, agreement.organisation)
    project = Project.objects.create(
        organisation=agreement.organisation,
        agreement=agreement,
        title=title,
        summary=summary,
        proposal_ref=proposal_ref,
    )
    ProjectMember.objects.create(project=project, user=lead, is_lead=True)
    changes = {"agreement": agreement.public_id, "proposal": proposal_ref, "lead": lead.public_id}
    record(actor=actor, verb="project.create", target=project, changes=changes)
    return project


@transaction.atomic
def add_team_member(*, actor: Any, project: Project, user: User) -> ProjectMember:
    """Let somebody of the organisation into the project's reservations. Forbidden, RuleBroken."""
    require(actor, may_run_team | may_run_programme, project)
    project = (
        Project.objects.select_for_update(of=("self",), no_key=True).select_related("organisation").get(pk=project.pk)
    )
    membership = project.organisation.memberships.filter(user=user).first()
    if membership is None:
        raise RuleBroken(
            _("This person does not belong to the organisation."),
            code="not_a_member",
            remedy=_("Invite them to the organisation first."),
            field="member",
        )
    if membership.role == Membership.Role.VIEWER:
        raise RuleBroken(
            _("A viewer sees figures and does not use GPUs."),
            code="viewer_in_team",
            remedy=_("Make them a member of the organisation first."),
            field="member",
        )
    if project.team.filter(user=user).exists():
        raise RuleBroken(_("This person is already in the team."), code="already_in_team", field="member")
    row = ProjectMember.objects.create(project=project, user=user)
    record(actor=actor, verb="project.team_add", target=project, changes={"user": user.public_id})
    notify(
        recipients=[user],
        event="project_team_added",
        context={"project": project.title, "by": str(getattr(actor, "name", "")) or actor.label},
        url=project.get_absolute_url(),
    )
    return row


@transaction.atomic
def remove_team_member(*, actor: Any, project: Project, user: User) -> Project:
    """Take somebody out of the team; anybody may leave by themselves, the last lead stays. Forbidden, RuleBroken."""
    if getattr(actor, "pk", None) != user.pk:
        require(actor, may_run_team | may_run_programme, project)
    project = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    row = project.team.filter(user=user).first()
    if row is None:
        raise RuleBroken(_("This person is not in the team."), code="not_in_team")
    if row.is_lead and not project.team.filter(is_lead=True).exclude(pk=row.pk).exists():
        raise RuleBroken(_("The lead of a project stays in its team."), code="last_lead")
    row.delete()
    record(actor=actor, verb="project.team_remove", target=project, changes={"user": user.public_id})
    notify(recipients=[user], event="project_team_removed", context={"project": project.title})
    return project


@transaction.atomic
def hand_over(*, actor: Any, project: Project, user: User, reason: str) -> Project:
    """Another person leads the project from now on; whoever led it stays in the team. Officers.

    Forbidden; RuleBroken where the person does not belong to the organisation, only looks on, or leads it already.
    """
    require(actor, may_run_programme)
    project = (
        Project.objects.select_for_update(of=("self",), no_key=True).select_related("organisation").get(pk=project.pk)
    )
    check_may_lead(project, user)
    leads = list(project.team.filter(is_lead=True).select_related("user"))
    project.team.filter(is_lead=True).update(is_lead=False)
    ProjectMember.objects.update_or_create(project=project, user=user, defaults={"is_lead": True})
    before = [row.user.public_id for row in leads]
    changes = {"lead": [before, user.public_id], "reason": reason}
    record(actor=actor, verb="project.hand_over", target=project, changes=changes)
    notify(
        recipients=[user, *(row.user for row in leads)],
        event="project_handed_over",
        context={"project": project.title, "lead": user.name},
        url=project.get_absolute_url(),
    )
    return project


def check_may_lead(project: Project, user: User) -> None:
    """RuleBroken (field `lead`) unless the person belongs to the project's organisation, uses its GPUs, and does not
    lead the project yet.
    """
    membership = project.organisation.memberships.filter(user=user).first()
    if membership is None:
        raise RuleBroken(
            _("This person does not belong to the organisation."),
            code="not_a_member",
            remedy=_("Invite them to the organisation first."),
            field="lead",
        )
    if project.team.filter(user=user, is_lead=True).exists():
        raise RuleBroken(_("This person leads the project already."), code="leads_already", field="lead")
    if membership.role == Membership.Role.VIEWER:
        raise RuleBroken(
            _("A viewer sees figures and does not use GPUs."),
            code="viewer_in_team",
            remedy=_("Make them a member of the organisation first."),
            field="lead",
        )
