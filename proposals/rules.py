"""Who may do what with a proposal. The predicates are asked about its organisation."""

from typing import Any

import rules

from accounts.rules import is_reviewer, may_run_nodes, may_run_programme
from partners.rules import may_manage
from proposals.visibility import TABLE, Part, role_of

may_propose = may_manage
may_answer = may_manage
may_decide = may_run_programme
may_edit_call = may_run_programme
may_assign = may_run_programme


@rules.predicate
def may_judge(user: Any, step: Any) -> bool:
    """The technical check is the operators', every other step the officers'."""
    right = may_run_nodes if step.kind == "technical" else may_run_programme
    return bool(right.test(user, None))


@rules.predicate
def may_review(user: Any, assignment: Any) -> bool:
    """The reviewer to whom it was given, while they are one."""
    return bool(assignment.reviewer_id == user.pk and is_reviewer.test(user, None))


@rules.predicate
def may_keep_profile(user: Any, profile: Any) -> bool:
    """Reviewers their own, officers all."""
    own = profile.user_id == user.pk and is_reviewer.test(user, None)
    return bool(own or may_run_programme.test(user, None))


@rules.predicate
def may_see_ranking(user: Any, _obj: Any = None) -> bool:
    """Whoever sees the standing of proposals, by the table of visibility."""
    return Part.STANDING in TABLE[role_of(user.agency_roles)]["panel"]
