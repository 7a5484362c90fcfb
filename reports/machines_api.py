"""The operators' verbs for scripts: the same services as the pages."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from allocations.services import operating
from cluster.api import DeviceViewSet, NodeViewSet, said_in
from cluster.models import MaintenanceWindow, Node
from cluster.serializers import ReasonSerializer
from common.api import ReadViewSet
from reports.health_api import InspectionSerializer
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
