"""Shapes of what an allocation cost: its ledger, line by line and summed up."""

from typing import Any

from rest_framework import serializers

from allocations.models import LedgerEntry
from allocations.serializers.allocations import HoursField
from common.moments import MomentField


class LedgerEntrySerializer(serializers.ModelSerializer):
    """One signed amount."""

    lease = serializers.CharField(source="lease.public_id", read_only=True, allow_null=True, default=None)
    by = serializers.CharField(read_only=True, help_text="who moved it, in words for people")

    class Meta:
        model = LedgerEntry
        fields: tuple[str, ...] = ("at", "kind", "device_seconds", "weight", "lease", "reason", "actor_label", "by")
        read_only_fields = fields


class StatementLineSerializer(LedgerEntrySerializer):
    """One line of a statement, with what was left after it."""

    proposed_by = serializers.CharField(
        source="adjustment.proposed_by.label", read_only=True, allow_null=True, default=None, help_text="of adjustments"
    )
    balance = serializers.IntegerField(read_only=True, help_text="device-seconds left after it")
    why = serializers.CharField(read_only=True, help_text="the reason in the reader's language")

    class Meta(LedgerEntrySerializer.Meta):
        fields = (*LedgerEntrySerializer.Meta.fields, "why", "proposed_by", "balance")
        read_only_fields = fields


class KindSumSerializer(serializers.Serializer):
    """What the lines of one kind add up to, in device-seconds."""

    kind = serializers.ChoiceField(choices=LedgerEntry.Kind.choices)
    lines = serializers.IntegerField()
    total = serializers.IntegerField()


class StatementSerializer(serializers.Serializer):
    """A period of an allocation: `opening` plus the lines is `closing`, in device-seconds. The lines are paged."""

    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)
    opening = serializers.IntegerField()
    closing = serializers.IntegerField()
    opening_gpu_hours = HoursField(source="opening")
    closing_gpu_hours = HoursField(source="closing")
    sums = KindSumSerializer(many=True)
    count = serializers.IntegerField(read_only=True)
    next = serializers.URLField(read_only=True, allow_null=True)
    previous = serializers.URLField(read_only=True, allow_null=True)
    results = StatementLineSerializer(many=True, read_only=True)


class AskPeriodSerializer(serializers.Serializer):
    """From a moment until (not including) another; left out: from the award on, until now."""

    until = MomentField(required=False)

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python's."""
        fields: dict[str, Any] = super().get_fields()
        fields["from"] = MomentField(source="since", required=False)
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The period does not end before it begins."""
        if "since" in attrs and "until" in attrs and attrs["until"] < attrs["since"]:
            raise serializers.ValidationError({"until": "must not come before from"})
        return attrs
