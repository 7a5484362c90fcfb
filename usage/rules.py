"""Who may say, answer and stop what in the course of idle GPUs."""

from typing import Any

import rules

from accounts.rules import may_run_nodes, may_run_programme
from partners.rules import USING, role_in

may_set_idle_rules = may_run_programme
may_answer_appeals = may_run_programme
may_stop_cases = may_run_programme | may_run_nodes
may_open_breaches = may_run_programme | may_run_nodes


@rules.predicate
def may_speak(user: Any, case: Any) -> bool:
    """Owners, managers and members of the organisation whose reservation it is."""
    return role_in(user, case.lease.allocation.project.organisation) in USING


may_close_months = may_run_programme
