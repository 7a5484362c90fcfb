"""The fleet's screen: now, or at a moment of the kept past. GET only: nothing is saved by looking."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.generic import TemplateView, View

from common.collecting import uncollected
from common.downloads import csv_file
from common.sharing import AGENCY, NOT_KEPT, shared
from common.tables import csv_blocks
from reports.fleet_form import STEPS, FleetForm, node_said, page_number
from reports.fleet_table import columns, lines
from reports.selectors import fleet_tops
from reports.selectors.fleet_counts import Asked
from reports.selectors.fleet_list import listed
from reports.selectors.fleet_metrics import METRICS
from reports.selectors.fleet_rows import when
from reports.selectors.fleet_screen import Picture, Sorts, heat, picture, screen
from reports.selectors.fleet_sql import Bounds
from reports.views.staff import StaffMixin
from telemetry import charts

ROWS_A_PAGE = 25
DENSE_ABOVE = 640
"""So many GPUs have a cell with its figure in it; of more a cell is a square, its figure beside the pointer."""
REFRESH_SECONDS, REFRESH_DENSE_SECONDS = 10, 30
STEP_BACK = {"minutes": timedelta(minutes=10), "hours": timedelta(hours=1)}


def rendered(page: Any) -> HttpResponse:
    """A page whose template has been filled in, not only once the view is over."""
    filled: HttpResponse = page.render()
    return filled


def wanted_span(request: HttpRequest) -> charts.Range:
    """The range of the query string; an unknown one gives the shortest."""
    return charts.SPANS.get(request.GET.get("range", ""), charts.SPANS[charts.DEFAULT_SPAN])


def shown_now(request: HttpRequest, form: FleetForm, found: Picture, now: datetime) -> dict[str, Any]:
    """What the part that refreshes itself needs."""
    moment, asked = found.when, form.moment(now)
    step = STEP_BACK["hours" if moment.source == "hours" else "minutes"]
    return _drawing(request, form, dense=found.counted.gpus > DENSE_ABOVE) | {
        "picture": found,
        "earlier": _iso(max(moment.at - step, moment.kept_since)),
        "later": _iso(moment.at + step) if moment.past and moment.at + step < now else "",
        "shortened": asked is not None and moment.past and asked < moment.kept_since,
    }


def _drawing(request: HttpRequest, form: FleetForm, *, dense: bool) -> dict[str, Any]:
    """How it is drawn, and what is asked again."""
    query = request.GET.copy()
    for name in ("page", "format", "sort", "paused", "first", "before"):
        query.pop(name, None)
    return {
        "metric": METRICS[form.metric_key],
        "dense": dense,
        "query": query.urlencode(),
        "paused": "paused" in request.GET,
        "wall": "wall" in request.GET,
        "refresh": REFRESH_DENSE_SECONDS if dense else REFRESH_SECONDS,
    }


class FleetPage(StaffMixin, TemplateView):
    """One screen: what every GPU is doing, and for whom."""

    template_name = "reports/fleet.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form = FleetForm(request.GET)
        valid = form.is_valid()
        if request.GET.get("format") == "csv" and valid:
            return _file(form, request.GET.get("sort", ""))
        return rendered(self.render_to_response(self._context(form), status=200 if valid else 422))

    @uncollected()
    def _context(self, form: FleetForm) -> dict[str, Any]:
        request, now = self.request, timezone.now()
        asked, page = form.moment(now), page_number(request.GET.get("page", ""))
        sorts = Sorts(*(request.GET.get(name, "") for name in ("idle_by", "hot_by", "errors_by")))
        sort, part = request.GET.get("sort", ""), form.said("part") or ""
        wanted = Asked(
            map=True,
            piece=node_said(request.GET.get("first", "")),
            limit=ROWS_A_PAGE,
            offset=(page - 1) * ROWS_A_PAGE,
            sort=sort,
            part=part,
        )
        found = screen(asked, form.which, sorts, now, wanted)
        moment = found.picture.when
        return self.get_context_data(
            form=form,
            screen=found,
            **shown_now(request, form, found.picture, now),
            back=form.step_of(asked, now),
            steps=STEPS,
            page_obj=Paginator(range(found.picture.counted.matching), ROWS_A_PAGE).get_page(page),
            columns=columns(found.picture),
            sort=sort,
            table_open=bool({"sort", "page", "part"} & set(request.GET)),
            orders={
                "idle": _chosen(sorts.idle, fleet_tops.IDLE_ORDERS),
                "hot": _chosen(sorts.hot, fleet_tops.HOT_ORDERS),
                "errors": _chosen(sorts.errors, fleet_tops.ERROR_ORDERS),
            },
            span=wanted_span(request).key,
            charted_at=_iso(moment.at) if moment.past else "",
            spans=list(charts.SPANS.values()),
        )


@uncollected()
def _file(form: FleetForm, sort: str) -> Any:
    """Every GPU as a line: read at once, sent as it is written."""
    now = timezone.now()
    rows = listed(when(form.moment(now), now), form.which, sort=sort, part=form.said("part") or "")
    header = [column.label for column in columns()]
    return csv_file(csv_blocks(header, lines(rows)), "fleet")


class FleetLive(StaffMixin, View):
    """The part of the screen that refreshes itself: the same for everybody of the agency who asks the same."""

    def get(self, request: HttpRequest) -> HttpResponse:
        text = shared("fleet", lambda: _live(request), of=AGENCY, asked=(request.GET.urlencode(),))
        return HttpResponse(text, headers=NOT_KEPT)


def _live(request: HttpRequest) -> str:
    now, form = timezone.now(), FleetForm(request.GET)
    form.is_valid()
    found = picture(form.moment(now), form.which, now, Asked())
    return render_to_string("reports/_fleet_refreshed.html", shown_now(request, form, found, now), request)


class FleetMap(StaffMixin, View):
    """A piece of the heat map, from one node up to before another: shared like the rest of the screen."""

    def get(self, request: HttpRequest) -> HttpResponse:
        text = shared("fleet-map", lambda: _piece(request), of=AGENCY, asked=(request.GET.urlencode(),))
        return HttpResponse(text, headers=NOT_KEPT)


@uncollected()
def _piece(request: HttpRequest) -> str:
    now, form = timezone.now(), FleetForm(request.GET)
    form.is_valid()
    bounds = Bounds(*(node_said(request.GET.get(name, "")) for name in ("first", "before")))
    found = heat(form.moment(now), form.which, now, bounds)
    dense = bounds != Bounds() or len(found.gpus) > DENSE_ABOVE
    return render_to_string(
        "reports/_fleet_piece.html", _drawing(request, form, dense=dense) | {"heat": found}, request
    )


class FleetSeries(StaffMixin, View):
    """The chart's points, up to now or to the moment that is looked at (`at`)."""

    def get(self, request: HttpRequest) -> HttpResponse:
        now, span, form = timezone.now(), wanted_span(request), FleetForm(request.GET)
        form.is_valid()
        asked = form.moment(now)
        until = asked if asked and asked < now else None
        chart = shared(
            "fleet-series",
            lambda: charts.fleet_series(span, until or now),
            of=AGENCY,
            asked=(span.key, until.isoformat() if until else ""),
            seconds=span.step.total_seconds() / 2,
        )
        return JsonResponse(chart, headers=NOT_KEPT)


def _chosen(said: str, orders: Iterable[str]) -> str:
    return said if said in orders else next(iter(orders))


def _iso(moment: datetime) -> str:
    return timezone.localtime(moment).strftime("%Y-%m-%dT%H:%M")
