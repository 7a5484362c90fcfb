"""The agreement as something that refuses: its term, its GPU classes, its two ceilings.

Pure checks: the figures already committed come from whoever asks (proposals, allocations).
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from common.errors import RuleBroken
from common.quantities import seconds_to_hours


@dataclass(frozen=True)
class Committed:
    """What already counts against an agreement: device-seconds awarded, and GPUs that may run at once."""

    gpu_seconds: int = 0
    concurrent_gpus: int = 0


def agency_day(moment: datetime) -> date:
    """The calendar day of a moment in the agency's own zone, whatever the reader's."""
    return timezone.localtime(moment, timezone.get_default_timezone()).date()


def last_moment(agreement: Any) -> datetime:
    """The end of the last day of an agreement's term, in the agency's own zone."""
    midnight = datetime.combine(agreement.valid_until + timedelta(days=1), time.min)
    return timezone.make_aware(midnight, timezone.get_default_timezone())


def check_active(agreement: Any, on: date) -> None:
    """RuleBroken unless the agreement is active and its term includes the day `on`."""
    if agreement.state != "active":
        raise RuleBroken(
            _("The agreement %(number)s is not active.") % {"number": agreement.number},
            code="agreement_not_active",
            remedy=_("Please ask your programme officer about its state."),
            facts={"rule": "state", "agreement": agreement.public_id, "state": agreement.state},
        )
    _check_term(agreement, on, on)


def check_ask(
    agreement: Any,
    *,
    gpu_class_code: str,
    gpus: int,
    gpu_seconds: int,
    window_from: date,
    window_until: date,
    committed: Committed,
) -> None:
    """RuleBroken where an ask or an award of this size passes what the agreement allows.

    `gpu_seconds` are device-seconds of the whole line, `window_until` is a day that counts. The error's facts are
    rule, ceiling, used, asked and left; hours in them are GPU-hours as text with two digits.
    """
    check_active(agreement, min(max(window_from, agreement.valid_from), agreement.valid_until))
    _check_term(agreement, window_from, window_until)
    _check_class(agreement, gpu_class_code)
    _check_concurrent(agreement, gpus, committed.concurrent_gpus, field="gpus")
    _check_hours(agreement, gpu_seconds, committed.gpu_seconds)


def check_more_hours(agreement: Any, gpu_seconds: int, committed: Committed) -> None:
    """RuleBroken where device-seconds that an award gains afterwards pass what the agreement allows in all."""
    check_active(agreement, agency_day(timezone.now()))
    _check_hours(agreement, gpu_seconds, committed.gpu_seconds)


def check_booking(agreement: Any, *, gpus: int, gpus_running_then: int, starts_at: datetime, ends_at: datetime) -> None:
    """RuleBroken where a reservation leaves the term or runs more GPUs at once than the agreement allows.

    `gpus_running_then` are the GPUs that the organisation's other reservations hold in that window.
    """
    first, last = agency_day(starts_at), agency_day(ends_at - timedelta(microseconds=1))
    check_active(agreement, first)
    _check_term(agreement, first, last)
    _check_concurrent(agreement, gpus, gpus_running_then, field="device_count")


def _check_term(agreement: Any, first: date, last: date) -> None:
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


def _check_class(agreement: Any, code: str) -> None:
    if code in agreement.gpu_classes:
        return
    raise RuleBroken(
        _("The agreement %(number)s does not cover the GPU class %(asked)s.")
        % {"number": agreement.number, "asked": code},
        code="class_not_covered",
        remedy=_("It covers: %(classes)s.") % {"classes": ", ".join(agreement.gpu_classes) or "–"},
        field="gpu_class",
        facts={"rule": "gpu_classes", "ceiling": list(agreement.gpu_classes), "asked": code},
    )


def _check_concurrent(agreement: Any, gpus: int, used: int, *, field: str) -> None:
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
        remedy=_("At most %(left)s GPUs are left.") % {"left": _whole(left)},
        field=field,
        facts={"rule": "concurrent_gpus", "ceiling": ceiling, "used": used, "asked": gpus, "left": left},
    )


def _check_hours(agreement: Any, asked: int, used: int) -> None:
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


def _whole(value: int) -> str:
    return number_format(value, 0, force_grouping=True)


def _hours(seconds: int) -> str:
    return number_format(seconds_to_hours(seconds), 2, force_grouping=True)
