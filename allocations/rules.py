"""Who may spend an award, and who may end what was booked of it."""

from typing import Any

import rules

from accounts.rules import may_run_nodes, may_run_programme
from partners.rules import MANAGING, USING, role_in


@rules.predicate
def may_book(user: Any, allocation: Any) -> bool:
    """Owners, managers and members of the organisation."""
    return role_in(user, allocation.project.organisation) in USING


@rules.predicate
def may_end(user: Any, lease: Any) -> bool:
    """Whoever booked it while still in the organisation, and the organisation's managers."""
    role = role_in(user, lease.allocation.project.organisation)
    return role in MANAGING or (role in USING and lease.booked_by_id == user.pk)


may_extend = may_end
may_swap = may_end | may_run_nodes


@rules.predicate
def may_leave(user: Any, entry: Any) -> bool:
    """Whoever asked while still in the organisation, and the organisation's managers."""
    role = role_in(user, entry.allocation.project.organisation)
    return role in MANAGING or (role in USING and entry.asked_by_id == user.pk)


@rules.predicate
def may_enter(user: Any, lease: Any) -> bool:
    """Managers, whoever booked it, and the project's team, as long as they may use the organisation's GPUs."""
    project = lease.allocation.project
    role = role_in(user, project.organisation)
    if role in MANAGING or (role in USING and lease.booked_by_id == user.pk):
        return True
    return role in USING and project.team.filter(user_id=user.pk).exists()


may_see_processes = may_enter | may_run_nodes
"""Of others, the agency's included, it is nobody's business what a program is called."""
may_reclaim = may_run_programme | may_run_nodes
may_award = may_run_programme
may_set_rules = may_run_programme
may_weigh = may_run_programme
may_adjust = may_run_programme
may_correct_usage = may_reclaim
may_retry = may_run_nodes
