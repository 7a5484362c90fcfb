"""Who may do what in an organisation. Every predicate is asked about an organisation."""

from typing import Any

import rules

MANAGING = frozenset({"owner", "manager"})
USING = frozenset({"owner", "manager", "member"})


def role_in(user: Any, organisation: Any) -> str:
    """The person's role in the organisation, "" where they have none; one query, none where `knowing_role` told it."""
    if organisation is None:
        return ""
    known = getattr(organisation, "_known_role", None)
    if known is not None and known[0] == user.pk:
        return str(known[1])
    return organisation.memberships.filter(user_id=user.pk).values_list("role", flat=True).first() or ""


def knowing_role(organisation: Any, user: Any, role: str | None) -> None:
    """Tell `role_in` what the same statement that fetched the organisation has said of this person."""
    organisation._known_role = (user.pk, role or "")


@rules.predicate
def is_member_of(user: Any, organisation: Any) -> bool:
    """Anybody of the organisation, viewers too."""
    return bool(role_in(user, organisation))


@rules.predicate
def is_owner_of(user: Any, organisation: Any) -> bool:
    """Owners decide who owns."""
    return role_in(user, organisation) == "owner"


@rules.predicate
def may_manage(user: Any, organisation: Any) -> bool:
    """Owners and managers: propose, accept, invite."""
    return role_in(user, organisation) in MANAGING


@rules.predicate
def may_use(user: Any, organisation: Any) -> bool:
    """Owners, managers and members: book and get in."""
    return role_in(user, organisation) in USING
