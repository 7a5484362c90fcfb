"""Shapes of measurements."""

from typing import Any

from rest_framework import serializers

from telemetry.models import LatestSample

BOOT_ID_LENGTH = 64
LAST_SEQUENCE = 2**63 - 2  # the database writes the end of a range
MOST_SAMPLES = 10_000


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


def delivery(said: Any) -> dict[str, Any]:
    """One delivery of a node: `boot_id`, `sequence`, `samples` and, once a minute, `host`; ValidationError otherwise.

    By hand, because a serializer takes longer than writing the rows. What samples and machine say is judged one by one
    by who reads it, so that a bad word never loses the others.
    """
    if not isinstance(said, dict):
        raise serializers.ValidationError({"non_field_errors": ["A delivery is an object."]})
    boot_id, sequence, samples = said.get("boot_id"), said.get("sequence"), said.get("samples")
    wrong: dict[str, list[str]] = {}
    if not isinstance(boot_id, str) or not 0 < len(boot_id) <= BOOT_ID_LENGTH or not boot_id.isprintable():
        wrong["boot_id"] = [f"Must be 1 to {BOOT_ID_LENGTH} printable characters."]
    if isinstance(sequence, bool) or not isinstance(sequence, int) or not 0 <= sequence <= LAST_SEQUENCE:
        wrong["sequence"] = [f"Must be a whole number from 0 to {LAST_SEQUENCE}."]
    if not isinstance(samples, list) or len(samples) > MOST_SAMPLES:
        wrong["samples"] = [f"Must be a list of at most {MOST_SAMPLES} samples."]
    if wrong:
        raise serializers.ValidationError(wrong)
    return {"boot_id": boot_id, "sequence": sequence, "samples": samples, "host": said.get("host")}


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
