"""What a reservation's GPUs measured, for scripts: the same questions as the page's."""

from typing import Any

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from allocations import measuring
from allocations.rules import may_see_processes
from common.permissions import require
from telemetry import charts, host_reading
from telemetry.chart_api import STRETCH, chart_schema, charted
from telemetry.serializers import ProcessSerializer


class ComparedSerializer(serializers.Serializer):
    """One GPU over the stretch; nulls where nothing was measured."""

    id = serializers.CharField(source="device.public_id")
    node = serializers.CharField(source="device.node.name")
    index = serializers.IntegerField(source="device.index")
    minutes = serializers.IntegerField(source="totals.minutes", default=0, help_text="of which there is a measurement")
    busy_minutes = serializers.IntegerField(source="totals.busy_minutes", default=0, help_text="above the idle line")
    busy = serializers.BooleanField(help_text="a tenth of its minutes at least")
    means = serializers.DictField(child=serializers.FloatField(allow_null=True), help_text="by figure")
    energy_kwh = serializers.FloatField(allow_null=True)


class ComparisonSerializer(serializers.Serializer):
    """The GPUs of a reservation side by side."""

    start = serializers.DateTimeField(source="window.start", default=None, allow_null=True)
    end = serializers.DateTimeField(source="window.end", default=None, allow_null=True)
    verdict = serializers.ChoiceField(choices=["too_little", "idle", "some", "uneven", "even"])
    words = serializers.CharField(help_text="the verdict as a sentence")
    devices = ComparedSerializer(source="rows", many=True)
    notes = serializers.ListField(source="window.notes", default=list, child=serializers.CharField())


class MeasuredActions:
    """Mixed into the reservations' view set."""

    get_object: Any

    @chart_schema(*charts.COMPARED)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def series(self, request: Request, public_id: str) -> Response:
        """One figure of each GPU while the reservation had it."""
        return charted(measuring.lease_chart(self.get_object(), request.query_params, timezone.now()))

    @extend_schema(parameters=[OpenApiParameter("node", str, description="its name; else the first")])
    @chart_schema(*host_reading.PICTURES)
    @action(detail=True, url_path="host-series", filterset_class=None, pagination_class=None)
    def host_series(self, request: Request, public_id: str) -> Response:
        """What a machine of the reservation did, while nobody else had GPUs of it; the agency sees all of it."""
        lease, now, asked = self.get_object(), timezone.now(), request.query_params
        try:
            node = measuring.node_named(lease, asked.get("node"), now)
        except LookupError as error:
            raise Http404 from error
        whole = bool(getattr(request.user, "is_agency", False))
        return charted(measuring.host_chart(lease, node, asked, now, whole=whole))

    @extend_schema(responses=ComparisonSerializer, parameters=list(STRETCH), filters=False)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def comparison(self, request: Request, public_id: str) -> Response:
        """The GPUs side by side, and in a word what that shows; none before the handover."""
        found = measuring.compare(self.get_object(), request.query_params, timezone.now())
        return Response(ComparisonSerializer(found).data)

    @extend_schema(responses=ProcessSerializer(many=True), filters=False)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def processes(self, request: Request, public_id: str) -> Response:
        """What runs on its GPUs, by the last two minutes: for those who may get in, and operators."""
        lease = self.get_object()
        require(request.user, may_see_processes, lease)
        return Response(ProcessSerializer(measuring.processes(lease, timezone.now()), many=True).data)
