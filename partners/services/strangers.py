"""The agency's decisions are made by strangers to whom they concern: one rule, asked by every verb that decides."""

from typing import Any

from django.utils.translation import gettext as _

from common.actors import SystemActor
from common.errors import RuleBroken
from partners.models import Organisation
from partners.rules import role_in


def is_stranger(actor: Any, organisation: Organisation) -> bool:
    """Whether somebody may decide on an organisation: who does not belong to it, and the portal itself. One query, none
    where `knowing_role` told it.
    """
    if isinstance(actor, SystemActor) or not getattr(actor, "pk", None):
        return True
    return not role_in(actor, organisation)


def check_stranger(actor: Any, organisation: Organisation) -> None:
    """RuleBroken (`own_organisation`) for a person who belongs to the organisation that is decided on: one query."""
    if not is_stranger(actor, organisation):
        raise RuleBroken(
            _("You belong to the organisation that this concerns."),
            code="own_organisation",
            remedy=_("Somebody of the agency who does not belong to it decides."),
            facts={"rule": "own_organisation", "organisation": organisation.public_id},
        )
