"""The API skin over what was made of a reservation, and its corrections."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from allocations.serializers.usage import CorrectionSerializer, CorrectUsageSerializer, UsageDaySerializer
from allocations.services.usage.correcting import correct
from cluster.api import said_in
from cluster.models import Device


class UsageActions:
    """Of LeaseViewSet."""

    get_object: Any
    paginate_queryset: Any
    get_paginated_response: Any

    @extend_schema(responses=UsageDaySerializer(many=True))
    @action(detail=True, filterset_class=None, url_path="usage-days")
    def usage_days(self, request: Request, public_id: str) -> Response:
        """What was decided, day by day (of the site's zone), the newest first."""
        page = self.paginate_queryset(self.get_object().usage_days.order_by("-day"))
        return self.get_paginated_response(UsageDaySerializer(page, many=True).data)

    @extend_schema(responses=CorrectionSerializer(many=True))
    @action(detail=True, filterset_class=None, url_path="usage-corrections")
    def usage_corrections(self, request: Request, public_id: str) -> Response:
        """Decided minutes that turned out to be something else, the newest first, each with its reason."""
        rows = self.get_object().usage_corrections.select_related("lease", "device").order_by("-id")
        return self.get_paginated_response(CorrectionSerializer(self.paginate_queryset(rows), many=True).data)

    @extend_schema(request=CorrectUsageSerializer, responses={201: CorrectionSerializer(many=True)})
    @action(detail=True, methods=["post"], url_path="correct-usage")
    def correct_usage(self, request: Request, public_id: str) -> Response:
        """Say what decided minutes were, with a reason; officers and operators only."""
        lease, ask = self.get_object(), said_in(request, CorrectUsageSerializer)
        named = ask.pop("device")
        held = Device.objects.filter(placements__lease=lease).distinct()
        device = get_object_or_404(held, public_id=named) if named else None
        made = correct(actor=request.user, lease=lease, device=device, **ask)
        return Response(CorrectionSerializer(made, many=True).data, status=status.HTTP_201_CREATED)
