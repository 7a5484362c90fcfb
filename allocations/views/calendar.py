"""The calendar: devices or nodes down, time across; a table behind it says the same in words."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models import Count
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from allocations.rule_words import ShownClosure, closures_shown
from allocations.rules import may_book
from allocations.selectors.occupancy import Row, Stretch, by_node, node_occupancy, occupancy
from allocations.selectors.offers import bookable_allocations
from allocations.selectors.rulebooks import closures_of
from cluster.models import Node, Pool
from common.permissions import allowed
from common.templatetags.bitgoeul import moment, number
from common.web import Page

SPANS = {"week": 7, "month": 31, "quarter": 92}
WIDTH, LABEL, HEAD, LINE = 1200, 130, 34, 22
"""Of the drawing, in its own units: the whole, the names at the left, the days above, a row."""
DEVICES_A_PAGE, NODES_A_PAGE = 64, 200


class CalendarForm(forms.Form):
    """What the calendar shows."""

    pool = forms.ChoiceField(label=_("Pool"), required=False)
    view = forms.ChoiceField(
        label=_("Span"),
        choices=[("week", _("week")), ("month", _("month")), ("quarter", _("three months"))],
        required=False,
    )
    rows = forms.ChoiceField(
        label=_("Rows"), choices=[("devices", _("one a GPU")), ("nodes", _("one a node"))], required=False
    )
    day = forms.DateField(
        label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )

    def __init__(self, *args: Any, pools: list[Pool], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["pool"].choices = [(pool.public_id, pool.name) for pool in pools]  # type: ignore[attr-defined]

    def clean_day(self) -> date | None:
        """A day near enough to be drawn."""
        day: date | None = self.cleaned_data["day"]
        today = timezone.localdate()
        if day and abs(day - today) > timedelta(days=730):
            raise forms.ValidationError(_("Please choose a day within two years of today."))
        return day


@dataclass(frozen=True)
class Bar:
    """A stretch in the drawing's units."""

    stretch: Stretch
    x: float
    width: float
    words: str


@dataclass(frozen=True)
class Line:
    """A row of the drawing and of the table behind it; its bars are written here, because there are thousands."""

    row: Row
    y: int
    bars: list[Bar]
    free: list[tuple[datetime, datetime]]
    """What can still be booked: what is past is nobody's."""

    def drawn(self) -> SafeString:
        """The bars as SVG, those of a reservation as links to it."""
        return format_html_join("", "{}", ((_linked(bar, self._rect(bar)),) for bar in self.bars))

    def taken(self) -> SafeString:
        """The bars in words."""
        return format_html_join("", "<div>{}</div>", ((_linked(bar, bar.words),) for bar in self.bars))

    def open(self) -> SafeString:
        """What is free, in words."""
        return format_html_join(
            "", "<div>{} – {}</div>", ((moment(since), moment(until)) for since, until in self.free)
        )

    def _rect(self, bar: Bar) -> SafeString:
        return format_html(
            '<rect class="calendar-{}" x="{}" y="{}" width="{}" height="18" rx="3"><title>{}</title></rect>',
            *(bar.stretch.kind, str(bar.x), self.y + 2, str(bar.width), bar.words),
        )


def _linked(bar: Bar, content: str) -> str:
    lease = bar.stretch.lease
    return format_html('<a href="{}">{}</a>', f"{reverse('allocations:leases')}{lease}/", content) if lease else content


@dataclass(frozen=True)
class Closed:
    """A blackout in the drawing's units."""

    closure: ShownClosure
    x: float
    until_x: float

    @property
    def width(self) -> float:
        """Never too narrow to be seen."""
        return max(1.5, round(self.until_x - self.x, 1))


