"""Shapes of weights and adjustments."""

from typing import Any

from rest_framework import serializers

from allocations.books import HEAVIEST
from allocations.models import Adjustment, PoolWeight
from allocations.serializers.allocations import HoursField
from common.moments import MomentField


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
