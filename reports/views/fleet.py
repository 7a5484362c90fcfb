"""The fleet's screen: now, or at a moment of the kept past. GET only: nothing is saved by looking."""

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
from common.tables import csv_lines
from reports.fleet_form import STEPS, FleetForm
from reports.fleet_table import columns, ordered
from reports.selectors import fleet_tops
from reports.selectors.fleet_metrics import METRICS
from reports.selectors.fleet_screen import Picture, Sorts, picture, screen
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
    query = request.GET.copy()
    for name in ("page", "format", "sort", "paused"):
        query.pop(name, None)
    metric, dense = METRICS[form.metric_key], len(found.gpus) > DENSE_ABOVE
    return {
        "picture": found,
        "metric": metric,
        "dense": dense,
        "query": query.urlencode(),
        "paused": "paused" in request.GET,
        "wall": "wall" in request.GET,
        "refresh": REFRESH_DENSE_SECONDS if dense else REFRESH_SECONDS,
        "earlier": _iso(max(moment.at - step, moment.kept_since)),
        "later": _iso(moment.at + step) if moment.past and moment.at + step < now else "",
        "shortened": asked is not None and moment.past and asked < moment.kept_since,
    }


class FleetPage(StaffMixin, TemplateView):
    """One screen: what every GPU is doing, and for whom."""

    template_name = "reports/fleet.html"

    @uncollected()
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        now, form = timezone.now(), FleetForm(request.GET)
        valid = form.is_valid()
        asked = form.moment(now)
        sorts = Sorts(*(request.GET.get(name, "") for name in ("idle_by", "hot_by", "errors_by")))
        sort, part = request.GET.get("sort", ""), form.said("part") or ""
        if request.GET.get("format") == "csv" and valid:
            shown = picture(asked, form.which, now)
            lines = "".join(csv_lines(ordered(shown, sort, part), columns(shown)))  # here, where nothing is collected
            return csv_file([lines], "fleet")  # type: ignore[no-any-return]
        found = screen(asked, form.which, sorts, now)
        rows = ordered(found.picture, sort, part)
        context = self.get_context_data(
            form=form,
            screen=found,
            **shown_now(request, form, found.picture, now),
            back=form.step_of(asked, now),
            steps=STEPS,
            page_obj=Paginator(rows, ROWS_A_PAGE).get_page(request.GET.get("page")),
            columns=columns(found.picture),
            sort=sort,
            table_open=bool({"sort", "page", "part"} & set(request.GET)),
            orders={
                "idle": _chosen(sorts.idle, fleet_tops.IDLE_ORDERS),
                "hot": _chosen(sorts.hot, fleet_tops.HOT_ORDERS),
            }
            | {"errors": _chosen(sorts.errors, fleet_tops.ERROR_ORDERS)},
            span=wanted_span(request).key,
            charted_at=_iso(found.picture.when.at) if found.picture.when.past else "",
            spans=list(charts.SPANS.values()),
        )
        return rendered(self.render_to_response(context, status=200 if valid else 422))


class FleetLive(StaffMixin, View):
    """The part of the screen that refreshes itself: the same for everybody of the agency who asks the same."""

    def get(self, request: HttpRequest) -> HttpResponse:
        text = shared("fleet", lambda: _live(request), of=AGENCY, asked=(request.GET.urlencode(),))
        return HttpResponse(text, headers=NOT_KEPT)


@uncollected()
def _live(request: HttpRequest) -> str:
    now, form = timezone.now(), FleetForm(request.GET)
    form.is_valid()
    found = picture(form.moment(now), form.which, now)
    return render_to_string("reports/_fleet_live.html", shown_now(request, form, found, now), request)


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


def _chosen(said: str, orders: dict[str, Any]) -> str:
    return said if said in orders else next(iter(orders))


def _iso(moment: datetime) -> str:
    return timezone.localtime(moment).strftime("%Y-%m-%dT%H:%M")
