"""What booking and changing a reservation ask."""

from typing import Any

from rest_framework import serializers

from allocations.models import Lease
from allocations.shapes import Shape
from common.moments import MomentField


class ShapeSerializer(serializers.Serializer):
    """What the devices are, and how they lie together."""

    profile = serializers.CharField(
        max_length=40, default="", allow_blank=True, help_text="MIG instances of this kind; empty: whole GPUs"
    )
    shape = serializers.ChoiceField(choices=Lease.Shape.choices, default=Lease.Shape.ANY)
    shape_nodes = serializers.IntegerField(
        min_value=1, max_value=1_000, default=1, help_text="how many nodes, where the shape is `nodes`"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """`shape` is a Shape afterwards."""
        kind, nodes = attrs.pop("shape"), attrs.pop("shape_nodes")
        return super().validate(attrs) | {"shape": Shape(kind, nodes if kind == "nodes" else 1)}


class BookSerializer(ShapeSerializer):
    """An ask for a window."""

    allocation = serializers.CharField(max_length=40, help_text="id of the allocation")
    device_count = serializers.IntegerField(min_value=1, max_value=100_000)
    smallest = serializers.IntegerField(
        min_value=1,
        max_value=100_000,
        required=False,
        default=None,
        allow_null=True,
        help_text="fewest that help where not all are free; null: only all of them do",
    )
    starts_at = MomentField()
    ends_at = MomentField()
    note = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)


class ChangeSerializer(ShapeSerializer):
    """What a reservation that has not begun is to become."""

    profile = serializers.CharField(
        max_length=40, default=None, allow_null=True, allow_blank=True, help_text="null: as it is"
    )
    device_count = serializers.IntegerField(min_value=1, max_value=100_000)
    starts_at = MomentField()
    ends_at = MomentField()


class ExtendSerializer(serializers.Serializer):
    """The new end."""

    ends_at = MomentField()
