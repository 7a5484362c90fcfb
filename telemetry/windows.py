"""Which stretch of time a chart shows, in which steps, read from where. Pure, but for the settings of what is kept.

However much is asked for, a chart holds at most POINTS steps; where it gives something else than was asked, it says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from common.moments import FIRST_YEAR, LAST_YEAR
from common.templatetags.bitgoeul import moment, seconds_in_words

POINTS = 720
EPOCH = datetime(2000, 1, 3, tzinfo=UTC)  # a Monday: steps of a week are the calendar's
SAMPLES_SPAN = timedelta(hours=2)
MINUTES_SPAN = timedelta(days=7)
"""A device's rows lie a page apart from each other: more of them than this cost more than their picture tells."""
LONGEST = timedelta(days=3653)
SHORTEST = timedelta(minutes=1)
STEPS = tuple(timedelta(seconds=each) for each in (20, 60, 120, 300, 900, 3600, 10_800, 21_600, 86_400, 604_800))
"""Samples come every 10 s, a little early or late: each step of 20 s has one at least."""


@dataclass(frozen=True)
class Source:
    """A table by the length of its rows. `span`: the longest stretch that is read from it; None: any."""

    key: str
    step: timedelta
    span: timedelta | None
    kept_days: str | None
    name: Any


SAMPLES = Source("samples", STEPS[0], SAMPLES_SPAN, "TELEMETRY_KEEP_SAMPLES_DAYS", gettext_lazy("Single samples"))
MINUTES = Source("minutes", STEPS[1], MINUTES_SPAN, "TELEMETRY_KEEP_MINUTES_DAYS", pgettext_lazy("rollup", "Minutes"))
HOURS = Source("hours", timedelta(hours=1), None, "TELEMETRY_KEEP_HOURS_DAYS", gettext_lazy("Hours"))
DAYS = Source("days", timedelta(days=1), None, None, gettext_lazy("Days"))
SOURCES = (SAMPLES, MINUTES, HOURS, DAYS)


@dataclass(frozen=True)
class Range:
    """A stretch up to now that pages offer."""

    key: str
    length: timedelta
    label: Any


RANGES = {
    each.key: each
    for each in (
        Range("1h", timedelta(hours=1), gettext_lazy("1 hour")),
        Range("6h", timedelta(hours=6), gettext_lazy("6 hours")),
        Range("24h", timedelta(hours=24), gettext_lazy("24 hours")),
        Range("7d", timedelta(days=7), gettext_lazy("7 days")),
        Range("30d", timedelta(days=30), gettext_lazy("30 days")),
        Range("90d", timedelta(days=90), gettext_lazy("90 days")),
        Range("1y", timedelta(days=365), gettext_lazy("1 year")),
    )
}
DEFAULT_RANGE = "1h"


@dataclass(frozen=True)
class Asked:
    """What somebody asked for; `notes` say what of it could not be read. `key` is the range, "" with two moments."""

    start: datetime
    end: datetime
    step: timedelta | None = None
    key: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Window:
    """[start, end) in whole steps, and where its points come from; `notes` say what it gives instead."""

    start: datetime
    end: datetime
    step: timedelta
    source: Source
    notes: tuple[str, ...] = ()
    moments: tuple[datetime, ...] = field(default=(), compare=False)

    def coarser(self, source: Source) -> "Window":
        """The same stretch, read from another source in steps of at least its length."""
        step = max(self.step, source.step)
        start = floor(self.start, step)
        return replace(self, start=start, step=step, source=source, moments=tuple(_steps(start, self.end, step)))


def asked_of(query: Mapping[str, Any], now: datetime, default: str = DEFAULT_RANGE) -> Asked:
    """What a query string asks for: `range`, or `from` and `to` (ISO 8601; without a zone the reader's), and `step` in
    seconds. Whatever cannot be read is left out and said; nothing is refused, because a chart is only looked at.
    """
    notes: list[str] = []
    step = _step(query.get("step"), notes)
    begin, end = (_moment(query.get(name), notes) for name in ("from", "to"))
    if begin is not None and (end or now) > begin:
        return Asked(begin, end or now, step, "", tuple(notes))
    if begin is not None:
        notes.append(_("The stretch asked for ends before it begins."))
    key = str(query.get("range") or default)
    if key not in RANGES:
        notes.append(_("There is no such range: %(range)s.") % {"range": key[:20]})
        key = default
    return Asked(now - RANGES[key].length, now, step, key, tuple(notes))


