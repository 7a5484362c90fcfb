"""A rule about idle GPUs in words: what its page, the case and the notice say."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from common.templatetags.bitgoeul import number, seconds_in_words
from usage.models import IdleRule


def sentences(rule: IdleRule) -> list[str]:
    """What the rule says, one sentence each, in the order of its course."""
    span = seconds_in_words
    found = [
        _(
            "A GPU stands idle when, of the last %(window)s, at least %(measured)s %% were measured and at least "
            "%(idle)s %% of these were idle. What was not measured, maintained or ill never counts as idle."
        )
        % {
            "window": span(rule.window_seconds),
            "measured": number(rule.measured_percent),
            "idle": number(rule.idle_percent),
        },
        _counts(rule),
        _("The first %(time)s after the handover are left alone.") % {"time": span(rule.first_seconds)}
        if rule.first_seconds
        else _("It holds from the handover on."),
        _("Single GPUs of a reservation count, too.")
        if rule.takes_part
        else _("Only reservations count of which every GPU stands idle."),
        _("The members are told with the evidence, and have %(time)s to use the GPUs, reply or appeal.")
        % {"time": span(rule.grace_seconds)},
        _("%(time)s of use after the notice end the case for that GPU.") % {"time": span(rule.used_again_seconds)},
    ]
    return [line for line in [*found, *_follows(rule)] if line]


def _counts(rule: IdleRule) -> str:
    parked = (
        _("Memory that is held without work counts as idle.")
        if rule.counts_parked
        else _("Memory that is held without work does not count as idle.")
    )
    return f"{parked} {_('So do programs that hang.')}" if rule.counts_hung else parked


def _follows(rule: IdleRule) -> list[str]:
    if rule.follows == IdleRule.Follows.NOTICE:
        return [_("Nothing follows but the notice.")]
    return [
        _("An appeal is answered by an officer within %(time)s; if nobody answers, the rule goes on.")
        % {"time": seconds_in_words(rule.answer_seconds)},
        _("Then an officer decides whether the GPUs are taken back.")
        if rule.follows == IdleRule.Follows.PROPOSE
        else _("Then the GPUs are taken back."),
        _("Of what is left of the window, %(percent)s %% come back to the allocation.")
        % {"percent": number(rule.returned_percent)},
    ]


def precedence(rule: IdleRule) -> list[str]:
    """What goes before it, in one sentence; nothing goes before an agreement's."""
    said = {
        "house": _("Where a pool or an agreement has a rule of its own, that one holds, and this one does not."),
        "pool": _("Where an agreement has a rule of its own, that one holds, and this one does not."),
    }
    return [said[rule.scope]] if rule.scope in said else []


def left_out_in_words(tried: dict[str, Any] | None) -> str:
    """How many reservations a try-out left to narrower rules; empty where none."""
    left = (tried or {}).get("left_out", 0)
    return (
        ngettext(
            "%(n)s reservation of these days is not counted: the rule of its own pool or agreement holds for it.",
            "%(n)s reservations of these days are not counted: rules of their own pools or agreements hold for them.",
            left,
        )
        % {"n": number(left)}
        if left
        else ""
    )


def tried_in_words(tried: dict[str, Any] | None) -> str:
    """What a try-out found, in one sentence; empty where there was none."""
    if tried is None:
        return ""
    values = {
        "hours": number(tried["seconds"] / 3600),
        "leases": number(tried["leases"]),
        "days": number(tried["days"]),
    }
    if not tried["leases"]:
        return _("In the last %(days)s days this rule would have taken nothing back.") % values
    return (
        _("In the last %(days)s days this rule would have taken %(hours)s GPU-hours back from %(leases)s reservations.")
        % values
    )
