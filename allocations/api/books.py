"""The API skin of weights and adjustments: the same verbs as the pages."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from allocations.filters import AdjustmentFilter, WeightFilter
from allocations.models import Adjustment, Allocation, PoolWeight
from allocations.serializers.books import (
    AdjustmentSerializer,
    AnnounceWeightSerializer,
    PoolWeightSerializer,
    ProposeSerializer,
    WhySerializer,
)
from allocations.services import adjusting, weighing
from cluster.models import Pool
from common.api import ReadViewSet
from common.web import staff_only


def _said(serializer_class: Any, request: Request) -> dict[str, Any]:
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    data: dict[str, Any] = serializer.validated_data
    return data


class PoolWeightViewSet(ReadViewSet):
    """What a second of a GPU counts on each pool, and from when."""

    queryset = PoolWeight.objects.select_related("pool")
    serializer_class = PoolWeightSerializer
    filterset_class = WeightFilter

    @extend_schema(request=AnnounceWeightSerializer, responses={201: PoolWeightSerializer})
    def create(self, request: Request) -> Response:
        """Announce a weight from a moment that is not in the past. Officers only."""
        ask = _said(AnnounceWeightSerializer, request)
        ask["pool"] = get_object_or_404(Pool.objects.visible_to(request.user), public_id=ask["pool"])
        made = weighing.announce(actor=request.user, **ask)
        return Response(PoolWeightSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=WhySerializer, responses=PoolWeightSerializer)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, public_id: str) -> Response:
        """Take it back before it begins. Officers only."""
        staff_only(request.user)
        weight, ask = self.get_object(), _said(WhySerializer, request)
        made = weighing.withdraw(actor=request.user, weight=weight, **ask)
        return Response(PoolWeightSerializer(made).data)


@extend_schema_view(
    confirm=extend_schema(request=None, responses=AdjustmentSerializer),
    withdraw=extend_schema(request=None, responses=AdjustmentSerializer),
)
class AdjustmentViewSet(ReadViewSet):
    """Corrections of balances, for the agency. Partners find what was confirmed on their statement."""

    queryset = Adjustment.objects.select_related("allocation", "proposed_by", "decided_by")
    serializer_class = AdjustmentSerializer
    filterset_class = AdjustmentFilter

    @extend_schema(request=ProposeSerializer, responses={201: AdjustmentSerializer})
    def create(self, request: Request) -> Response:
        """Propose one; nothing moves until another officer confirms it."""
        ask = _said(ProposeSerializer, request)
        mine = Allocation.objects.visible_to(request.user)
        ask["allocation"] = get_object_or_404(mine, public_id=ask["allocation"])
        made = adjusting.propose(actor=request.user, **ask)
        return Response(AdjustmentSerializer(made).data, status=status.HTTP_201_CREATED)

    @action(detail=True, methods=["post"])
    def confirm(self, request: Request, public_id: str) -> Response:
        """The second person says yes; it is in the ledger then."""
        made = adjusting.confirm(actor=request.user, adjustment=self.get_object())
        return Response(AdjustmentSerializer(made).data)

    @extend_schema(request=WhySerializer, responses=AdjustmentSerializer)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, public_id: str) -> Response:
        """The second person says no."""
        adjustment, ask = self.get_object(), _said(WhySerializer, request)
        made = adjusting.reject(actor=request.user, adjustment=adjustment, **ask)
        return Response(AdjustmentSerializer(made).data)

    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, public_id: str) -> Response:
        """Whoever proposed it takes it back."""
        made = adjusting.withdraw(actor=request.user, adjustment=self.get_object())
        return Response(AdjustmentSerializer(made).data)
