"""Shapes of what changes in the GPUs of a running reservation."""

from typing import Any

from rest_framework import serializers

from allocations.models import Reshape


class ShrinkSerializer(serializers.Serializer):
    """Which GPUs to give back, or how many; the portal chooses them then."""

    devices = serializers.ListField(
        child=serializers.CharField(max_length=40),
        required=False,
        default=list,
        max_length=10_000,
        help_text="ids of devices of the reservation",
    )
    device_count = serializers.IntegerField(min_value=0, max_value=100_000, required=False, default=0)
    reason = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)


class SwapSerializer(serializers.Serializer):
    """Which GPU to replace, and why."""

    device = serializers.CharField(max_length=40, help_text="id of a device of the reservation")
    reason = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)


class ReshapeSerializer(serializers.ModelSerializer):
    """A change of the GPUs of a running reservation, and how far it has come."""

    id = serializers.CharField(source="public_id", read_only=True)
    leaving = serializers.SerializerMethodField(help_text="ids of devices")
    coming = serializers.SerializerMethodField(help_text="ids of devices, those that did not pass their check included")
    asked_by = serializers.CharField(source="asked_by.public_id", read_only=True, allow_null=True, default=None)
    returned_device_seconds = serializers.IntegerField(source="returned_seconds", read_only=True)

    class Meta:
        model = Reshape
        fields = (
            "id",
            "kind",
            "state",
            "reason",
            "leaving",
            "coming",
            "asked_by",
            "asked_at",
            "access_gone_at",
            "ended_at",
            "returned_device_seconds",
        )
        read_only_fields = fields

    def get_leaving(self, reshape: Reshape) -> list[str]:
        """In order of node and index."""
        return _ids(reshape.leaving.all())

    def get_coming(self, reshape: Reshape) -> list[str]:
        """In the order in which they were tried."""
        return _ids(reshape.coming.all())


def _ids(rows: Any) -> list[str]:
    return [row.device.public_id for row in sorted(rows, key=lambda row: row.pk)]
