"""Shapes of the rules of booking and of blackouts."""

from typing import Any

from rest_framework import serializers

from allocations.models import Blackout
from allocations.rulebook import RULES
from allocations.selectors.rulebooks import booked_in
from allocations.services.rule_setting import LIMITS
from cluster.models import Pool
from cluster.serializers import ReasonSerializer
from common.moments import MomentField


class RuleSerializer(serializers.Serializer[Any]):
    """A rule in force: its value (null: no limit), whose it is, and the rule in words where it says something."""

    rule = serializers.ChoiceField(choices=RULES)
    value = serializers.IntegerField(allow_null=True)
    scope = serializers.ChoiceField(choices=["house", "pool", "agreement", "allocation"])
    text = serializers.CharField()
    whose = serializers.CharField()


class ClosureSerializer(serializers.Serializer[Any]):
    """A coming blackout."""

    starts_at = serializers.DateTimeField(source="start")
    ends_at = serializers.DateTimeField(source="end")
    reason_ko = serializers.CharField()
    reason_en = serializers.CharField()


class RulebookSerializer(serializers.Serializer[Any]):
    """Every rule in force for an allocation, and the coming blackouts of its pool."""

    rules = RuleSerializer(many=True)
    blackouts = ClosureSerializer(many=True)


def _values() -> dict[str, serializers.IntegerField]:
    return {
        name: serializers.IntegerField(
            allow_null=True, default=None, required=False, min_value=LIMITS[name][0], max_value=LIMITS[name][1]
        )
        for name in RULES
    }


class SetRulesSerializer(ReasonSerializer):
    """What a subject says from now on, whole: null, or left out, is not said here."""

    version = serializers.IntegerField(min_value=0, help_text="the version that was read; 0 for the first rules")

    def get_fields(self) -> dict[str, Any]:
        """One field a rule."""
        return {**super().get_fields(), **_values()}


class BookingRulesSerializer(serializers.Serializer[Any]):
    """What a subject says for itself, and what holds where it says nothing (null: no limit)."""

    scope = serializers.CharField()
    subject = serializers.CharField(source="subject.public_id")
    version = serializers.IntegerField()
    rules = serializers.DictField(child=serializers.IntegerField(allow_null=True), help_text="null: not said here")
    inherited = serializers.DictField(child=serializers.IntegerField(allow_null=True), help_text="null: no limit")


class BlackoutSerializer(serializers.ModelSerializer[Blackout]):
    """When nothing may be booked, and why."""

    id = serializers.CharField(source="public_id", read_only=True)
    pool = serializers.CharField(source="pool.public_id", allow_null=True, default=None, help_text="null: every pool")

    class Meta:
        model = Blackout
        fields = ("id", "pool", "starts_at", "ends_at", "reason_ko", "reason_en", "cancelled_at")
        read_only_fields = fields


class AnnouncedBlackoutSerializer(BlackoutSerializer):
    """A blackout and the reservations that lie in it, which stay."""

    leases = serializers.SerializerMethodField()

    class Meta(BlackoutSerializer.Meta):
        fields = (*BlackoutSerializer.Meta.fields, "leases")  # type: ignore[assignment]

    def get_leases(self, blackout: Blackout) -> list[str]:
        """Ids."""
        return list(booked_in(blackout).values_list("public_id", flat=True))


class AnnounceBlackoutSerializer(serializers.Serializer[Any]):
    """When, where and why nothing may be booked."""

    pool = serializers.SlugRelatedField(
        slug_field="public_id", queryset=Pool.objects.all(), allow_null=True, default=None, help_text="null: every pool"
    )
    starts_at = MomentField()
    ends_at = MomentField()
    reason_ko = serializers.CharField(max_length=200)
    reason_en = serializers.CharField(max_length=200)
