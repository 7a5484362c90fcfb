"""The rows of the calendar as a drawing and as a table. Not templates: there are thousands of stretches on a page."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from html import escape

from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from allocations.selectors.occupancy import Row, Stretch
from common.templatetags.bitgoeul import moment, number

WIDTH, LABEL, HEAD, LINE = 1200, 130, 34, 22
"""Of the drawing, in its own units: the whole, the names at the left, the days above, a row."""
NARROWEST = 1.5
"""What is shorter than this would not be seen."""

_KINDS = {
    "own": _("your organisation"),
    "taken": _("taken"),
    "maintenance": _("maintenance"),
    "cleaning": _("cleaning"),
    "kept": _("guaranteed to you"),
    "promised": _("guaranteed"),
    "out": _("out of service"),
}

Bar = tuple[str, str, str]
"""A stretch as it is drawn, up to where its row stands and from there on, and it in words; escaped."""


def x_of(at: datetime, start: datetime, end: datetime) -> float:
    """Where a moment of [start, end) lies, in the drawing's units."""
    return round(LABEL + (WIDTH - LABEL) * ((at - start) / (end - start)), 1)


@dataclass(frozen=True)
class Day:
    """A day in the drawing's units; on long spans only some have a name."""

    x: float
    width: float
    name: str
    weekend: bool

    def drawn(self, height: int) -> str:
        """Its line, its name and, at a weekend, its ground."""
        ground = f'<rect class="calendar-weekend" x="{self.x}" y="20" width="{self.width}" height="{height}"/>'
        name = f'<text class="calendar-date" x="{self.x}" y="15">{escape(self.name)}</text>'
        line = f'<line class="calendar-day" x1="{self.x}" x2="{self.x}" y1="20" y2="{height}"/>'
        return f"{ground if self.weekend else ''}{line}{name if self.name else ''}\n"


def _listed(lines: list[str]) -> str:
    return f'<ul class="calendar-list"><li>{"</li><li>".join(lines)}</li></ul>'


class Drawing:
    """Some rows from `start` to `end`. What each says is put together once, and each moment in words once."""

    def __init__(self, rows: Iterable[Row], start: datetime, end: datetime, now: datetime) -> None:
        self.rows, self._start, self._end, self._now = list(rows), start, end, now
        self._kinds = {kind: str(word) for kind, word in _KINDS.items()}
        self._of = {
            True: gettext("%(taken)s of %(all)s MIG instances"),
            False: gettext("%(taken)s of %(all)s GPUs"),
        }
        self._open, self._leases = gettext("open"), reverse("allocations:leases")
        self._places: dict[datetime, tuple[float, str]] = {}
        self._said: dict[tuple[datetime, datetime], str] = {}
        self._made: dict[tuple[Stretch, int, bool], Bar] = {}

    @property
    def height(self) -> int:
        """Of the drawing, in its own units."""
        return HEAD + LINE * len(self.rows)

    def days(self, days: Iterable[Day]) -> SafeString:
        """What lies behind the rows."""
        return mark_safe("".join(day.drawn(self.height) for day in days))  # noqa: S308 (all parts are escaped)

    @property
    def svg(self) -> SafeString:
        """A group for each row: its name, its track to drag over, and what is taken, reservations as links to them."""
        return mark_safe("".join(map(self._group, self.rows, self._bars, range(len(self.rows)))))  # noqa: S308 (escaped)

    @property
    def table(self) -> SafeString:
        """The same in words: a row for each row, with what is taken and what is free."""
        return mark_safe("".join(map(self._line, self.rows, self._bars)))  # noqa: S308 (all parts are escaped)

    @cached_property
    def _bars(self) -> list[list[Bar]]:
        return [[self._bar(stretch, row.devices, row.parts) for stretch in row.stretches] for row in self.rows]

    def _bar(self, stretch: Stretch, devices: int, parts: bool) -> Bar:
        """Made once for all rows that have the same: what lies on many nodes mostly begins and ends together."""
        key = (stretch, devices, parts)
        found = self._made.get(key)
        if found is None:
            (left, since), (right, until) = self._place(stretch.start), self._place(stretch.end)
            words = f"{self._head(*key)} · {since} – {self._open if stretch.open else until}"
            width = max(NARROWEST, round(right - left, 1))
            opened = f'<a href="{self._leases}{stretch.lease}/">' if stretch.lease else ""
            closed = "</a>" if stretch.lease else ""
            found = self._made[key] = (
                f'{opened}<rect class="calendar-{stretch.kind}" x="{left}" y="',
                f'" width="{width}" height="18" rx="3"><title>{words}</title></rect>{closed}',
                f"{opened}{words}{closed}",
            )
        return found

    def _group(self, row: Row, bars: list[Bar], at: int) -> str:
        y = HEAD + at * LINE
        return (
            f'<g data-devices="{row.devices}" data-node="{escape(row.node)}" data-profile="{escape(row.profile)}">'
            f'<text class="calendar-name" x="0" y="{y + 15}">{escape(row.name)}</text>'
            f'<rect class="calendar-track" x="{LABEL}" y="{y + 2}" width="{WIDTH - LABEL}" height="18"/>'
            f"{''.join([f'{before}{y + 2}{after}' for before, after, _words in bars])}</g>\n"
        )

    def _line(self, row: Row, bars: list[Bar]) -> str:
        taken = [words for _before, _after, words in bars]
        # What can still be booked: what is past is nobody's.
        free = [self._free(span) for span in row.free if span[1] > self._now]
        cells = "".join(f"<td>{_listed(lines) if lines else '–'}</td>" for lines in (taken, free))
        return f'<tr><th scope="row">{escape(row.name)}</th>{cells}</tr>\n'

    def _free(self, span: tuple[datetime, datetime]) -> str:
        """A stretch of free time in words, once for all rows that have it."""
        found = self._said.get(span)
        if found is None:
            since, until = self._place(max(span[0], self._now)), self._place(span[1])
            found = self._said[span] = f"{since[1]} – {until[1]}"
        return found

    def _head(self, stretch: Stretch, devices: int, parts: bool) -> str:
        """What a stretch is, whose, and of how many devices; escaped."""
        words = [self._kinds[stretch.kind]]
        if stretch.organisation and stretch.kind in ("taken", "promised"):
            words = [stretch.organisation] if stretch.kind == "taken" else [*words, stretch.organisation]
        if stretch.lease:
            words.append(stretch.lease)
        if devices > 1:
            words.append(self._of[parts] % {"taken": number(stretch.taken), "all": number(devices)})
        return escape(" · ".join(words))

    def _place(self, at: datetime) -> tuple[float, str]:
        """Where a moment lies, and in words: many stretches begin or end at the same one."""
        found = self._places.get(at)
        if found is None:
            found = self._places[at] = (x_of(at, self._start, self._end), moment(at))
        return found
