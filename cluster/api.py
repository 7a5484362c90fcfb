"""The staff API of the machines; pools are for everybody.

The verbs that ask who holds what stand in reports.machines_api, above the leases.
"""

from typing import Any

from django.db.models import Q
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from cluster.filters import DeviceFilter, NodeFilter
from cluster.models import Device, Node, Pool
from cluster.serializers import (
    ConfirmSerializer,
    DeviceEventSerializer,
    DeviceSerializer,
    JoinTokenSerializer,
    NewNodeSerializer,
    NodeSerializer,
    NodeTokenSerializer,
    PoolSerializer,
    ReasonSerializer,
    StaffPoolSerializer,
)
from cluster.services import devices, enrolment, nodes
from common.api import ReadViewSet


class PoolViewSet(ReadViewSet):
    """Pools."""

    queryset = Pool.objects.select_related("gpu_class")
    serializer_class = StaffPoolSerializer

    def get_serializer_class(self) -> type[PoolSerializer]:
        """What staff may see is more."""
        staff = getattr(self, "swagger_fake_view", False) or self.request.user.is_agency
        return StaffPoolSerializer if staff else PoolSerializer


class NodeViewSet(ReadViewSet):
    """Nodes: staff only, others see none. reports adds the verbs that could break a promise, and the address."""

    queryset = Node.objects.select_related("pool")
    serializer_class = NodeSerializer
    filterset_class = NodeFilter

    @extend_schema(request=NewNodeSerializer, responses={201: JoinTokenSerializer})
    def create(self, request: Request) -> Response:
        """Make a node known; its agent joins with the token, which is shown this once and good for a day."""
        said = said_in(request, NewNodeSerializer)
        pools = Pool.objects.visible_to(request.user)
        pool = get_object_or_404(pools, Q(public_id=said["pool"]) | Q(name=said["pool"]))
        node, token = enrolment.create_node(
            actor=request.user, name=said["name"], pool=pool, expected_devices=said["expected_devices"]
        )
        return Response({"node": node.public_id, "join_token": token}, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={201: JoinTokenSerializer})
    @action(detail=True, methods=["post"], url_path="join-token")
    def join_token(self, request: Request, public_id: str) -> Response:
        """Another join token; those not used yet die."""
        node = self.get_object()
        token = enrolment.issue_join_token(actor=request.user, node=node)
        return Response({"node": node.public_id, "join_token": token}, status=status.HTTP_201_CREATED)

    @extend_schema(request=ReasonSerializer, responses={201: NodeTokenSerializer})
    @action(detail=True, methods=["post"], url_path="rotate-token")
    def rotate_token(self, request: Request, public_id: str) -> Response:
        """A new token of the node's own; the old one dies at once."""
        node, said = self.get_object(), said_in(request, ReasonSerializer)
        token = enrolment.rotate_token(actor=request.user, node=node, reason=said["reason"])
        return Response({"node": node.public_id, "token": token}, status=status.HTTP_201_CREATED)

    @extend_schema(request=ConfirmSerializer, responses=NodeSerializer)
    @action(detail=True, methods=["post"])
    def confirm(self, request: Request, public_id: str) -> Response:
        """These GPUs belong there: they may be booked."""
        node, said = self.get_object(), said_in(request, ConfirmSerializer)
        enrolment.confirm_inventory(actor=request.user, node=node, **said)
        return Response(NodeSerializer(self.get_object()).data)

    @extend_schema(request=ReasonSerializer, responses=NodeSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, public_id: str) -> Response:
        """Take leases again; after maintenance once its free devices are proved."""
        node, said = self.get_object(), said_in(request, ReasonSerializer)
        nodes.resume(actor=request.user, node=node, reason=said["reason"])
        return Response(NodeSerializer(self.get_object()).data)

    @extend_schema(responses=DeviceEventSerializer(many=True))
    @action(detail=True)
    def events(self, request: Request, public_id: str) -> Response:
        """The newest hundred events."""
        rows = self.get_object().events.select_related("device")[:100]
        return Response(DeviceEventSerializer(rows, many=True).data)


class DeviceViewSet(ReadViewSet):
    """Devices: staff only, others see none. reports adds the verbs that could break a promise, and the address."""

    queryset = Device.objects.select_related("node", "gpu_class", "parent", "latest_sample")
    serializer_class = DeviceSerializer
    filterset_class = DeviceFilter

    @extend_schema(request=ReasonSerializer, responses=DeviceSerializer)
    @action(detail=True, methods=["post"])
    def clean(self, request: Request, public_id: str) -> Response:
        """Bring a device back that is quarantined, lost or at the vendor's: available once the node proves it clean."""
        device, said = self.get_object(), said_in(request, ReasonSerializer)
        devices.move_together("clean", actor=request.user, device=device, reason=said["reason"])
        return Response(DeviceSerializer(self.get_object()).data)


def said_in(request: Request, shape: type[Serializer[Any]]) -> dict[str, Any]:
    """The body in the serializer's shape; 400 otherwise."""
    serializer = shape(data=request.data)
    serializer.is_valid(raise_exception=True)
    said: dict[str, Any] = serializer.validated_data
    return said