def window(asked: Asked, now: datetime, *, finest: Source = SAMPLES) -> Window:
    """The window that is shown for what was asked. `finest`: there is nothing finer than this to be read."""
    notes = list(asked.notes)
    start, end = _within(asked, now, notes)
    natural = next(step for step in STEPS if (end - start) / step <= POINTS)
    wanted = next((step for step in STEPS if asked.step is not None and step >= asked.step), STEPS[-1])
    step = natural if asked.step is None else max(natural, wanted)
    if asked.step is not None and step > asked.step:
        notes.append(
            _("Asked for steps of %(asked)s; shown are steps of %(shown)s: a chart holds %(points)s points at most.")
            % {"asked": _length(asked.step), "shown": _length(step), "points": POINTS}
        )
    source, step = _source(start, end, max(step, finest.step), now, notes)
    first = floor(start, step)
    return Window(first, end, step, source, tuple(notes), tuple(_steps(first, end, step)))


def kept(source: Source) -> timedelta | None:
    """How long a source is kept; None: for good."""
    return timedelta(days=getattr(settings, source.kept_days)) if source.kept_days else None


def floor(at: datetime, step: timedelta) -> datetime:
    """The start of the step that a moment lies in, counted from EPOCH as the database's date_bin counts; days and weeks
    begin at midnight of the portal's time zone.
    """
    if step < DAYS.step:
        return at - (at - EPOCH) % step
    zone = timezone.get_default_timezone()
    local = at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    if step > DAYS.step:
        local -= timedelta(days=local.weekday())
    return local.astimezone(UTC)


def _steps(start: datetime, end: datetime, step: timedelta) -> list[datetime]:
    """Every step of the range, measured or not; the one that has only begun is left out, unless it is all there is."""
    found, at = [], start
    while at + step <= end:
        found.append(at)
        at = floor(at + step, step) if step >= DAYS.step else at + step
    return found or [start]


def _within(asked: Asked, now: datetime, notes: list[str]) -> tuple[datetime, datetime]:
    end = min(asked.end, now)
    start = min(asked.start, end - SHORTEST)
    if end - start > LONGEST:
        start = end - LONGEST
        notes.append(_("A chart spans ten years at most: it begins at %(start)s.") % {"start": moment(start)})
    return start, end


def _source(
    start: datetime, end: datetime, step: timedelta, now: datetime, notes: list[str]
) -> tuple[Source, timedelta]:
    """The finest table that has the whole stretch, and the step that it can give."""
    gone: Source | None = None
    for source, coarser in zip(SOURCES, (*SOURCES[1:], None), strict=True):
        if coarser is not None and (step >= coarser.step or (source.span is not None and end - start > source.span)):
            continue
        keep = kept(source)
        if keep is not None and start < now - keep:
            gone = gone or source
            continue
        shown = max(step, source.step)
        if gone is not None:
            notes.append(
                _("%(what)s are kept for %(kept)s: shown are steps of %(step)s.")
                % {"what": gone.name, "kept": _length(kept(gone) or LONGEST), "step": _length(shown)}
            )
        return source, shown
    return DAYS, max(step, DAYS.step)


def _length(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    return seconds_in_words(seconds) if seconds >= 60 else _("%(seconds)s seconds") % {"seconds": seconds}


def _step(value: Any, notes: list[str]) -> timedelta | None:
    if value in (None, ""):
        return None
    try:
        seconds = int(str(value)[:12])
    except ValueError:
        seconds = 0
    if not 0 < seconds <= LONGEST.total_seconds():
        notes.append(_("The step asked for is no number of seconds: %(step)s.") % {"step": str(value)[:20]})
        return None
    return timedelta(seconds=seconds)


def _moment(value: Any, notes: list[str]) -> datetime | None:
    if value in (None, ""):
        return None
    try:
        found = parse_datetime(str(value)[:40])
        if found is not None and FIRST_YEAR <= found.year <= LAST_YEAR:
            return (found if found.tzinfo else timezone.make_aware(found)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    notes.append(_("That is no moment: %(value)s.") % {"value": str(value)[:40]})
    return None
