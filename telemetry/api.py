"""Measurements by device, for the agency."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.models import Device
from telemetry.selectors import latest
from telemetry.serializers import SampleSerializer


class LatestSampleViewSet(viewsets.ViewSet):
    """The newest sample of one device; partners see theirs under the lease."""

    lookup_field = "public_id"
    lookup_value_regex = "[a-z0-9-]+"

    @extend_schema(operation_id="sample_latest", responses=SampleSerializer)
    def retrieve(self, request: Request, public_id: str) -> Response:
        """404 where nothing was ever measured or the device is not yours to see."""
        device: Any = Device.objects.visible_to(request.user).filter(public_id=public_id).first()
        sample = latest([device.pk]).get(device.pk) if device else None
        if sample is None:
            raise NotFound
        return Response(SampleSerializer(sample).data)
