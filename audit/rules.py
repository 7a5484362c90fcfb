"""Who may read the record of everything."""

from typing import Any

import rules


@rules.predicate
def may_read_everything(user: Any, _obj: Any = None) -> bool:
    """Auditors and administrators. (This app stands below accounts and knows people by id and roles only.)"""
    return bool(user.agency_roles & {"auditor", "administrator"})
