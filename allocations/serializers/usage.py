"""Shapes of what was made of what was lent."""

from typing import Any

from rest_framework import serializers

from allocations.models import UsageCorrection
from allocations.selectors.usage.minutes import LeaseUse
from allocations.usage_classes import UsageClass
from common.moments import MomentField


class UsageFiguresSerializer(serializers.Serializer):
    """Device-seconds of whole GPUs by what was made of them; held is the sum of the other seven."""

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


class UsageSumsSerializer(UsageFiguresSerializer):
    """The same with a share; it is of what was measured, without gaps, faults and maintenance."""

    idle_share = serializers.FloatField(allow_null=True, help_text="0 to 1; null where nothing was measured")


class LeaseUseSerializer(UsageSumsSerializer):
    """The use of a reservation: the sums so far, and how much of them is provisional."""

    provisional_seconds = serializers.IntegerField(help_text="of what is held: hours that are not decided yet")

    def to_representation(self, instance: LeaseUse) -> dict[str, Any]:
        """The total, and what of it may still change."""
        told = UsageSumsSerializer(instance.total).data
        return {**told, "provisional_seconds": instance.provisional.held_seconds}


class UsageDaySerializer(UsageFiguresSerializer):
    """One day (of the site's zone) of a reservation."""

    day = serializers.DateField()


class CorrectUsageSerializer(serializers.Serializer):
    """Which minutes were what, and why."""

    device = serializers.CharField(
        max_length=40, required=False, default="", allow_blank=True, help_text="empty: all of the reservation's"
    )
    starts_at = MomentField()
    ends_at = MomentField()
    to_class = serializers.ChoiceField(choices=UsageClass.choices)
    reason = serializers.CharField(max_length=300)


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
