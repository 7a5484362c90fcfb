"""The API skin over changes of the GPUs of a running reservation."""

from typing import Any

from django.shortcuts import get_list_or_404, get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from allocations.models import Lease, Reshape
from allocations.serializers.reshapes import ReshapeSerializer, ShrinkSerializer, SwapSerializer
from allocations.services import reshaping
from cluster.api import said_in
from cluster.models import Device


class ReshapeActions:
    """Verbs of LeaseViewSet."""

    get_object: Any
    paginate_queryset: Any
    get_paginated_response: Any

    @extend_schema(request=ShrinkSerializer, responses={201: ReshapeSerializer})
    @action(detail=True, methods=["post"])
    def shrink(self, request: Request, public_id: str) -> Response:
        """Give some GPUs of a running reservation back; their hours return when the node has let go of them."""
        lease, ask = self.get_object(), said_in(request, ShrinkSerializer)
        named = ask.pop("devices")
        devices = get_list_or_404(_had_by(lease), public_id__in=named) if named else []
        return _shown(reshaping.shrink(actor=request.user, lease=lease, devices=devices, **ask))

    @extend_schema(request=SwapSerializer, responses={201: ReshapeSerializer})
    @action(detail=True, methods=["post"])
    def swap(self, request: Request, public_id: str) -> Response:
        """Replace an ill GPU of a running reservation by a healthy one (operators: any, with a reason)."""
        lease, ask = self.get_object(), said_in(request, SwapSerializer)
        device = get_object_or_404(_had_by(lease), public_id=ask.pop("device"))
        return _shown(reshaping.swap_device(actor=request.user, lease=lease, device=device, **ask))

    @extend_schema(responses=ReshapeSerializer(many=True))
    @action(detail=True, filterset_class=None)
    def reshapes(self, request: Request, public_id: str) -> Response:
        """The changes of its GPUs, the newest first: how far each has come."""
        page = self.paginate_queryset(_with_devices(Reshape.objects.filter(lease=self.get_object())))
        return self.get_paginated_response(ReshapeSerializer(page, many=True).data)


def _had_by(lease: Lease) -> Any:
    return Device.objects.filter(placements__lease=lease).distinct()


def _with_devices(rows: Any) -> Any:
    return rows.select_related("asked_by").prefetch_related("leaving__device", "coming__device")


def _shown(reshape: Reshape) -> Response:
    row = _with_devices(Reshape.objects).get(pk=reshape.pk)
    return Response(ReshapeSerializer(row).data, status=status.HTTP_201_CREATED)
