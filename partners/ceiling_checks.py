"""The single checks of partners.policy, each with its figures and what to do next. Ask the policy, not these."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from common.errors import RuleBroken
from common.moments import begin_of
from common.quantities import seconds_to_hours
from partners.choices import gpu_class_choices, pool_names

OVER = (
    gettext_noop("The agreement %(number)s is over since %(since)s."),
    gettext_noop("A new agreement or a renewal is needed. Please ask your programme officer."),
)
LAPSED = (gettext_noop("The agreement %(number)s lapsed with the end of %(since)s."), OVER[1])
STOPPED = {
    "lapsed": LAPSED,
    "suspended": (
        gettext_noop("The agreement %(number)s is suspended since %(since)s."),
        gettext_noop(
            "Nothing new can be asked for or reserved until the agency resumes it. Please ask your programme officer."
        ),
    ),
    "draft": (
        gettext_noop("The agreement %(number)s is not in force yet; it is a draft since %(since)s."),
        gettext_noop("It comes into force once both sides have signed it. Please ask your programme officer."),
    ),
}


def last_moment(agreement: Any) -> datetime:
    """The end of the last day of an agreement's term, in the agency's own zone."""
    return begin_of(agreement.valid_until + timedelta(days=1))


def stopped_since(agreement: Any) -> datetime:
    """Since when an agreement allows nothing new. One that lapsed did so with its last day, whenever that was noted."""
    since: datetime = agreement.state_since
    return last_moment(agreement) if agreement.state == "lapsed" else since


def active(agreement: Any) -> None:
    """In force now; else since when not, and what lifts it."""
    if agreement.state == "active":
        return
    message, remedy = STOPPED.get(agreement.state, OVER)
    since, lapsed = stopped_since(agreement), agreement.state == "lapsed"
    said = str(agreement.valid_until) if lapsed else timezone.localtime(since).strftime("%Y-%m-%d %H:%M %Z")
    raise RuleBroken(
        _(message) % {"number": agreement.number, "since": said},
        code="agreement_not_active",
        remedy=_(remedy),
        facts={
            "rule": "state",
            "agreement": agreement.public_id,
            "state": agreement.state,
            "since": since.isoformat(),
        },
    )


def term(agreement: Any, first: date, last: date) -> None:
    """The days from `first` to `last` lie in the term."""
    facts = {
        "rule": "term",
        "ceiling": [agreement.valid_from.isoformat(), agreement.valid_until.isoformat()],
        "asked": [first.isoformat(), last.isoformat()],
    }
    message = _("The agreement %(number)s runs from %(first)s to %(last)s.") % {
        "number": agreement.number,
        "first": agreement.valid_from.isoformat(),
        "last": agreement.valid_until.isoformat(),
    }
    remedy = _("Choose days within that term.")
    if first < agreement.valid_from:
        raise RuleBroken(message, code="outside_term", remedy=remedy, field="window_from", facts=facts)
    if last > agreement.valid_until:
        raise RuleBroken(message, code="outside_term", remedy=remedy, field="window_until", facts=facts)


def gpu_class(agreement: Any, code: str) -> None:
    """The class is one of those covered."""
    if code in agreement.gpu_classes:
        return
    names = dict(gpu_class_choices())
    covered = ", ".join(names.get(one, one) for one in agreement.gpu_classes)
    raise RuleBroken(
        _("The agreement %(number)s does not cover the GPU class %(asked)s.")
        % {"number": agreement.number, "asked": names.get(code, code)},
        code="class_not_covered",
        remedy=_("It covers: %(classes)s.") % {"classes": covered or "–"},
        field="gpu_class",
        facts={"rule": "gpu_classes", "ceiling": list(agreement.gpu_classes), "asked": code},
    )


def concurrent(agreement: Any, gpus: int, used: int, *, field: str) -> None:
    """So many GPUs more at once, on top of those `used`."""
    ceiling = agreement.ceiling_concurrent_gpus
    left = max(0, ceiling - used)
    if gpus <= left:
        return
    raise RuleBroken(
        _(
            "The agreement %(number)s allows %(ceiling)s GPUs at once. %(used)s are already committed and this asks "
            "for %(asked)s."
        )
        % {"number": agreement.number, "ceiling": _whole(ceiling), "used": _whole(used), "asked": _whole(gpus)},
        code="ceiling_concurrent_gpus",
        remedy=ngettext("At most %(left)s GPU is left.", "At most %(left)s GPUs are left.", left)
        % {"left": _whole(left)},
        field=field,
        facts={"rule": "concurrent_gpus", "ceiling": ceiling, "used": used, "asked": gpus, "left": left},
    )


def hours(agreement: Any, asked: int, used: int) -> None:
    """So many device-seconds more in all, on top of those `used`."""
    ceiling = agreement.ceiling_gpu_seconds
    left = max(0, ceiling - used)
    if asked <= left:
        return
    raise RuleBroken(
        _(
            "The agreement %(number)s allows %(ceiling)s GPU-hours in all. %(used)s are already committed and this "
            "asks for %(asked)s."
        )
        % {"number": agreement.number, "ceiling": _hours(ceiling), "used": _hours(used), "asked": _hours(asked)},
        code="ceiling_gpu_hours",
        remedy=_("At most %(left)s GPU-hours are left.") % {"left": _hours(left)},
        field="hours",
        facts={
            "rule": "gpu_hours",
            "ceiling": str(seconds_to_hours(ceiling)),
            "used": str(seconds_to_hours(used)),
            "asked": str(seconds_to_hours(asked)),
            "left": str(seconds_to_hours(left)),
        },
    )


def covers_pool(agreement: Any, asked: str) -> bool:
    """Every pool (public id) is covered where the agreement names none, or nobody asks for one."""
    return not asked or not agreement.pools or asked in agreement.pools


def pool(agreement: Any, asked: str) -> None:
    """The pool (public id) is one of those covered."""
    if covers_pool(agreement, asked):
        return
    raise RuleBroken(
        _("The agreement %(number)s does not cover this pool.") % {"number": agreement.number},
        code="pool_not_covered",
        remedy=_("It covers: %(pools)s.") % {"pools": ", ".join(pool_names(agreement.pools)) or "–"},
        field="pool",
        facts={"rule": "pools", "ceiling": list(agreement.pools), "asked": asked},
    )


def hours_a_year(agreement: Any, asked: Mapping[int, int], used: Mapping[int, int]) -> None:
    """So many device-seconds more in each calendar year, on top of those `used` in it."""
    ceiling = agreement.ceiling_gpu_seconds_a_year
    for year, seconds in sorted(asked.items()) if ceiling is not None else ():
        left = max(0, ceiling - used.get(year, 0))
        if seconds <= left:
            continue
        raise RuleBroken(
            _(
                "The agreement %(number)s allows %(ceiling)s GPU-hours in the year %(year)s. %(used)s are already "
                "committed and this asks for %(asked)s."
            )
            % {
                "number": agreement.number,
                "ceiling": _hours(ceiling),
                "year": year,
                "used": _hours(used.get(year, 0)),
                "asked": _hours(seconds),
            },
            code="ceiling_gpu_hours_a_year",
            remedy=_("At most %(left)s GPU-hours are left in %(year)s.") % {"left": _hours(left), "year": year},
            field="hours",
            facts={
                "rule": "gpu_hours_a_year",
                "year": year,
                "ceiling": str(seconds_to_hours(ceiling)),
                "used": str(seconds_to_hours(used.get(year, 0))),
                "asked": str(seconds_to_hours(seconds)),
                "left": str(seconds_to_hours(left)),
            },
        )


def _whole(value: int) -> str:
    return number_format(value, 0, force_grouping=True)


def _hours(seconds: int) -> str:
    return number_format(seconds_to_hours(seconds), 2, force_grouping=True)
