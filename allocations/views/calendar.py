"""The calendar: devices or nodes down, time across; a table behind it says the same in words."""

import itertools
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models import Count, Value
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from allocations.rule_words import ShownClosure, closures_shown
from allocations.rules import may_book
from allocations.selectors.bookable import barred_of, own_allocations
from allocations.selectors.occupancy import Row, by_node, node_occupancy, occupancy
from allocations.selectors.rulebooks import closures_of
from allocations.views.calendar_drawing import LABEL, LINE, NARROWEST, WIDTH, Day, Drawing, x_of
from cluster.models import Node, Pool
from common.forms import Form
from common.moments import agency_day
from common.permissions import allowed
from common.web import Page

SPANS = {"week": 7, "month": 31, "quarter": 92}
DEVICES_A_PAGE, NODES_A_PAGE = 64, 200


class CalendarForm(Form):
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
class Closed:
    """A blackout in the drawing's units."""

    closure: ShownClosure
    x: float
    until_x: float

    @property
    def width(self) -> float:
        """Never too narrow to be seen."""
        return max(NARROWEST, round(self.until_x - self.x, 1))


class CalendarPage(Page):
    """Who has what when. Its queries do not grow with what is booked."""

    template_name = "allocations/calendar.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        pools = list(Pool.objects.visible_to(self.request.user))
        mine = [row for row in own_allocations(self.request.user) if allowed(self.request.user, may_book, row)]
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
        here = [row for row in mine if pool and row.pool_id == pool.pk]
        barred = barred_of(here, agency_day(timezone.now()))
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
            allocations=[row for row in here if row not in [one.allocation for one in barred]],
            barred=barred,
            **drawn,
            **kwargs,
        )

    def _drawn(self, pool: Pool, start: datetime, end: datetime, rows: str) -> dict[str, Any]:
        most = DEVICES_A_PAGE if rows == "devices" else NODES_A_PAGE
        pages = _pages_of(pool, most, a_node=rows == "nodes")
        number = min(max(1, _number(self.request.GET.get("page"))), max(1, len(pages)))
        shown = _shown(pool, start, end, self.request.user, pages[number - 1] if pages else [], rows)
        now = timezone.now()
        drawing = Drawing(shown, start, end, now)
        return {
            "drawing": drawing,
            "days": drawing.days(_days(start, end)),
            "width": WIDTH,
            "label": LABEL,
            "line": LINE,
            "height": drawing.height,
            "closures": [
                Closed(row, x_of(max(row.start, start), start, end), x_of(min(row.end, end), start, end))
                for row in closures_shown(closures_of(pool))
                if row.start < end and row.end > start
            ],
            "now_x": x_of(now, start, end) if start <= now < end else None,
            "page": number,
            "pages": range(1, len(pages) + 1),
        }


def _pages_of(pool: Pool, most: int, *, a_node: bool) -> list[list[int]]:
    """Nodes by key, in order of name, so many rows a page; a node is never torn in two."""
    nodes = Node.objects.filter(pool=pool).exclude(state="retired").order_by("name")
    sized = nodes.annotate(size=Value(1) if a_node else Count("devices"))
    pages: list[list[int]] = []
    room = 0
    for pk, rows in sized.values_list("pk", "size"):
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


def _shown(pool: Pool, start: datetime, end: datetime, user: Any, nodes: list[int], rows: str) -> list[Row]:
    """Over more than a week a node's row counts what is taken; which reservation it is, the devices' rows say."""
    if rows == "nodes" and end - start > timedelta(days=8):
        return node_occupancy(pool, start, end, user, nodes=nodes)
    shown = occupancy(pool, start, end, user, nodes=nodes)
    return by_node(shown, start, end) if rows == "nodes" else shown


def _days(start: datetime, end: datetime) -> list[Day]:
    """Local midnights at their true place, also where a day has 23 or 25 hours; on long spans only some are named."""
    first, last = timezone.localdate(start), timezone.localdate(end)
    count = (last - first).days
    places = [x_of(_midnight(first + timedelta(days=turn)), start, end) for turn in range(count + 1)]
    days = []
    for turn, (x, until_x) in enumerate(itertools.pairwise(places)):
        day = first + timedelta(days=turn)
        named = turn % (1 if count <= 10 else 3 if count <= 31 else 7) == 0
        name = date_format(day, "MONTH_DAY_FORMAT") if named else ""
        days.append(Day(x, round(until_x - x, 1), name, weekend=day.weekday() >= 5))
    return days
