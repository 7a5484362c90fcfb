"""Who sees what of a proposal, in which step. The one table; selectors, pages and the API ask it."""

from enum import StrEnum


class Part(StrEnum):
    """Something of a proposal that can be shown or kept back."""

    CONTENT = "content"  # what was asked, the plan, answers and files
    IDENTITY = "identity"  # whose it is: organisation, agreement, names
    PROGRESS = "progress"  # which step it is in and which are done
    NOTES = "notes"  # what was written in the formal and the technical check
    OWN = "own"  # one's own review
    OTHERS = "others"  # other reviewers' points and comments
    REVIEWERS = "reviewers"  # who they are
    STANDING = "standing"  # mean, spread, rank
    FEEDBACK = "feedback"  # what reviewers wrote for the partner, without their names


STEPS = ("queue", "formal", "technical", "expert", "panel", "decided")
ROLES = ("partner", "reviewer", "operator", "officer", "auditor")

_ALL = frozenset(Part) - {Part.OWN}
_ASK = frozenset({Part.CONTENT, Part.IDENTITY, Part.PROGRESS})
_CHECKS = _ASK | {Part.NOTES}
_REVIEW = frozenset({Part.CONTENT, Part.IDENTITY, Part.OWN, Part.OTHERS, Part.REVIEWERS})

TABLE: dict[str, dict[str, frozenset[Part]]] = {
    #             queue             formal             technical          expert             panel              decided
    "partner": dict(zip(STEPS, (_ASK, _ASK, _ASK, _ASK, _ASK, _ASK | {Part.FEEDBACK}), strict=True)),
    "reviewer": dict(zip(STEPS, (frozenset(), frozenset(), frozenset(), _REVIEW, _REVIEW, _REVIEW), strict=True)),
    "operator": dict(zip(STEPS, (_ASK, _ASK, _CHECKS, _CHECKS, _CHECKS, _CHECKS), strict=True)),
    "officer": dict.fromkeys(STEPS, _ALL),
    "auditor": dict.fromkeys(STEPS, _ALL),
}
"""Before a call's own words narrow it (`seen`)."""


def role_of(agency_roles: frozenset[str]) -> str:
    """The row of the table for a person with these roles in the agency."""
    if agency_roles & {"officer", "administrator"}:
        return "officer"
    for role in ("auditor", "operator", "reviewer"):
        if role in agency_roles:
            return role
    return "partner"


def sees_reviewers(agency_roles: frozenset[str]) -> bool:
    """Whether somebody of the agency learns who reviews; operators do not."""
    return Part.REVIEWERS in TABLE[role_of(agency_roles)]["panel"]


def step_of(proposal_state: str, open_kind: str = "") -> str:
    """The column: the step that is open, or where the proposal stands without one."""
    if proposal_state in ("in_review", "held", "appealed"):
        return open_kind or "panel"
    return "queue" if proposal_state in ("draft", "submitted", "returned", "withdrawn") else "decided"


def seen(role: str, step: str, *, blind: bool, reviewers_see: str, own_is_in: bool = False) -> frozenset[Part]:
    """What a role sees in a step of a call.

    In a blind call reviewers learn neither whose proposal it is nor who reviews it beside them; what they see of the
    others' work is the call's word: `own` nothing, `after_own` once their own is submitted, `all` at once.
    """
    parts = TABLE[role][step]
    if role != "reviewer":
        return parts
    if blind:
        parts -= {Part.IDENTITY, Part.REVIEWERS}
    if reviewers_see == "own" or (reviewers_see == "after_own" and not own_is_in):
        parts -= {Part.OTHERS, Part.REVIEWERS}
    return parts
