"""Shapes of the operators' verbs and of what they meet."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from allocations.services.planning import PLANS
from cluster.models import MaintenanceWindow
from cluster.serializers import DeviceSerializer, NodeSerializer, ReasonSerializer
from common.moments import MomentField


class DrainSerializer(ReasonSerializer):
    """Why, and what becomes of reservations that are hit: id to `move` or `end`; the others go on."""

    plan = serializers.DictField(child=serializers.ChoiceField(choices=list(PLANS)), default=dict)


class PlanSerializer(DrainSerializer):
    """As above; with `force` the plan must name every reservation that is hit."""

    force = serializers.BooleanField(default=False)


class MaintainSerializer(PlanSerializer):
    """`until`: when the work should be over; null when nobody knows."""

    until = MomentField(required=False, allow_null=True, default=None)


class SendBackSerializer(PlanSerializer):
    """`ticket`: the number under which the vendor knows it."""

    ticket = serializers.CharField(max_length=60)


class PartitionSerializer(PlanSerializer):
    """`instances`: the MIG profile of each instance; empty: the GPU is whole again."""

    instances = serializers.ListField(child=serializers.CharField(max_length=40), max_length=7)


class AnnounceSerializer(PlanSerializer):
    """A window on a node."""

    node = serializers.SlugField(max_length=60, help_text="public id of the node")
    starts_at = MomentField()
    ends_at = MomentField()


class HitSerializer(serializers.Serializer[Any]):
    """A reservation that a verb met, as it was before."""

    lease = serializers.CharField()
    state = serializers.CharField()
    organisation = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    devices = serializers.ListField(child=serializers.CharField())


class OperatedNodeSerializer(NodeSerializer):
    """A node after a verb, and the reservations that it met."""

    hit = serializers.SerializerMethodField()

    class Meta(NodeSerializer.Meta):
        fields: tuple[str, ...] = (*NodeSerializer.Meta.fields, "hit")  # type: ignore[assignment]

    @extend_schema_field(HitSerializer(many=True))
    def get_hit(self, _row: Any) -> list[dict[str, Any]]:
        return [promise.facts for promise in self.context.get("hit", [])]


class OperatedDeviceSerializer(DeviceSerializer):
    """A device after a verb, and the reservations that it met."""

    hit = serializers.SerializerMethodField()

    class Meta(DeviceSerializer.Meta):
        fields: tuple[str, ...] = (*DeviceSerializer.Meta.fields, "hit")  # type: ignore[assignment]

    @extend_schema_field(HitSerializer(many=True))
    def get_hit(self, _row: Any) -> list[dict[str, Any]]:
        return [promise.facts for promise in self.context.get("hit", [])]


class MaintenanceWindowSerializer(serializers.ModelSerializer[MaintenanceWindow]):
    """Announced work on a node."""

    node = serializers.CharField(source="node.name")
    hit = serializers.SerializerMethodField()

    class Meta:
        model = MaintenanceWindow
        fields = ("public_id", "node", "starts_at", "ends_at", "reason", "announced_by", "cancelled_at", "hit")

    @extend_schema_field(HitSerializer(many=True))
    def get_hit(self, _row: Any) -> list[dict[str, Any]]:
        return [promise.facts for promise in self.context.get("hit", [])]
