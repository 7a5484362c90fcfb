"""Who runs a project's team."""

from typing import Any

import rules

from partners.rules import MANAGING, role_in


@rules.predicate
def may_run_team(user: Any, project: Any) -> bool:
    """The organisation's owners and managers, and the project's lead as long as they belong to the organisation."""
    role = role_in(user, project.organisation)
    return role in MANAGING or (bool(role) and project.team.filter(user_id=user.pk, is_lead=True).exists())
