"""Questions about organisations, their people and their agreements."""

from partners.selectors.organisations import (
    managed_agreements,
    managers_of,
    officers,
    open_invitations,
    operators,
    owners_of,
    people_of,
    with_counts,
)
from partners.selectors.related import related_ids, shareholder_ids, shareholder_names
from partners.selectors.standing import answer_for, none_in_force_of, sign_in_notes

__all__ = [
    "answer_for",
    "managed_agreements",
    "managers_of",
    "none_in_force_of",
    "officers",
    "open_invitations",
    "operators",
    "owners_of",
    "people_of",
    "related_ids",
    "shareholder_ids",
    "shareholder_names",
    "sign_in_notes",
    "with_counts",
]
