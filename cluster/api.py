"""The staff API of the machines; pools are for everybody."""

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.filters import DeviceFilter, NodeFilter
from cluster.models import Device, Node, Pool
from cluster.serializers import (
    DeviceEventSerializer,
    DeviceSerializer,
    NodeSerializer,
    PoolSerializer,
    ReasonSerializer,
)
from cluster.services import devices, nodes
from common.api import ReadViewSet


class PoolViewSet(ReadViewSet):
    """Pools."""

    queryset = Pool.objects.select_related("gpu_class")
    serializer_class = PoolSerializer


class NodeViewSet(ReadViewSet):
    """Nodes: staff only, others see none."""

    queryset = Node.objects.select_related("pool")
    serializer_class = NodeSerializer
    filterset_class = NodeFilter

    @extend_schema(request=ReasonSerializer, responses=NodeSerializer)
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, public_id: str) -> Response:
        """Take no new leases."""
        return self._move(nodes.drain)

    @extend_schema(request=ReasonSerializer, responses=NodeSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, public_id: str) -> Response:
        """Take leases again."""
        return self._move(nodes.resume)

    @extend_schema(responses=DeviceEventSerializer(many=True))
    @action(detail=True)
    def events(self, request: Request, public_id: str) -> Response:
        """The newest hundred events."""
        rows = self.get_object().events.select_related("device")[:100]
        return Response(DeviceEventSerializer(rows, many=True).data)

    def _move(self, verb) -> Response:  # type: ignore[no-untyped-def]
        node = self.get_object()
        said = ReasonSerializer(data=self.request.data)
        said.is_valid(raise_exception=True)
        verb(actor=self.request.user, node=node, reason=said.validated_data["reason"])
        return Response(NodeSerializer(self.get_object()).data)


class DeviceViewSet(ReadViewSet):
    """Devices: staff only, others see none."""

    queryset = Device.objects.select_related("node", "gpu_class")
    serializer_class = DeviceSerializer
    filterset_class = DeviceFilter

    @extend_schema(request=ReasonSerializer, responses=DeviceSerializer)
    @action(detail=True, methods=["post"])
    def quarantine(self, request: Request, public_id: str) -> Response:
        """Take a device out of service."""
        return self._move(devices.quarantine)

    @extend_schema(request=ReasonSerializer, responses=DeviceSerializer)
    @action(detail=True, methods=["post"])
    def clean(self, request: Request, public_id: str) -> Response:
        """Bring a quarantined or lost device back: it is checked, and available once the node proves it clean."""
        return self._move(devices.clean)

    def _move(self, verb) -> Response:  # type: ignore[no-untyped-def]
        device = self.get_object()
        said = ReasonSerializer(data=self.request.data)
        said.is_valid(raise_exception=True)
        verb(actor=self.request.user, devices=[device.pk], reason=said.validated_data["reason"])
        return Response(DeviceSerializer(self.get_object()).data)
