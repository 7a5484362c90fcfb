"""What a service raises when it refuses. The skins turn these into a form error or problem+json."""

from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from common.state_words import noun_word, state_word

Text = str | Promise


class DomainError(Exception):
    """A refusal that a person can understand.

    `code` is stable and machine-readable, `message` names the rule, `remedy` says what to do next, `field` is the
    form field it belongs to (None: the whole form), `facts` are figures for the API (ceiling, left, next offer).
    """

    code = "refused"
    default_message: Text = _("This is not possible.")

    def __init__(
        self,
        message: Text | None = None,
        *,
        code: str | None = None,
        remedy: Text = "",
        field: str | None = None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        self.message = message or self.default_message
        self.code = code or self.code
        self.remedy = remedy
        self.field = field
        self.facts = facts or {}
        super().__init__(self.code)

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class RuleBroken(DomainError):
    """The ask is well-formed, and a rule refuses it."""

    code = "rule_broken"


class WrongState(DomainError):
    """The object is not in a state in which this can be done."""

    code = "wrong_state"
    default_message = _("This has already moved on. Please reload the page and look at its present state.")


class InvalidTransition(WrongState):
    """The lifecycle table has no row for this event."""

    code = "invalid_transition"

    def __init__(self, noun: str, state: str, event: str, possible: tuple[str, ...] = ()) -> None:
        super().__init__(
            _("This cannot be done now: the %(noun)s is in the state “%(state)s”.")
            % {"noun": noun_word(noun), "state": state_word(state, noun)},
            remedy=_("Please reload the page and look at its present state."),
            facts={"noun": noun, "state": state, "event": event, "possible": list(possible)},
        )


class Forbidden(DomainError):
    """The actor sees the object and may not do this to it."""

    code = "forbidden"
    default_message = _("Your role does not allow this.")
