"""The shape of an ask: one request line, and the checks that need nothing but the line itself."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from common.errors import RuleBroken

MAX_LINES = 10
MAX_TEAM = 30
MAX_TITLE = 200
MAX_GPUS = 100_000
MAX_HOURS = 100_000


@dataclass(frozen=True)
class AskLine:
    """GPU class x GPUs x hours each x window. `window_until` is a day that counts."""

    gpu_class: str
    gpus: int
    smallest_gpus: int
    hours: int
    window_from: date
    window_until: date

    @property
    def gpu_seconds(self) -> int:
        """Device-seconds asked for."""
        return self.gpus * self.hours * 3600

    @property
    def window_hours(self) -> int:
        """How many hours the window has."""
        return ((self.window_until - self.window_from) + timedelta(days=1)).days * 24


@dataclass(frozen=True)
class TeamRow:
    """Somebody who will work on it."""

    name: str
    email: str = ""
    part: str = ""
    experience: str = ""


@dataclass(frozen=True)
class GivenAnswer:
    """An answer to the question with this public id: text, number, place of a choice (from 0), yes or no; None: none.

    Files come by themselves (services/attachments.py).
    """

    question: str
    value: str | Decimal | int | bool | None = None


@dataclass(frozen=True)
class DraftContent:
    """What a person types into a proposal. `team`, `answers` and `reply` None: they stay as they are."""

    title: str
    purposes: list[str] = field(default_factory=list)
    plan: str = ""
    data: str = ""
    lines: list[AskLine] = field(default_factory=list)
    team: list[TeamRow] | None = None
    answers: list[GivenAnswer] | None = None
    reply: str | None = None


@dataclass(frozen=True)
class About:
    """The first page of the form: under which agreement (public id), what it is called, what for."""

    agreement: str
    title: str
    purposes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The second page."""

    plan: str = ""
    data: str = ""


@dataclass(frozen=True)
class Team:
    """The third page: everybody, in order."""

    rows: tuple[TeamRow, ...] = ()


@dataclass(frozen=True)
class Lines:
    """The fourth page: all request lines."""

    rows: tuple[AskLine, ...] = ()


@dataclass(frozen=True)
class Answers:
    """The fifth page: those questions that are not named keep their answer."""

    rows: tuple[GivenAnswer, ...] = ()


@dataclass(frozen=True)
class Reply:
    """What was changed since the proposal was returned."""

    text: str = ""


Part = About | Plan | Team | Lines | Answers | Reply


def check_line(line: AskLine, today: date) -> None:
    """RuleBroken, on the field to mend, where a line contradicts itself or lies in the past."""
    for value, most, name in ((line.gpus, MAX_GPUS, "gpus"), (line.hours, MAX_HOURS, "hours")):
        if not 0 < value <= most:
            raise RuleBroken(
                _("This must be a number from 1 to %(most)s.") % {"most": number_format(most, force_grouping=True)},
                code="out_of_range",
                field=name,
            )
    if not 0 < line.smallest_gpus <= line.gpus:
        raise RuleBroken(
            _("The smallest useful number lies between 1 and the number of GPUs asked for (%(gpus)s).")
            % {"gpus": line.gpus},
            code="smallest_out_of_range",
            field="smallest_gpus",
        )
    if line.window_from < today:
        raise RuleBroken(
            _("This day is in the past."),
            remedy=_("Today is %(today)s.") % {"today": today.isoformat()},
            code="past_day",
            field="window_from",
        )
    if line.window_until < line.window_from:
        raise RuleBroken(_("The window ends before it begins."), code="window_order", field="window_until")
    if line.hours > line.window_hours:
        raise RuleBroken(
            _("The window has only %(window)s hours for each GPU.")
            % {"window": number_format(line.window_hours, force_grouping=True)},
            remedy=_("Ask for fewer hours or choose a longer window."),
            code="hours_exceed_window",
            field="hours",
        )
