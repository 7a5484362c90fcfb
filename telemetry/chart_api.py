"""What the API's charts have in common."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from telemetry.charts import Chart
from telemetry.serializers import ChartSerializer
from telemetry.windows import RANGES

STRETCH = (
    OpenApiParameter("range", str, enum=list(RANGES), description="a stretch up to now, or up to the end of the use"),
    OpenApiParameter("from", OpenApiTypes.DATETIME, description="in place of `range`"),
    OpenApiParameter("to", OpenApiTypes.DATETIME, description="with `from`; else now"),
    OpenApiParameter("step", int, description="seconds; the answer says where it cannot be that fine"),
)
"""What is asked of a stretch; nothing of it is refused, `notes` say what was not understood."""


def chart_schema(*metrics: str) -> Any:
    """The schema of an operation that answers with a chart of one of these figures."""
    metric = OpenApiParameter("metric", str, enum=list(metrics))
    return extend_schema(responses=ChartSerializer, parameters=[metric, *STRETCH], filters=False)


def charted(chart: Chart) -> Response:
    """The chart as it is: it is plain data already."""
    return Response(chart, headers={"Cache-Control": "private, no-store"})
