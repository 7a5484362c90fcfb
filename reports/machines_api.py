"""The operators' verbs for scripts: the same services as the pages."""

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.rules import may_run_nodes
from allocations.services import operating
from cluster.api import DeviceViewSet, NodeViewSet, said_in
from cluster.models import MaintenanceWindow, Node
from cluster.serializers import ReasonSerializer
from common.api import ReadViewSet
from common.permissions import require
from reports.health_api import InspectionSerializer
from reports.selectors import measured, measuring
from reports.selectors.fleet import latest_fresh
from reports.serializers import (
    AnnounceSerializer,
    DrainSerializer,
    MaintainSerializer,
    MaintenanceWindowSerializer,
    OperatedDeviceSerializer,
    OperatedNodeSerializer,
    PartitionSerializer,
    PlanSerializer,
    SendBackSerializer,
)
from telemetry import charts, host_reading
from telemetry.chart_api import chart_schema, charted
from telemetry.serializers import ProcessSerializer


class OperatedNodes(NodeViewSet):
    """Nodes: staff only, others see none. Verbs name the reservations that they hit."""

    @extend_schema(request=DrainSerializer, responses=OperatedNodeSerializer)
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, public_id: str) -> Response:
        """Take no new leases; what is not in the plan goes on."""
        return self._do(operating.drain_node, DrainSerializer)

    @extend_schema(request=MaintainSerializer, responses=OperatedNodeSerializer)
    @action(detail=True, methods=["post"])
    def maintain(self, request: Request, public_id: str) -> Response:
        """From draining to maintenance; refused while it is promised, unless forced with a plan."""
        return self._do(operating.maintain_node, MaintainSerializer)

    @extend_schema(request=PlanSerializer, responses=OperatedNodeSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, public_id: str) -> Response:
        """Out of the house with all its devices; refused while it is promised, unless forced with a plan."""
        return self._do(operating.retire_node, PlanSerializer)

    @chart_schema(*charts.COMPARED)
    @action(detail=True)
    def series(self, request: Request, public_id: str) -> Response:
        """One figure of all GPUs of the node, a line each."""
        return charted(measuring.node_chart(self.get_object(), request.query_params, timezone.now()))

    @chart_schema(*host_reading.PICTURES)
    @action(detail=True, url_path="host-series")
    def host_series(self, request: Request, public_id: str) -> Response:
        """What the machine around the GPUs did: processor, memory, disks, network."""
        return charted(measuring.machine_chart(self.get_object(), request.query_params, timezone.now()))

    def _do(self, verb: Any, shape: Any) -> Response:
        node = self.get_object()
        done = verb(actor=self.request.user, node=node, **said_in(self.request, shape))
        return Response(OperatedNodeSerializer(self.get_object(), context={"hit": done.hit}).data)


class OperatedDevices(DeviceViewSet):
    """Devices: staff only, others see none. Verbs name the reservations that they hit."""

    @extend_schema(request=PlanSerializer, responses=OperatedDeviceSerializer)
    @action(detail=True, methods=["post"])
    def quarantine(self, request: Request, public_id: str) -> Response:
        """Take a device out of service; refused while it is promised, unless forced with a plan."""
        return self._do(operating.quarantine_device, PlanSerializer)

    @extend_schema(request=SendBackSerializer, responses=OperatedDeviceSerializer)
    @action(detail=True, methods=["post"], url_path="send-back")
    def send_back(self, request: Request, public_id: str) -> Response:
        """To the vendor, under its ticket."""
        return self._do(operating.send_device_back, SendBackSerializer)

    @extend_schema(request=PartitionSerializer, responses=OperatedDeviceSerializer)
    @action(detail=True, methods=["post"])
    def partition(self, request: Request, public_id: str) -> Response:
        """Cut a GPU into MIG instances, or make it whole; refused while it is promised, unless forced with a plan."""
        return self._do(operating.partition_device, PartitionSerializer)

    @extend_schema(request=PlanSerializer, responses=OperatedDeviceSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, public_id: str) -> Response:
        """Out of the house."""
        return self._do(operating.retire_device, PlanSerializer)

    @extend_schema(responses=InspectionSerializer(many=True))
    @action(detail=True)
    def inspections(self, request: Request, public_id: str) -> Response:
        """The newest hundred checks between reservations: weekly ones, and those on leaving quarantine."""
        return Response(InspectionSerializer(self.get_object().inspections.all()[:100], many=True).data)

    @chart_schema(*charts.DEVICE_PICTURES)
    @action(detail=True)
    def series(self, request: Request, public_id: str) -> Response:
        """One chart of a device, its limit beside it."""
        return charted(measuring.device_chart(self.get_object(), request.query_params, timezone.now()))

    @extend_schema(responses=ProcessSerializer(many=True), filters=False)
    @action(detail=True, pagination_class=None, filterset_class=None)
    def processes(self, request: Request, public_id: str) -> Response:
        """What runs on the device, by the last two minutes: operators only."""
        device = self.get_object()
        require(request.user, may_run_nodes)
        found = measured.processes_on([(device, latest_fresh([device], timezone.now()).get(device.pk))])
        return Response(ProcessSerializer(found, many=True).data)

    def _do(self, verb: Any, shape: Any) -> Response:
        device = self.get_object()
        done = verb(actor=self.request.user, device=device, **said_in(self.request, shape))
        return Response(OperatedDeviceSerializer(self.get_object(), context={"hit": done.hit}).data)


class Windows(ReadViewSet):
    """Announced work on nodes: staff only, others see none."""

    queryset = MaintenanceWindow.objects.select_related("node")
    serializer_class = MaintenanceWindowSerializer

    @extend_schema(request=AnnounceSerializer, responses={201: MaintenanceWindowSerializer})
    def create(self, request: Request) -> Response:
        """Nothing is placed on the node in the window; refused where something is, unless forced with a plan."""
        said = said_in(request, AnnounceSerializer)
        said["node"] = get_object_or_404(Node.objects.visible_to(request.user), public_id=said["node"])
        done = operating.announce_maintenance(actor=request.user, **said)
        shown = MaintenanceWindowSerializer(done.target, context={"hit": done.hit})
        return Response(shown.data, status=status.HTTP_201_CREATED)

    @extend_schema(request=ReasonSerializer, responses=MaintenanceWindowSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        """The node may be booked then after all."""
        window, said = self.get_object(), said_in(request, ReasonSerializer)
        operating.cancel_maintenance(actor=request.user, window=window, reason=said["reason"])
        return Response(MaintenanceWindowSerializer(self.get_object()).data)
