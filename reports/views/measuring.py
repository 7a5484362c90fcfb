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
        device = self.object
        return chart_response(
            request,
            lambda: measuring.device_chart(device, request.GET, timezone.now()),
            device.public_id,
            of=device.public_id,
        )


class NodeSeries(StaffMixin, ObjectMixin, View):
    """One figure of all devices of a node, a line each."""

    model = Node

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """JSON, or CSV with `format=csv`."""
        node = self.object
        return chart_response(
            request,
            lambda: measuring.node_chart(node, request.GET, timezone.now()),
            node.name,
            of=node.public_id,
            asked=("gpus",),
        )


class NodeHostSeries(StaffMixin, ObjectMixin, View):
    """What the machine around the devices did."""

    model = Node

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """JSON, or CSV with `format=csv`."""
        node = self.object
        return chart_response(
            request,
            lambda: measuring.machine_chart(node, request.GET, timezone.now()),
            f"{node.name}-host",
            of=node.public_id,
            asked=("host",),
        )
