"""Shapes of what was made of what was lent."""

from typing import Any

from rest_framework import serializers

from allocations.models import UsageCorrection
from allocations.selectors.usage.minutes import LeaseUse


class UsageSumsSerializer(serializers.Serializer):
    """Device-seconds of whole GPUs by what was made of them; held is the sum of the other seven.

    `idle_share` is of what was measured, without gaps, faults and maintenance; null where nothing was measured.
    """

    held_seconds = serializers.IntegerField()
    used_seconds = serializers.IntegerField()
    idle_seconds = serializers.IntegerField()
    parked_seconds = serializers.IntegerField(help_text="idle with memory filled")
    hung_seconds = serializers.IntegerField(help_text="full load by its own word, without activity")
    no_data_seconds = serializers.IntegerField()
    fault_seconds = serializers.IntegerField(help_text="the provider's fault")
    maintenance_seconds = serializers.IntegerField()
    samples = serializers.IntegerField(help_text="measurements that this rests on")
    energy_j = serializers.IntegerField(help_text="joules, by the devices' counters")
    idle_share = serializers.FloatField(allow_null=True, help_text="0 to 1")


class LeaseUseSerializer(UsageSumsSerializer):
    """The use of a reservation: the sums so far, and how much of them is provisional."""

    provisional_seconds = serializers.IntegerField(help_text="of what is held: hours that are not decided yet")

    def to_representation(self, instance: LeaseUse) -> dict[str, Any]:
        """The total, and what of it may still change."""
        told = UsageSumsSerializer(instance.total).data
        return {**told, "provisional_seconds": instance.provisional.held_seconds}


class CorrectionSerializer(serializers.ModelSerializer):
    """Some minutes of a decided hour that were something else; `to_class` empty: not held."""

    id = serializers.CharField(source="public_id", read_only=True)
    lease = serializers.CharField(source="lease.public_id", read_only=True)
    device = serializers.CharField(source="device.public_id", read_only=True)

    class Meta:
        model = UsageCorrection
        fields = (
            "id",
            "lease",
            "device",
            "hour",
            "first_minute",
            "last_minute",
            "from_class",
            "to_class",
            "seconds",
            "reason",
            "actor_label",
            "at",
        )
        read_only_fields = fields
