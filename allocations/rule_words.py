"""The rules of booking in words, with whose they are: what pages, refusals and notices say."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import get_language, gettext_lazy, ngettext
from django.utils.translation import gettext as _

from allocations.rulebook import RULES, Closure, Rulebook, Said
from common.templatetags.bitgoeul import duration, number

NAMES = {
    "longest_seconds": gettext_lazy("Longest reservation"),
    "ahead_seconds": gettext_lazy("How far ahead"),
    "future_leases": gettext_lazy("Reservations ahead at a time"),
    "extensions": gettext_lazy("Extensions of a reservation"),
    "extension_window_seconds": gettext_lazy("Extending opens before the end"),
    "release_notice_seconds": gettext_lazy("Notice for giving back"),
    "concurrent_gpus": gettext_lazy("GPUs at once"),
    "no_show_seconds": gettext_lazy("Unused for"),
    "no_show_grace_seconds": gettext_lazy("Time after the notice"),
    "early_return_percent": gettext_lazy("Credit for an early return"),
}


@dataclass(frozen=True)
class Sentence:
    """One rule for people: what it says, and whose it is."""

    rule: str
    text: str
    source: str


def span(seconds: int) -> str:
    """A length of time in words."""
    return duration(timedelta(seconds=seconds))


def value_text(name: str, value: int | None) -> str:
    """A rule's value in few words."""
    if value is None:
        return _("no limit")
    if name == "no_show_seconds" and value == 0:
        return _("never taken back for that")
    if name.endswith("_seconds"):
        return span(value)
    return _("%(value)s %%") % {"value": number(value)} if name.endswith("_percent") else number(value)


def source(said: Said, allocation: Any) -> str:
    """Whose rule it is, for a reader of this allocation."""
    if said.scope == "pool":
        return _("rule of the pool %(pool)s") % {"pool": allocation.pool.name}
    if said.scope == "agreement":
        return _("rule of the agreement %(number)s") % {"number": allocation.project.agreement.number}
    return _("rule of this award") if said.scope == "allocation" else _("rule of the house")


def reason_of(closure: Closure) -> str:
    """Why nothing can be booked then, in the reader's language."""
    return closure.reason_en if (get_language() or "ko").startswith("en") else closure.reason_ko


def sentences(book: Rulebook, allocation: Any) -> list[Sentence]:
    """Every rule in force for an allocation, in the order of RULES, one sentence each."""
    found = []
    for name in RULES:
        said = getattr(book, name)
        if text := _sentence(name, said.value, book):
            found.append(Sentence(name, text, source(said, allocation)))
    return found


def _sentence(name: str, value: int | None, book: Rulebook) -> str:
    if name in _UNLIMITED and value is None:
        return str(_UNLIMITED[name])
    if name == "no_show_seconds":
        return _no_show(book)
    if value is None:
        return ""
    words = {
        "longest_seconds": lambda: _("A reservation lasts %(time)s at most.") % {"time": span(value)},
        "ahead_seconds": lambda: _("It begins %(time)s from now at the latest.") % {"time": span(value)},
        "future_leases": lambda: _future(value),
        "extensions": lambda: _extensions(value),
        "extension_window_seconds": lambda: (
            _("It can be extended in the last %(time)s before its end.") % {"time": span(value)}
        ),
        "release_notice_seconds": lambda: _notice(value),
        "concurrent_gpus": lambda: (
            _("Its reservations hold %(count)s GPUs at once at most.") % {"count": number(value)}
        ),
        "early_return_percent": lambda: _early(value),
    }
    return words[name]() if name in words else ""


_UNLIMITED = {
    "ahead_seconds": gettext_lazy("It may begin as far ahead as you like, within the award."),
    "extensions": gettext_lazy("It can be extended as often as its GPUs are free."),
}


def _future(value: int) -> str:
    if value == 0:
        return _("Nothing can be reserved ahead: a reservation begins at once.")
    return ngettext(
        "%(count)s reservation at a time may be waiting for its beginning.",
        "%(count)s reservations at a time may be waiting for their beginning.",
        value,
    ) % {"count": number(value)}


def _extensions(value: int) -> str:
    if value == 0:
        return _("Once it has begun it cannot be extended.")
    return ngettext(
        "Once it has begun it can be extended %(count)s time.",
        "Once it has begun it can be extended %(count)s times.",
        value,
    ) % {"count": number(value)}


def _notice(value: int) -> str:
    if value == 0:
        return _("It can be cancelled before it begins, and given back after, without notice.")
    return _(
        "Who cancels or gives back pays for the %(time)s that follow, within the reservation's window, used or not."
    ) % {"time": span(value)}


def _early(value: int) -> str:
    if value == 100:
        return _("What is left of its window when it is given back early comes back whole.")
    if value == 0:
        return _("What is left of its window when it is given back early does not come back.")
    return _("Of what is left of its window when it is given back early, %(percent)s %% come back.") % {
        "percent": number(value)
    }


def _no_show(book: Rulebook) -> str:
    unused, grace = book.no_show_seconds.value, book.no_show_grace_seconds.value
    if not unused:
        return ""
    return _(
        "GPUs on which nothing runs and no memory is held for %(unused)s after the handover are taken back, %(grace)s "
        "after a notice, unless they are used by then."
    ) % {"unused": span(unused), "grace": span(grace or 0)}


@dataclass(frozen=True)
class ShownClosure:
    """A blackout for people."""

    start: datetime
    end: datetime
    reason: str


def closures_shown(book: Rulebook) -> list[ShownClosure]:
    """The coming blackouts, the first one first, in the reader's language."""
    return [ShownClosure(closure.start, closure.end, reason_of(closure)) for closure in book.closures]
