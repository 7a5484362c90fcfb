"""A chart over HTTP: JSON for the picture, CSV for a spreadsheet and for browsers without JavaScript."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse

from common.tables import csv_rows
from telemetry.charts import Chart, csv_table
from telemetry.windows import RANGES

ASKED = ("range", "from", "to", "step")


def chart_response(request: HttpRequest, chart: Chart, name: str) -> HttpResponse:
    """The chart as JSON, or with `format=csv` its values as a file of that name; no cache keeps it."""
    if request.GET.get("format") == "csv":
        answer: Any = StreamingHttpResponse(csv_rows(*csv_table(chart)), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    else:
        answer = JsonResponse(chart)
    answer["Cache-Control"] = "private, no-store"
    return answer  # type: ignore[no-any-return]


def ranges_context(request: HttpRequest, default: str) -> dict[str, Any]:
    """What a page with charts of one range needs: the ranges, the one shown, and the query that its charts carry."""
    asked = {name: request.GET[name] for name in ASKED if request.GET.get(name)}
    shown = "" if "from" in asked else asked.get("range", default)
    if "from" not in asked:
        asked["range"] = shown if shown in RANGES else default
    return {
        "ranges": list(RANGES.values()),
        "range": asked.get("range", ""),
        "asked": urlencode(asked),
        "asked_from": asked.get("from", ""),
        "asked_to": asked.get("to", ""),
    }
