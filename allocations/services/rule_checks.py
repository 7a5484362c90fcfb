"""The rules that officers set, asked of a booking. A refusal names the rule, whose it is, and what would pass."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from allocations.charging import WHOLE
from allocations.models import Allocation, Lease
from allocations.rule_words import reason_of, source, span
from allocations.rulebook import COUNTS_AS_NOW, Closure, Rulebook, Said
from allocations.selectors.offers import LONGEST_SPAN, Slot, Wish, find_slots
from allocations.selectors.rulebooks import not_begun
from allocations.services.telling import local
from allocations.shapes import Shape
from common.errors import RuleBroken


@dataclass(frozen=True)
class Wanted:
    """A window under an allocation, and what is to be had in it: all that a rule or an offer needs to know."""

    allocation: Allocation
    count: int
    shape: Shape
    starts_at: datetime
    ends_at: datetime
    now: datetime
    profile: str = ""

    @property
    def length(self) -> timedelta:
        """How long it lasts."""
        return self.ends_at - self.starts_at

    def nearest(self, earliest: datetime, latest: datetime, *, late: bool = False) -> Slot | None:
        """The window nearest to what is wanted that would pass every rule now."""
        if latest - earliest < self.length:
            return None
        wish = Wish(self.count, self.count, self.length, earliest, latest, self.shape, late, self.profile)
        slots = find_slots([self.allocation], wish, self.now)
        return next((slot for slot in slots if slot.shape == self.shape), None)


def check_booking(book: Rulebook, wanted: Wanted, *, but: Lease | None = None) -> None:
    """RuleBroken where the window is too far ahead, in a blackout, or one too many booked ahead.

    `but` is the lease that is being changed: it does not count against itself.
    """
    _check_ahead(book, wanted)
    closure = book.closure_in(wanted.starts_at, wanted.ends_at)
    if closure is not None:
        slot = wanted.nearest(wanted.starts_at, wanted.starts_at + LONGEST_SPAN)
        raise _closed(closure, _offer(slot), _remedy(slot, _("Choose a window before or after it.")))
    _check_future(book, wanted, but)


def check_length(book: Rulebook, allocation: Allocation, starts_at: datetime, ends_at: datetime) -> None:
    """RuleBroken past the longest reservation."""
    longest = book.longest_seconds.length
    if longest is None or ends_at - starts_at <= longest:
        return
    raise _broken(
        _("A reservation lasts %(time)s at most (%(source)s)."),
        book.longest_seconds,
        allocation,
        rule="longest_seconds",
        code="window_too_long",
        remedy=_("Choose an end not later than %(end)s.") % {"end": local(starts_at + longest)},
        field="ends_at",
        facts={"latest_end": (starts_at + longest).isoformat()},
    )


def _check_ahead(book: Rulebook, wanted: Wanted) -> None:
    ahead = book.ahead_seconds.length
    if ahead is None or wanted.starts_at <= wanted.now + ahead:
        return
    latest = wanted.now + ahead
    slot = wanted.nearest(wanted.now, latest + wanted.length, late=True)
    raise _broken(
        _("A reservation begins %(time)s from now at the latest (%(source)s)."),
        book.ahead_seconds,
        wanted.allocation,
        rule="ahead_seconds",
        code="too_far_ahead",
        remedy=_remedy(slot, _("Choose a start not later than %(start)s.") % {"start": local(latest)}),
        field="starts_at",
        facts={"latest_start": latest.isoformat(), **_offer(slot)},
    )


def _check_future(book: Rulebook, wanted: Wanted, but: Lease | None) -> None:
    most = book.future_leases.value
    if most is None or wanted.starts_at <= wanted.now + COUNTS_AS_NOW:
        return
    rows = not_begun(wanted.allocation, wanted.now)
    if but is not None:
        rows = rows.exclude(pk=but.pk)
    begins = list(rows.values_list("starts_at", flat=True)[: most + 1])
    if len(begins) < most:
        return
    again_at = begins[0] if begins else None
    slot = wanted.nearest(wanted.now, wanted.now + COUNTS_AS_NOW + wanted.length)
    remedy = _remedy(slot, _("Book a window that begins at once."))
    if again_at is not None and most:
        remedy += " " + _("One more can be reserved ahead from %(start)s on.") % {"start": local(again_at)}
    raise RuleBroken(
        _("Nothing can be reserved ahead under this award (%(source)s).")
        % {"source": source(book.future_leases, wanted.allocation)}
        if most == 0
        else ngettext(
            "%(most)s reservation at a time may wait for its beginning (%(source)s), and you have it.",
            "%(most)s reservations at a time may wait for their beginning (%(source)s), and you have them.",
            most,
        )
        % {"most": most, "source": source(book.future_leases, wanted.allocation)},
        code="future_leases",
        remedy=remedy,
        field="starts_at",
        facts=_facts("future_leases", book.future_leases)
        | {"again_at": again_at.isoformat() if again_at and most else None, **_offer(slot)},
    )


def check_concurrent(
    book: Rulebook, allocation: Allocation, device_count: int, used: int | Fraction, share: Fraction = WHOLE
) -> None:
    """RuleBroken past the GPUs at once that a rule allows; `used` are those of the other reservations then. MIG
    instances count by their `share` of a GPU.
    """
    said = book.concurrent_gpus
    if said.value is None or device_count * share <= max(0, said.value - used):
        return
    left, used = max(0, math.floor((said.value - used) / share)), math.ceil(used)
    raise RuleBroken(
        ngettext(
            "%(ceiling)s GPU at once is allowed (%(source)s); your other reservations hold %(used)s in this window.",
            "%(ceiling)s GPUs at once are allowed (%(source)s); your other reservations hold %(used)s in this window.",
            said.value,
        )
        % {"ceiling": said.value, "used": used, "source": source(said, allocation)},
        code="concurrent_gpus",
        remedy=ngettext("At most %(left)s GPU is left then.", "At most %(left)s GPUs are left then.", left)
        % {"left": left},
        field="device_count",
        facts=_facts("concurrent_gpus", said)
        | {"ceiling": said.value, "used": used, "asked": device_count, "left": left},
    )


def check_extension(book: Rulebook, allocation: Allocation, lease: Lease, ends_at: datetime) -> None:
    """RuleBroken where the lease becomes too long, was extended too often, is not near enough to its end, or would run
    into a blackout. How often and when is asked of leases that have begun: before that it is a change of plans.
    """
    check_length(book, allocation, lease.starts_at, ends_at)
    if lease.state != "scheduled":
        _check_extensions(book, allocation, lease)
        _check_extension_window(book, allocation, lease)
    closure = book.closure_in(lease.ends_at, ends_at)
    if closure is not None:
        later = closure.start > lease.ends_at
        end = {"end": local(closure.start)}
        remedy = _("It can last until %(end)s.") % end if later else _("Book a new reservation for the time after it.")
        raise _closed(closure, {"latest_end": closure.start.isoformat() if later else None}, remedy, field="ends_at")


def _check_extensions(book: Rulebook, allocation: Allocation, lease: Lease) -> None:
    said = book.extensions
    if said.value is None or lease.extensions < said.value:
        return
    raise RuleBroken(
        _("Once it has begun a reservation cannot be extended (%(source)s).") % {"source": source(said, allocation)}
        if said.value == 0
        else ngettext(
            "A reservation can be extended %(most)s time (%(source)s), and this one was.",
            "A reservation can be extended %(most)s times (%(source)s), and this one was.",
            said.value,
        )
        % {"most": said.value, "source": source(said, allocation)},
        code="extensions_used_up",
        remedy=_("Book a new reservation from %(start)s on.") % {"start": local(lease.ends_at)},
        field="ends_at",
        facts=_facts("extensions", said) | {"extended": lease.extensions, "next_start": lease.ends_at.isoformat()},
    )


def _check_extension_window(book: Rulebook, allocation: Allocation, lease: Lease) -> None:
    said = book.extension_window_seconds
    opens_at = lease.ends_at - said.length if said.length is not None else None
    if opens_at is None or timezone.now() >= opens_at:
        return
    raise _broken(
        _("A reservation can be extended in the last %(time)s before its end (%(source)s)."),
        said,
        allocation,
        rule="extension_window_seconds",
        code="extension_too_early",
        remedy=_("Ask again from %(start)s on.") % {"start": local(opens_at)},
        field="ends_at",
        facts={"opens_at": opens_at.isoformat()},
    )


def keep_notice(book: Rulebook, lease: Lease, wanted: Wanted) -> None:
    """RuleBroken where a change would give up what giving the reservation back would still charge: the notice holds
    for changes too.
    """
    said = book.release_notice_seconds
    until = min(lease.ends_at, wanted.now + timedelta(seconds=said.value or 0))
    if until <= lease.starts_at:
        return
    as_many = wanted.count >= lease.device_count and wanted.profile == lease.profile
    if as_many and wanted.starts_at <= lease.starts_at and wanted.ends_at >= until:
        return
    raise _broken(
        _("What lies within %(time)s from now can no longer be given up (%(source)s)."),
        said,
        wanted.allocation,
        rule="release_notice_seconds",
        code="release_notice",
        remedy=_("Keep %(count)s GPUs from %(start)s to %(end)s, or cancel the reservation: that much is charged then.")
        % {"count": lease.device_count, "start": local(lease.starts_at), "end": local(until)},
        field="starts_at",
        facts={
            "device_count": lease.device_count,
            "latest_start": lease.starts_at.isoformat(),
            "earliest_end": until.isoformat(),
        },
    )


def _closed(closure: Closure, facts: dict[str, Any], remedy: str, *, field: str = "starts_at") -> RuleBroken:
    return RuleBroken(
        _("From %(start)s to %(end)s nothing can be booked: %(reason)s")
        % {"start": local(closure.start), "end": local(closure.end), "reason": reason_of(closure)},
        code="blackout",
        remedy=remedy,
        field=field,
        facts={"rule": "blackout", "from": closure.start.isoformat(), "until": closure.end.isoformat(), **facts},
    )


def _broken(message: str, said: Said, allocation: Allocation, *, rule: str, facts: Any, **fields: Any) -> RuleBroken:
    """A refusal by a rule that is a length of time."""
    text = message % {"time": span(said.value or 0), "source": source(said, allocation)}
    return RuleBroken(text, facts=_facts(rule, said) | facts, **fields)


def _facts(rule: str, said: Said) -> dict[str, Any]:
    return {"rule": rule, "value": said.value, "scope": said.scope}


def _offer(slot: Slot | None) -> dict[str, Any]:
    start, end = (slot.start.isoformat(), slot.end.isoformat()) if slot else (None, None)
    return {"next_start": start, "next_end": end}


def _remedy(slot: Slot | None, otherwise: str) -> str:
    if slot is None:
        return otherwise
    return _("From %(start)s to %(end)s it would pass.") % {"start": local(slot.start), "end": local(slot.end)}
