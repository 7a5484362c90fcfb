"""Shapes of the wait-list."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from allocations.models import WaitEntry
from allocations.serializers.availability import AskSlotSerializer


class PlaceSerializer(serializers.Serializer):
    """Where an entry stands among those that wait for its pool."""

    place = serializers.IntegerField()
    of = serializers.IntegerField()


class WaitEntrySerializer(serializers.ModelSerializer):
    """An ask that waits. `place` is null unless it waits; `lease` is the latest offer."""

    id = serializers.CharField(source="public_id", read_only=True)
    allocation = serializers.CharField(source="allocation.public_id", read_only=True)
    project = serializers.CharField(source="allocation.project.public_id", read_only=True)
    pool = serializers.CharField(source="allocation.pool.name", read_only=True)
    priority = serializers.IntegerField(source="allocation.priority", read_only=True)
    asked_by = serializers.CharField(source="asked_by.public_id", read_only=True)
    lease = serializers.CharField(source="lease.public_id", read_only=True, allow_null=True, default=None)
    offer_until = serializers.DateTimeField(source="lease.offer_until", read_only=True, allow_null=True, default=None)
    last_served_at = serializers.DateTimeField(read_only=True, allow_null=True, default=None)
    place = serializers.SerializerMethodField()

    class Meta:
        model = WaitEntry
        fields = (
            "id",
            "allocation",
            "project",
            "pool",
            "asked_by",
            "device_count",
            "profile",
            "smallest",
            "duration_seconds",
            "earliest_at",
            "latest_at",
            "shape",
            "shape_nodes",
            "note",
            "state",
            "state_reason",
            "place",
            "obstacle",
            "missed",
            "priority",
            "last_served_at",
            "passed_over",
            "joined_at",
            "lease",
            "offer_until",
            "served_at",
            "over_at",
        )
        read_only_fields = fields

    @extend_schema_field(PlaceSerializer(allow_null=True))
    def get_place(self, entry: WaitEntry) -> Any:
        """Out of the places of all pools that are shown."""
        place = self.context["places"].get(entry.pk)
        return PlaceSerializer(place).data if place else None


class JoinSerializer(AskSlotSerializer):
    """What somebody waits for: the ask for slots, of one award. It stands as it is."""

    allocation = serializers.CharField(max_length=40, help_text="id of the allocation")
    note = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)

    def get_fields(self) -> dict[str, Any]:
        """Of one award, and the first window that fits."""
        fields = super().get_fields()
        del fields["gpu_class"], fields["late"]
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """`wish` is what is waited for."""
        return super().validate(attrs | {"late": False})


class DeclineSerializer(serializers.Serializer):
    """Stay on the list, at the end of the queue, or leave it."""

    stay = serializers.BooleanField(default=True)


class RemoveSerializer(serializers.Serializer):
    """Why; the partner reads it."""

    reason = serializers.CharField(max_length=300)


class PrioritySerializer(serializers.Serializer):
    """Higher is served first; from -100 to 100."""

    priority = serializers.IntegerField(min_value=-100, max_value=100)
    reason = serializers.CharField(max_length=200)


class HoldSerializer(serializers.Serializer):
    """How long offers are held, and why."""

    seconds = serializers.IntegerField(min_value=1, max_value=10_000_000)
    reason = serializers.CharField(max_length=200)


class QueueRowSerializer(serializers.Serializer):
    """One that waits, as others may see it."""

    place = serializers.IntegerField()
    device_count = serializers.IntegerField()
    profile = serializers.CharField(help_text="MIG instances of it; empty: whole GPUs")
    smallest = serializers.IntegerField()
    duration_seconds = serializers.IntegerField()
    own = serializers.BooleanField()


class QueueSerializer(serializers.Serializer):
    """Who waits for a pool, in the published order; `more` are not listed."""

    pool = serializers.CharField(source="pool.name")
    offer_hold_seconds = serializers.IntegerField(source="pool.offer_hold_seconds")
    waiting = QueueRowSerializer(source="rows", many=True)
    more = serializers.IntegerField()
