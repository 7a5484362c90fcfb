"""Questions about projects."""

from typing import Any

from django.conf import settings
from django.db.models import Count, QuerySet
from django.utils import timezone
from django.utils.module_loading import import_string

from partners.models import Membership
from projects.models import Project, ProjectMember


def with_team_size(queryset: QuerySet[Project]) -> QuerySet[Project]:
    """Adds `team_size` for a list."""
    return queryset.annotate(team_size=Count("team"))


def proposal_name(project: Project) -> str:
    """What the proposal is called that the project came from: a question to a higher floor, one query."""
    return str(import_string(settings.PROPOSAL_NAME)(project.proposal_ref))


def use_of(user: Any, project: Project) -> Any:
    """What it holds and what was made of it, of what this user may see: a question to a higher floor, four queries."""
    return import_string(settings.PROJECT_USE)(user, project, timezone.now())


def team_of(project: Project) -> QuerySet[ProjectMember]:
    """The team with its people, the lead first."""
    return project.team.select_related("user")


def candidates(project: Project) -> QuerySet[Membership]:
    """Members of the organisation who are not in the team yet; viewers see figures and do not use GPUs."""
    return (
        project.organisation.memberships.exclude(role=Membership.Role.VIEWER)
        .exclude(user__project_memberships__project=project)
        .select_related("user")
    )
