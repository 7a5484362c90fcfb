"""What nodes and devices measured: the points of their charts."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.generic import View

from cluster.models import Device, Node
from common.web import ObjectMixin
from reports.selectors import measuring
from reports.views.staff import StaffMixin
from telemetry.charts import Chart
from telemetry.web import chart_response


class _Series(StaffMixin, ObjectMixin, View):
    """The points of a chart of one object. `asked`: which of its charts, where it has several."""

    asked: tuple[str, ...] = ()

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """JSON, or CSV with `format=csv`."""
        return chart_response(request, self.chart, self.file_name(), of=self.object.public_id, asked=self.asked)

    def chart(self) -> Chart:
        """What was asked for, as things stand now."""
        raise NotImplementedError

    def file_name(self) -> str:
        """Of the CSV, without its ending."""
        return str(self.object.name)


class DeviceSeries(_Series):
    """The points of one chart of a device; `metric` names it."""

    model = Device

    def chart(self) -> Chart:
        return measuring.device_chart(self.object, self.request.GET, timezone.now())

    def file_name(self) -> str:
        return str(self.object.public_id)


class NodeSeries(_Series):
    """One figure of all devices of a node, a line each."""

    model = Node
    asked = ("gpus",)

    def chart(self) -> Chart:
        return measuring.node_chart(self.object, self.request.GET, timezone.now())


class NodeHostSeries(_Series):
    """What the machine around the devices did."""

    model = Node
    asked = ("host",)

    def chart(self) -> Chart:
        return measuring.machine_chart(self.object, self.request.GET, timezone.now())

    def file_name(self) -> str:
        return f"{self.object.name}-host"
