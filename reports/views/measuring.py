"""What nodes and devices measured: the points of their charts."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.generic import View

from cluster.models import Device, Node
from common.web import ObjectMixin
from reports.selectors import measuring
from reports.views.staff import StaffMixin
from telemetry.web import chart_response


class DeviceSeries(StaffMixin, ObjectMixin, View):
    """The points of one chart of a device; `metric` names it."""

    model = Device

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """JSON, or CSV with `format=csv`."""
        chart = measuring.device_chart(self.object, request.GET, timezone.now())
        return chart_response(request, chart, self.object.public_id)


class NodeSeries(StaffMixin, ObjectMixin, View):
    """One figure of all devices of a node, a line each."""

    model = Node

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """JSON, or CSV with `format=csv`."""
        chart = measuring.node_chart(self.object, request.GET, timezone.now())
        return chart_response(request, chart, self.object.name)


class NodeHostSeries(StaffMixin, ObjectMixin, View):
    """What the machine around the devices did."""

    model = Node

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """JSON, or CSV with `format=csv`."""
        chart = measuring.machine_chart(self.object, request.GET, timezone.now())
        return chart_response(request, chart, f"{self.object.name}-host")
