"""Shapes of measurements."""

from typing import Any

from rest_framework import serializers

from telemetry.models import LatestSample


class SampleSerializer(serializers.ModelSerializer):
    """What NVML said of one device at one moment; null is a gap."""

    sm_active_percent = serializers.FloatField(allow_null=True, read_only=True)
    tensor_active_percent = serializers.FloatField(allow_null=True, read_only=True)

    class Meta:
        model = LatestSample
        fields = (
            "at",
            "utilisation_percent",
            "sm_active_percent",
            "tensor_active_percent",
            "memory_used_mib",
            "power_watts",
            "energy_mj",
            "temperature_c",
            "process_count",
        )
        read_only_fields = fields


class AsSaidField(serializers.Field):
    """Whatever was said: who reads it judges it, so that a bad word of the machine loses no sample."""

    def to_internal_value(self, data: Any) -> Any:
        """As it came."""
        return data


class BatchSerializer(serializers.Serializer):
    """One delivery of a node. Single samples are judged one by one: a bad one never loses the others."""

    boot_id = serializers.CharField(max_length=64)
    sequence = serializers.IntegerField(min_value=0, max_value=2**63 - 2)  # the database writes the end of a range
    samples = serializers.ListField(max_length=10_000)
    host = AsSaidField(required=False, allow_null=True)


class IngestedSerializer(serializers.Serializer):
    """What became of it."""

    accepted = serializers.IntegerField()
    repeated = serializers.BooleanField()
    unknown_devices = serializers.IntegerField()
    bad_times = serializers.IntegerField()
    malformed = serializers.IntegerField()
    bad_values = serializers.IntegerField()


class LineSerializer(serializers.Serializer):
    """One line of a chart; a null is a gap."""

    name = serializers.CharField()
    points = serializers.ListField(help_text="[[milliseconds since 1970, value or null]]")


class MarkSerializer(serializers.Serializer):
    """Something that happened."""

    at = serializers.IntegerField(help_text="milliseconds since 1970")
    kind = serializers.ChoiceField(choices=["xid", "handover", "driver", "maintenance", "other"])
    label = serializers.CharField()  # type: ignore[assignment]  # a field of this name


class ChartSerializer(serializers.Serializer):
    """A chart: at most 720 steps a line; `notes` say where it is something else than was asked for."""

    unit = serializers.CharField()
    start = serializers.IntegerField(required=False, help_text="milliseconds since 1970")
    end = serializers.IntegerField(required=False, help_text="milliseconds since 1970")
    step_seconds = serializers.IntegerField(required=False)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # a field of this name
        choices=["samples", "minutes", "hours", "days"], required=False
    )
    summed = serializers.BooleanField(required=False, help_text="points are sums over a step, not means")
    notes = serializers.ListField(child=serializers.CharField())
    series = LineSerializer(many=True)
    events = MarkSerializer(many=True)


class ProcessSerializer(serializers.Serializer):
    """A process on a device; name and login are empty where the node may not read them."""

    device = serializers.CharField(source="device.public_id")
    pid = serializers.IntegerField()
    name = serializers.CharField()
    user = serializers.CharField()
    memory_mib = serializers.IntegerField(allow_null=True)
