"""The team of a proposal becomes the team of its project."""

from typing import Any

from django.db.models import Q

from partners.rules import USING
from projects.models import Project
from projects.services import add_team_member
from proposals.models import Proposal


def join_team(*, actor: Any, project: Project, proposal: Proposal) -> int:
    """Take those of the proposal's team into the project who have an account in the organisation; their number.

    Known by who they were when the team was written, or by their address where they came later. Viewers use no GPUs and
    stay out, like everybody who has left. Runs in the caller's transaction. Forbidden.
    """
    people = list(proposal.team.all())
    there = Q(user__email__in=[row.email for row in people if row.email])
    there |= Q(user_id__in=[row.user_id for row in people if row.user_id])
    rows = proposal.organisation.memberships.filter(there, role__in=USING).select_related("user")
    taken = set(project.team.values_list("user_id", flat=True))
    joining = [row.user for row in rows if row.user_id not in taken]
    for user in joining:
        add_team_member(actor=actor, project=project, user=user)
    return len(joining)
