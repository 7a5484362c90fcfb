"""Shapes of what is free, and of who has what when."""

from datetime import timedelta
from typing import Any

from rest_framework import serializers

from allocations.selectors.offers import LONGEST_SPAN, Slot, Wish
from allocations.serializers.booking import ShapeSerializer
from common.moments import MomentField
from partners.serializers import PolicyAnswerSerializer


class AskWindowSerializer(ShapeSerializer):
    """A question about free GPUs."""

    pool = serializers.CharField(max_length=60, help_text="id or name of the pool")
    gpus = serializers.IntegerField(min_value=1, max_value=100_000, default=1)
    until = MomentField()

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python's."""
        fields: dict[str, Any] = super().get_fields()
        fields["from"] = MomentField(source="since")
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The window has a length."""
        if attrs["until"] <= attrs["since"]:
            raise serializers.ValidationError({"until": "must come after from"})
        return super().validate(attrs)


class AskCalendarSerializer(serializers.Serializer):
    """Which pool, when, and what a row is."""

    pool = serializers.CharField(max_length=60, help_text="id or name of the pool")
    until = MomentField()
    rows = serializers.ChoiceField(choices=["devices", "nodes"], default="devices")

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python's."""
        fields: dict[str, Any] = super().get_fields()
        fields["from"] = MomentField(source="since")
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The window has a length, and not an endless one."""
        if not timedelta() < attrs["until"] - attrs["since"] <= LONGEST_SPAN:
            raise serializers.ValidationError({"until": "must come after from, by 400 days at most"})
        return attrs


class StretchSerializer(serializers.Serializer):
    """Part of a row that is taken. `lease` and `organisation` are empty where they are not the reader's business."""

    kind = serializers.ChoiceField(choices=["own", "taken", "cleaning", "kept", "promised", "maintenance", "out"])
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    taken = serializers.IntegerField(help_text="devices of the row")
    lease = serializers.CharField()
    organisation = serializers.CharField()
    open = serializers.BooleanField(help_text="nobody knows the end yet")


class RowSerializer(serializers.Serializer):
    """A device, or a node with all of its devices, cut to the window."""

    node = serializers.CharField()
    index = serializers.IntegerField(allow_null=True, help_text="null for a node")
    name = serializers.CharField()
    profile = serializers.CharField(help_text="of a MIG instance; empty for GPUs")
    devices = serializers.IntegerField()
    stretches = StretchSerializer(many=True)


class AskSlotSerializer(ShapeSerializer):
    """What somebody is after."""

    allocation = serializers.CharField(max_length=40, required=False, help_text="id; else all of the GPU class")
    gpu_class = serializers.CharField(max_length=40, required=False, help_text="code; else all of one's allocations")
    gpus = serializers.IntegerField(min_value=1, max_value=10_000, default=1)
    smallest = serializers.IntegerField(min_value=1, max_value=10_000, required=False, help_text="fewest that help")
    duration_seconds = serializers.IntegerField(min_value=600, max_value=400 * 86_400)
    until = MomentField()
    late = serializers.BooleanField(default=False, help_text="the last window that is done in time, not the first")

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python's."""
        fields: dict[str, Any] = super().get_fields()
        fields["from"] = MomentField(source="since")
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """`wish` is what offers are found for."""
        attrs = super().validate(attrs)
        smallest, duration = attrs.get("smallest", attrs["gpus"]), timedelta(seconds=attrs["duration_seconds"])
        if smallest > attrs["gpus"]:
            raise serializers.ValidationError({"smallest": "cannot be more than gpus"})
        if attrs["until"] - attrs["since"] < duration:
            raise serializers.ValidationError({"until": "leaves less time than duration_seconds"})
        if attrs["until"] - attrs["since"] > LONGEST_SPAN:
            raise serializers.ValidationError({"until": "lies more than 400 days after from"})
        span = (attrs["since"], attrs["until"])
        kind = {"shape": attrs["shape"], "late": attrs["late"], "profile": attrs["profile"]}
        return attrs | {"wish": Wish(attrs["gpus"], smallest, duration, *span, **kind)}


class ShareSerializer(serializers.Serializer):
    """What a slot takes of one node."""

    node = serializers.CharField()
    taken = serializers.IntegerField()
    free = serializers.IntegerField()
    size = serializers.IntegerField()


class SlotSerializer(serializers.Serializer):
    """A window that would pass every rule now."""

    allocation = serializers.CharField(source="allocation.public_id")
    pool = serializers.CharField(source="allocation.pool.name")
    device_count = serializers.IntegerField(source="count")
    profile = serializers.CharField()
    shape = serializers.CharField(source="shape.kind")
    shape_nodes = serializers.IntegerField(source="shape.nodes")
    starts_at = serializers.DateTimeField(source="start")
    ends_at = serializers.DateTimeField(source="end")
    hold_device_seconds = serializers.IntegerField(source="hold_seconds")
    left_device_seconds = serializers.IntegerField(source="left_seconds")
    delay_seconds = serializers.SerializerMethodField()
    fewer = serializers.IntegerField(help_text="devices that it falls short of the wish")
    nodes = ShareSerializer(source="shares", many=True)

    def get_delay_seconds(self, slot: Slot) -> int:
        """How far from the wished end of the time."""
        return int(slot.delay.total_seconds())


class WindowSerializer(serializers.Serializer):
    """A window."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()


class AvailabilitySerializer(serializers.Serializer):
    """A pool in a window, and the next window in which so many GPUs are free for as long."""

    devices = serializers.IntegerField()
    bookable = serializers.IntegerField()
    booked_peak = serializers.IntegerField()
    free = serializers.IntegerField()
    promised = serializers.IntegerField()
    profiles = serializers.ListField(child=serializers.CharField(), help_text="MIG profiles that the pool has")
    next_window = WindowSerializer(allow_null=True)
    refused = PolicyAnswerSerializer(allow_null=True, help_text="why the asker could not reserve the asked window")


class FeedSerializer(serializers.Serializer):
    """The link of a calendar feed, told once."""

    url = serializers.URLField()
