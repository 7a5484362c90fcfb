"""Shapes of allocations. Hours are GPU-hours as decimal text; seconds are device-seconds."""

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from allocations.models import Allocation
from common.quantities import seconds_to_hours


class HoursField(serializers.Field):
    """Device-seconds shown as GPU-hours with two digits."""

    def to_representation(self, value: int) -> str:
        return str(seconds_to_hours(value))


HoursField = extend_schema_field(serializers.DecimalField(max_digits=20, decimal_places=2))(HoursField)  # type: ignore[misc]


class AllocationSerializer(serializers.ModelSerializer):
    """An award on one pool: what was asked and what was awarded."""

    id = serializers.CharField(source="public_id", read_only=True)
    project = serializers.CharField(source="project.public_id", read_only=True)
    project_title = serializers.CharField(source="project.title", read_only=True)
    pool = serializers.CharField(source="pool.public_id", read_only=True)
    pool_name = serializers.CharField(source="pool.name", read_only=True)
    gpu_class = serializers.CharField(source="pool.gpu_class.code", read_only=True)
    asked_gpu_hours = HoursField(source="asked_gpu_seconds", read_only=True)
    awarded_gpu_hours = HoursField(source="awarded_gpu_seconds", read_only=True)
    held_back_gpu_hours = HoursField(
        source="held_back_gpu_seconds", read_only=True, help_text="of what is awarded, until a progress report"
    )

    class Meta:
        model = Allocation
        fields = (
            "id",
            "project",
            "project_title",
            "pool",
            "pool_name",
            "gpu_class",
            "asked_gpu_hours",
            "asked_concurrent_gpus",
            "awarded_gpu_hours",
            "held_back_gpu_hours",
            "concurrent_gpus",
            "guaranteed_gpus",
            "valid_from",
            "valid_until",
            "priority",
            "state",
            "created_at",
        )
        read_only_fields = fields


class BalanceSerializer(serializers.Serializer):
    """The sums of the ledger, in device-seconds, and what is left in hours. `awarded`: what is granted so far, without
    `held_back_gpu_hours` of the allocation.
    """

    awarded = serializers.IntegerField()
    held = serializers.IntegerField()
    charged = serializers.IntegerField()
    returned = serializers.IntegerField()
    credited = serializers.IntegerField()
    adjusted = serializers.IntegerField()
    expired = serializers.IntegerField()
    left = serializers.IntegerField()
    left_gpu_hours = HoursField(source="left")


class BalancePointSerializer(serializers.Serializer):
    """What was left at a moment, in device-seconds."""

    at = serializers.DateTimeField()
    left = serializers.IntegerField()


class ForecastSerializer(serializers.Serializer):
    """Device-seconds booked or used a day lately, and where that leads: it runs out, or some of it stays unused."""

    pace_seconds_a_day = serializers.IntegerField()
    over_days = serializers.IntegerField()
    runs_out_at = serializers.DateTimeField(allow_null=True)
    unused_seconds = serializers.IntegerField(allow_null=True)
    points = BalancePointSerializer(many=True)


class ShortfallSerializer(serializers.Serializer):
    """A stretch in which `missing` of the `guaranteed` GPUs are out of service and nothing else is free for them."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField(help_text="as things stand now")
    guaranteed = serializers.IntegerField(source="envelope.gpus")
    missing = serializers.IntegerField(source="gpus")
