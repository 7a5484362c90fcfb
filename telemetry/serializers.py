"""Shapes of measurements."""

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


class BatchSerializer(serializers.Serializer):
    """One delivery of a node. Single samples are judged one by one: a bad one never loses the others."""

    boot_id = serializers.CharField(max_length=64)
    sequence = serializers.IntegerField(min_value=0, max_value=2**63 - 1)
    samples = serializers.ListField(child=serializers.JSONField(), max_length=10_000)


class IngestedSerializer(serializers.Serializer):
    """What became of it."""

    accepted = serializers.IntegerField()
    repeated = serializers.BooleanField()
    unknown_devices = serializers.IntegerField()
    bad_times = serializers.IntegerField()
    malformed = serializers.IntegerField()
    bad_values = serializers.IntegerField()
