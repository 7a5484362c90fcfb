"""What stands in one cell, as a value. RuleBroken names the rule and what to write instead."""

import re
from datetime import date, datetime, time

from django.core.exceptions import ValidationError
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from common.errors import RuleBroken
from partners.models import check_registration_number
from proposals.models import Proposal

_DAY = re.compile(r"^(\d{4})\s*[-./년]\s*(\d{1,2})\s*[-./월]\s*(\d{1,2})\s*[.일]?$")
_MOMENT = re.compile(r"^(.+?)[T\s]+(\d{1,2}):(\d{2})(?::(\d{2}))?$")
MOST_OF_A_MOMENT = 60  # characters: a pattern takes the square of the time for a cell that is full of blanks
_DIVIDERS = re.compile(r"[;,/·\n]+")


def whole_number(text: str) -> int:
    """`16`, `1,200`."""
    plain = text.replace(",", "").strip()
    if not plain.isdecimal() or len(plain) > 9:
        raise RuleBroken(_("This is not a whole number."), remedy=_("Write it like 16."))
    return int(plain)


def day(text: str) -> date:
    """`2027-01-04`, `2027.1.4`, `2027. 1. 4.`, `2027년 1월 4일`."""
    found = _DAY.match(text.strip()) if len(text) <= MOST_OF_A_MOMENT else None
    try:
        if found:
            return date(*(int(part) for part in found.groups()))
    except ValueError:
        pass
    raise RuleBroken(_("This is not a day."), remedy=_("Write it like 2027-01-04."))


def moment(text: str) -> datetime:
    """`2026-11-20 13:42:10` or a day alone, in the agency's zone; not in the future."""
    found = _MOMENT.match(text.strip()) if len(text) <= MOST_OF_A_MOMENT else None
    try:
        on = day(found[1] if found else text)
        hour, minute, second = (int(part or 0) for part in found.groups()[1:]) if found else (0, 0, 0)
        at = datetime.combine(on, time(hour, minute, second), tzinfo=timezone.get_default_timezone())
    except (RuleBroken, ValueError):
        raise RuleBroken(_("This is not a moment."), remedy=_("Write it like 2026-11-20 13:42:10.")) from None
    if at > timezone.now():
        raise RuleBroken(_("This moment is in the future."), remedy=_("Write when it was received, or leave it empty."))
    return at


def registration_number(text: str) -> str:
    """Ten digits with their check digit, with or without hyphens."""
    try:
        check_registration_number(text.strip())
    except ValidationError as error:
        raise RuleBroken(error.messages[0], remedy=_("Write it like 123-45-67891.")) from None
    return "".join(char for char in text if char.isdigit())


def purposes(text: str) -> list[str]:
    """Names in Korean or English, or codes, divided by semicolons, commas or slashes."""
    known = _purposes()
    asked = [part.strip() for part in _DIVIDERS.split(text) if part.strip()]
    unknown = [part for part in asked if _plain(part) not in known]
    if unknown:
        raise RuleBroken(
            _("This is not a purpose: %(what)s.") % {"what": ", ".join(unknown)[:200]},
            remedy=_("There are: %(known)s.") % {"known": ", ".join(str(label) for label in Proposal.Purpose.labels)},
        )
    return list(dict.fromkeys(known[_plain(part)] for part in asked))


def _purposes() -> dict[str, str]:
    names = {_plain(code): code for code in Proposal.Purpose.values}
    for language in ("ko", "en"):
        with translation.override(language):
            names |= {_plain(str(label)): code for code, label in Proposal.Purpose.choices}
    return names


def _plain(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())
