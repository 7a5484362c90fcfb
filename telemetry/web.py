"""A chart over HTTP: JSON for the picture, CSV for a spreadsheet and for browsers without JavaScript."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse

from common.downloads import csv_file
from common.sharing import NOT_KEPT, shared
from common.tables import csv_rows
from telemetry.charts import Chart, csv_table
from telemetry.windows import RANGES

ASKED = ("range", "from", "to", "step")


def chart_response(
    request: HttpRequest, make: Callable[[], Chart], name: str, *, of: str, asked: tuple[object, ...] = ()
) -> HttpResponse:
    """The chart as JSON, or with `format=csv` its values as a file of that name; no browser keeps it.

    Those who ask the same `of` the same object share the JSON (`common.sharing`); `asked`: what it depends on beside
    the query.
    """
    if request.GET.get("format") == "csv":
        return csv_file(csv_rows(*csv_table(make())), name)  # type: ignore[no-any-return]
    text = shared("chart", lambda: _json(make()), of=of, asked=(request.GET.urlencode(), *asked))
    return HttpResponse(text, content_type="application/json", headers=NOT_KEPT)


def _json(chart: Chart) -> str:
    return json.dumps(chart, cls=DjangoJSONEncoder, separators=(",", ":"))


def ranges_context(request: HttpRequest, default: str) -> dict[str, Any]:
    """What a page with charts of one range needs: the ranges, the one shown, and the query that its charts carry."""
    asked = {name: request.GET[name] for name in ASKED if request.GET.get(name)}
    shown = "" if "from" in asked else asked.get("range", default)
    if "from" not in asked:
        asked["range"] = shown if shown in RANGES else default
    return {
        "ranges": list(RANGES.values()),
        "range": "" if "from" in asked else asked["range"],
        "range_default": default,
        "asked": urlencode(asked),
        "asked_from": asked.get("from", ""),
        "asked_to": asked.get("to", ""),
    }
