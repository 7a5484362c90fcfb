"""The agreement as something that allows and refuses: the one place that everybody asks.

`may` answers with a reason and with what would be allowed; the `check_` functions refuse with RuleBroken, for verbs
that hold the agreement's lock. Both go through the same checks. What is committed already comes from whoever asks
(proposals, allocations), so that nothing here makes a query but where an error names pools or GPU classes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

from django.utils import timezone
from django.utils.translation import gettext as _

from common.errors import RuleBroken
from common.moments import agency_day, begin_of
from partners import ceiling_checks as checks
from partners.ceiling_checks import last_moment as last_moment
from partners.commitments import Committed as Committed
from partners.commitments import by_year

OVER = ("lapsed", "terminated")

Doing = Literal["propose", "award", "book", "extend"]


@dataclass(frozen=True)
class Wish:
    """What somebody would like to do under an agreement, from `first` to `last` (days that count).

    `gpu_seconds` are device-seconds of all of it; `pool` is a public id; what is left empty is not asked about.
    """

    doing: Doing
    first: date
    last: date
    gpus: int = 0
    gpu_seconds: int = 0
    gpu_class: str = ""
    pool: str = ""


@dataclass(frozen=True)
class Answer:
    """Whether it may be done; if not, why (`reason`), and what would be allowed (`allowed_instead`)."""

    allowed: bool
    reason: str = ""
    allowed_instead: str = ""
    code: str = ""
    agreement: Any = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def may(agreements: Iterable[Any], wish: Wish, committed: Mapping[Any, Committed]) -> Answer:
    """Whether one of these agreements of an organisation allows a wish; `committed` is what counts already, by key.

    Of several refusals the one is told that comes nearest: of the agreement whose term has the wish's first day.
    """
    refusals: list[Answer] = []
    ordered = sorted(
        agreements, key=lambda a: (not a.valid_from <= wish.first <= a.valid_until, -a.valid_from.toordinal())
    )
    for agreement in ordered:
        try:
            _check(agreement, wish, committed.get(agreement.pk, Committed()))
        except RuleBroken as refusal:
            refusals.append(_refused(agreement, refusal))
        else:
            return Answer(True, agreement=agreement)
    if refusals:
        return refusals[0]
    return Answer(
        False,
        reason=_("The organisation has no agreement."),
        allowed_instead=_("Please ask your programme officer to register the agreement (MOU) first."),
        code="no_agreement",
    )


def in_force(agreement: Any) -> Answer:
    """Whether anything new may be asked for or reserved under an agreement at all; if not, since when, and the remedy.

    For pages and answers on which somebody would otherwise fill in a form that cannot be sent. No query.
    """
    try:
        checks.active(agreement)
    except RuleBroken as refusal:
        return _refused(agreement, refusal)
    return Answer(True, agreement=agreement)


def none_in_force(agreements: Iterable[Any]) -> list[Answer]:
    """Of each organisation that has no agreement in force, why not: of the newest that it had. No query."""
    newest: dict[int, Any] = {}
    for one in sorted(agreements, key=lambda agreement: (agreement.state == "active", agreement.valid_until)):
        if one.state != "draft":
            newest[one.organisation_id] = one
    return [answer for answer in map(in_force, newest.values()) if not answer.allowed]


def sign_in(agreements: Iterable[Any], today: date) -> Answer:
    """What signing in to an organisation is worth today. It is always allowed: the records are the partner's own, and
    reports are owed beyond the last day. Without an agreement in force it is for reading, and the answer says so.
    """
    rows = sorted(agreements, key=lambda agreement: agreement.valid_until)
    in_term = [one for one in rows if one.valid_from <= today <= one.valid_until]
    if any(one.state == "active" for one in in_term):
        return Answer(True, agreement=next(one for one in in_term if one.state == "active"))
    latest = in_term[-1] if in_term else (rows[-1] if rows else None)
    words: dict[str, Any] = {
        "suspended": _("The agreement %(number)s is suspended."),
        "lapsed": _("The agreement %(number)s has lapsed."),
        "terminated": _("The agreement %(number)s has been terminated."),
        "active": _("The agreement %(number)s is not in its term today."),
        "draft": _("The agreement %(number)s is not in force yet."),
    }
    return Answer(
        True,
        reason=words[latest.state] % {"number": latest.number} if latest else _("The organisation has no agreement."),
        allowed_instead=_("You can read everything and report what is owed; asking and reserving is not possible."),
        code="read_only",
        agreement=latest,
    )


def cutoff(agreement: Any) -> datetime | None:
    """When running reservations end because the agreement ended or is suspended; None: at their own end.

    The agreement says by which rule: at once, after days of grace, or not at all before their own end.
    """
    if agreement.state == "suspended":
        rule, days = agreement.suspension_rule, agreement.suspension_days
    elif agreement.state in OVER:
        rule, days = agreement.ending_rule, agreement.ending_days
    else:
        return None
    if rule == "own_end":
        return None
    return checks.stopped_since(agreement) + timedelta(days=days if rule == "grace" else 0)


def booking_span(agreement: Any, pool: str = "") -> tuple[datetime, datetime] | None:
    """From when until when reservations may lie under an agreement as it stands; None: none may be made now, of this
    pool (a public id). What `check_booking` refuses, asked beforehand.
    """
    if agreement.state != "active" or not checks.covers_pool(agreement, pool):
        return None
    return begin_of(agreement.valid_from), last_moment(agreement)


def left_by_year(agreement: Any, held: Mapping[int, int]) -> dict[int, int] | None:
    """Device-seconds that reservations may still take of each of these calendar years, of which they hold so much;
    None where the agreement has no ceiling of a year. What `check_booked_hours` refuses, asked beforehand.
    """
    ceiling = agreement.ceiling_gpu_seconds_a_year
    return None if ceiling is None else {year: max(0, ceiling - seconds) for year, seconds in held.items()}


def check_active(agreement: Any, on: date) -> None:
    """RuleBroken unless the agreement is active and its term includes the day `on`."""
    checks.active(agreement)
    checks.term(agreement, on, on)


def check_ask(
    agreement: Any,
    *,
    gpu_class_code: str,
    gpus: int,
    gpu_seconds: int,
    window_from: date,
    window_until: date,
    committed: Committed,
    pool: str = "",
) -> None:
    """RuleBroken where an ask or an award of this size passes what the agreement allows.

    `gpu_seconds` are device-seconds of the whole line, spread evenly over its days for the ceiling of a calendar
    year; `window_until` is a day that counts; `pool` a public id, once it is known. The error's facts are rule,
    ceiling, used, asked and left; hours in them are GPU-hours as text with two digits.
    """
    check_active(agreement, min(max(window_from, agreement.valid_from), agreement.valid_until))
    checks.term(agreement, window_from, window_until)
    checks.gpu_class(agreement, gpu_class_code)
    checks.pool(agreement, pool)
    checks.concurrent(agreement, gpus, committed.concurrent_gpus, field="gpus")
    checks.hours(agreement, gpu_seconds, committed.gpu_seconds)
    checks.hours_a_year(agreement, by_year(gpu_seconds, window_from, window_until), committed.years)


def check_more_hours(agreement: Any, gpu_seconds: int, committed: Committed, *, first: date, last: date) -> None:
    """RuleBroken where device-seconds that an award of these days gains afterwards pass what the agreement allows."""
    check_active(agreement, agency_day(timezone.now()))
    checks.hours(agreement, gpu_seconds, committed.gpu_seconds)
    checks.hours_a_year(agreement, by_year(gpu_seconds, first, last), committed.years)


def check_booking(
    agreement: Any, *, gpus: int, gpus_running_then: int, starts_at: datetime, ends_at: datetime, pool: str = ""
) -> None:
    """RuleBroken where a reservation, or what an extension adds, leaves the term or the pools, or runs more GPUs at
    once than the agreement allows.

    `gpus_running_then` are the GPUs that the organisation's other reservations hold in that window.
    """
    first, last = agency_day(starts_at), agency_day(ends_at - timedelta(microseconds=1))
    check_active(agreement, first)
    checks.term(agreement, first, last)
    checks.pool(agreement, pool)
    checks.concurrent(agreement, gpus, gpus_running_then, field="device_count")


def check_booked_hours(agreement: Any, asked: Mapping[int, int], held: Mapping[int, int]) -> None:
    """RuleBroken where device-seconds of a reservation pass the ceiling of a calendar year.

    `held` is what all reservations under the agreement hold or were charged in each of those years. Here the days are
    known, so that it is them that count and not the even spread of the award.
    """
    checks.hours_a_year(agreement, asked, held)


def _refused(agreement: Any, refusal: RuleBroken) -> Answer:
    remedy = str(refusal.remedy or "")
    return Answer(False, str(refusal.message), remedy, refusal.code, agreement, refusal.facts)


def _check(agreement: Any, wish: Wish, committed: Committed) -> None:
    check_active(agreement, min(max(wish.first, agreement.valid_from), agreement.valid_until))
    checks.term(agreement, wish.first, wish.last)
    if wish.gpu_class:
        checks.gpu_class(agreement, wish.gpu_class)
    checks.pool(agreement, wish.pool)
    if wish.doing in ("propose", "award"):
        checks.concurrent(agreement, wish.gpus, committed.concurrent_gpus, field="gpus")
        checks.hours(agreement, wish.gpu_seconds, committed.gpu_seconds)
        checks.hours_a_year(agreement, by_year(wish.gpu_seconds, wish.first, wish.last), committed.years)
    else:
        checks.concurrent(agreement, wish.gpus, 0, field="gpus")
