"""The API skin of weights and adjustments: the same verbs as the pages."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from allocations.books import HEAVIEST
from allocations.filters import AdjustmentFilter, WeightFilter
from allocations.models import Adjustment, Allocation, PoolWeight
from allocations.serializers import HoursField
from allocations.services import adjusting, weighing
from cluster.models import Pool
from common.api import ReadViewSet
from common.moments import MomentField
from common.web import staff_only


class PoolWeightSerializer(serializers.ModelSerializer[PoolWeight]):
    """From a moment on a second of a GPU of the pool counts `weight` per mille; before the first one 1000."""

    id = serializers.CharField(source="public_id", read_only=True)
    pool = serializers.CharField(source="pool.public_id", read_only=True)
    pool_name = serializers.CharField(source="pool.name", read_only=True)

    class Meta:
        model = PoolWeight
        fields = ("id", "pool", "pool_name", "weight", "valid_from", "announced_at", "withdrawn_at", "reason")
        read_only_fields = fields


class AnnounceWeightSerializer(serializers.Serializer[Any]):
    """A new weight."""

    pool = serializers.CharField(max_length=60, help_text="id of the pool")
    weight = serializers.IntegerField(min_value=1, max_value=HEAVIEST, help_text="per mille")
    valid_from = MomentField()
    reason = serializers.CharField(max_length=200)


class AdjustmentSerializer(serializers.ModelSerializer[Adjustment]):
    """Device-seconds that one officer proposed to add or take and another one decided on."""

    id = serializers.CharField(source="public_id", read_only=True)
    allocation = serializers.CharField(source="allocation.public_id", read_only=True)
    gpu_hours = HoursField(source="device_seconds", read_only=True)
    proposed_by = serializers.CharField(source="proposed_by.public_id", read_only=True)
    decided_by = serializers.CharField(source="decided_by.public_id", read_only=True, allow_null=True, default=None)

    class Meta:
        model = Adjustment
        fields = (
            "id",
            "allocation",
            "device_seconds",
            "gpu_hours",
            "reason",
            "state",
            "proposed_by",
            "proposed_at",
            "decided_by",
            "decided_at",
            "answer",
        )
        read_only_fields = fields


class ProposeSerializer(serializers.Serializer[Any]):
    """What is to be added (or, negative, taken)."""

    allocation = serializers.CharField(max_length=40, help_text="id of the allocation")
    device_seconds = serializers.IntegerField(min_value=-(10**15), max_value=10**15)
    reason = serializers.CharField(max_length=200)


class WhySerializer(serializers.Serializer[Any]):
    """Why."""

    reason = serializers.CharField(max_length=200)


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
