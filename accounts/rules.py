"""Who holds which agency role. Domain rules further up build on these."""

from typing import Any

import rules

from accounts.models import AgencyRole


def _holds(role: str) -> Any:
    @rules.predicate(name=f"is_{role}")
    def check(user: Any, _obj: Any = None) -> bool:
        return role in user.agency_roles

    return check


is_reviewer = _holds(AgencyRole.REVIEWER)
is_officer = _holds(AgencyRole.OFFICER)
is_operator = _holds(AgencyRole.OPERATOR)
is_auditor = _holds(AgencyRole.AUDITOR)
is_administrator = _holds(AgencyRole.ADMINISTRATOR)


@rules.predicate
def is_agency(user: Any, _obj: Any = None) -> bool:
    """Officer, operator, auditor or administrator."""
    return bool(user.is_agency)


may_run_programme = is_officer | is_administrator
may_run_nodes = is_operator | is_administrator
may_read_audit = is_auditor | is_administrator