class CalendarPage(Page):
    """Who has what when. Its queries do not grow with what is booked."""

    template_name = "allocations/calendar.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        pools = list(Pool.objects.visible_to(self.request.user))
        mine = [row for row in bookable_allocations(self.request.user) if allowed(self.request.user, may_book, row)]
        pool = mine[0].pool if mine else next(iter(pools), None)
        usual = {"pool": pool.public_id if pool else "", "view": "week", "rows": "devices"}
        usual["day"] = timezone.localdate().isoformat()
        said = {key: self.request.GET[key] for key in usual if self.request.GET.get(key)}
        form = CalendarForm(usual | said, pools=pools)
        asked = form.cleaned_data if form.is_valid() else {}
        pool = next((row for row in pools if row.public_id == asked.get("pool")), pool)
        view, rows = asked.get("view") or "week", asked.get("rows") or "devices"
        first = asked.get("day") or timezone.localdate()
        start, end = _midnight(first), _midnight(first + timedelta(days=SPANS[view]))
        drawn = self._drawn(pool, start, end, rows) if pool else {}
        step = timedelta(days=SPANS[view])
        return super().get_context_data(
            form=form,
            pool=pool,
            start=start,
            end=end,
            view=view,
            rows=rows,
            first=first,
            before=first - step,
            after=first + step,
            allocations=[row for row in mine if pool and row.pool_id == pool.pk],
            **drawn,
            **kwargs,
        )

    def _drawn(self, pool: Pool, start: datetime, end: datetime, rows: str) -> dict[str, Any]:
        most = DEVICES_A_PAGE if rows == "devices" else NODES_A_PAGE
        pages = _pages_of(pool, most, a_node=rows == "nodes")
        number = min(max(1, _number(self.request.GET.get("page"))), max(1, len(pages)))
        shown = _shown(pool, start, end, self.request.user, pages[number - 1] if pages else [], rows)
        now = timezone.now()
        lines = [
            Line(
                row,
                HEAD + at * LINE,
                [_bar(stretch, row, start, end) for stretch in row.stretches],
                [(max(since, now), until) for since, until in row.free if until > now],
            )
            for at, row in enumerate(shown)
        ]
        days = _days(start, end)
        return {
            "lines": lines,
            "days": days,
            "width": WIDTH,
            "label": LABEL,
            "line": LINE,
            "height": HEAD + LINE * len(lines),
            "closures": [
                Closed(row, _x(max(row.start, start), start, end), _x(min(row.end, end), start, end))
                for row in closures_shown(closures_of(pool))
                if row.start < end and row.end > start
            ],
            "now_x": _x(now, start, end) if start <= now < end else None,
            "page": number,
            "pages": range(1, len(pages) + 1),
        }


def _pages_of(pool: Pool, most: int, *, a_node: bool) -> list[list[int]]:
    """Nodes by key, in order of name, so many rows a page; a node is never torn in two."""
    nodes = Node.objects.filter(pool=pool).exclude(state="retired").annotate(size=Count("devices"))
    pages: list[list[int]] = []
    room = 0
    for pk, size in nodes.order_by("name").values_list("pk", "size"):
        rows = 1 if a_node else size
        if not pages or rows > room:
            pages.append([])
            room = most
        pages[-1].append(pk)
        room -= rows
    return pages


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 7 else 1


def _midnight(day: date) -> datetime:
    """Of the reader's zone, in UTC: the difference of two moments of one zone would be that of their clocks."""
    return timezone.make_aware(datetime.combine(day, time.min)).astimezone(UTC)


def _x(at: datetime, start: datetime, end: datetime) -> float:
    return round(LABEL + (WIDTH - LABEL) * ((at - start) / (end - start)), 1)


def _shown(pool: Pool, start: datetime, end: datetime, user: Any, nodes: list[int], rows: str) -> list[Row]:
    """Over more than a week a node's row counts what is taken; which reservation it is, the devices' rows say."""
    if rows == "nodes" and end - start > timedelta(days=8):
        return node_occupancy(pool, start, end, user, nodes=nodes)
    shown = occupancy(pool, start, end, user, nodes=nodes)
    return by_node(shown, start, end) if rows == "nodes" else shown


def _bar(stretch: Stretch, row: Row, start: datetime, end: datetime) -> Bar:
    left = _x(stretch.start, start, end)
    return Bar(stretch, left, max(1.5, round(_x(stretch.end, start, end) - left, 1)), words_of(stretch, row))


_KINDS = {
    "own": _("your organisation"),
    "taken": _("taken"),
    "maintenance": _("maintenance"),
    "cleaning": _("cleaning"),
    "kept": _("guaranteed to you"),
    "promised": _("guaranteed"),
    "out": _("out of service"),
}


def words_of(stretch: Stretch, row: Row) -> str:
    """A stretch as the drawing's title and the table say it. Not a template: there are thousands of them on a page."""
    parts = [str(_KINDS[stretch.kind])]
    if stretch.kind == "taken" and stretch.organisation:
        parts = [stretch.organisation]
    elif stretch.kind == "promised":
        parts.append(stretch.organisation)
    if stretch.lease:
        parts.append(stretch.lease)
    if row.devices > 1:
        of = {"taken": number(stretch.taken), "all": number(row.devices)}
        text = gettext("%(taken)s of %(all)s MIG instances") if row.parts else gettext("%(taken)s of %(all)s GPUs")
        parts.append(text % of)
    until = gettext("open") if stretch.open else moment(stretch.end)
    parts.append(f"{moment(stretch.start)} – {until}")
    return " · ".join(parts)


def _days(start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Local midnights at their true place, also where a day has 23 or 25 hours; on long spans only some are named."""
    first, last = timezone.localdate(start), timezone.localdate(end)
    count = (last - first).days
    days = []
    for turn in range(count):
        day = first + timedelta(days=turn)
        named = turn % (1 if count <= 10 else 3 if count <= 31 else 7) == 0
        days.append(
            {
                "x": _x(_midnight(day), start, end),
                "name": date_format(day, "MONTH_DAY_FORMAT") if named else "",
                "weekend": day.weekday() >= 5,
                "width": round(_x(_midnight(day + timedelta(days=1)), start, end) - _x(_midnight(day), start, end), 1),
            }
        )
    return days
