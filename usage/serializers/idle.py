"""Shapes of rules about idle GPUs and of the cases under them."""

from typing import Any

from rest_framework import serializers

from allocations.serializers.allocations import HoursField
from usage.models import CaseDevice, CaseStep, IdleCase, IdleRule
from usage.models.idle_rules import VALUES
from usage.rule_words import precedence, sentences
from usage.selectors.tryouts import MOST_DAYS
from usage.services.answering import LONGEST_EXEMPTION_DAYS
from usage.services.case_steps import SAID
from usage.services.idle_rules import LIMITS


class IdleRuleSerializer(serializers.ModelSerializer[IdleRule]):
    """One version of a subject's rule. `tried`: what it would have done, as it was tried out last."""

    id = serializers.CharField(source="public_id", read_only=True)
    scope = serializers.ChoiceField(choices=["house", "pool", "agreement"], read_only=True)
    pool = serializers.CharField(source="pool.public_id", read_only=True, allow_null=True, default=None)
    agreement = serializers.CharField(source="agreement.public_id", read_only=True, allow_null=True, default=None)
    text = serializers.SerializerMethodField(help_text="the rule in words, one sentence each")
    tried = serializers.JSONField(
        read_only=True,
        allow_null=True,
        help_text="`left_out`: reservations of these days for which a narrower rule is on; they are in no other figure",
    )
    made_by = serializers.CharField(source="made_by.name", read_only=True)
    on_by = serializers.CharField(source="on_by.name", read_only=True, allow_null=True, default=None)
    off_by = serializers.CharField(source="off_by.name", read_only=True, allow_null=True, default=None)

    class Meta:
        model = IdleRule
        fields = (
            "id",
            "scope",
            "pool",
            "agreement",
            "version",
            "state",
            *VALUES,
            "text",
            "tried",
            "tried_at",
            "reason",
            "made_by",
            "made_at",
            "on_reason",
            "on_by",
            "on_at",
            "off_reason",
            "off_by",
            "off_at",
        )
        read_only_fields = fields

    def get_text(self, rule: IdleRule) -> list[str]:
        """In the reader's language; the last one says what goes before it, if anything may."""
        return [*sentences(rule), *precedence(rule)]


def _value(name: str) -> serializers.Field:  # type: ignore[type-arg]
    field: Any = IdleRule._meta.get_field(name)
    if name in LIMITS:
        least, most = LIMITS[name]
        return serializers.IntegerField(default=field.default, min_value=least, max_value=most)
    if name == "follows":
        return serializers.ChoiceField(choices=IdleRule.Follows.choices, default=field.default)
    return serializers.BooleanField(default=field.default)


class _RuleValues(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=300)

    def get_fields(self) -> dict[str, Any]:
        """One field a value; what is left out has the house's."""
        return {**super().get_fields(), **{name: _value(name) for name in VALUES}}


class DraftIdleRuleSerializer(_RuleValues):
    """A new version; neither pool nor agreement: the house's."""

    pool = serializers.CharField(max_length=40, required=False, allow_null=True, default=None)
    agreement = serializers.CharField(max_length=40, required=False, allow_null=True, default=None)


class ChangeIdleRuleSerializer(_RuleValues):
    """All values of a draft."""


class TryOutSerializer(serializers.Serializer[Any]):
    """How far back."""

    days = serializers.IntegerField(min_value=1, max_value=MOST_DAYS, default=30)


class CaseReasonSerializer(serializers.Serializer[Any]):
    """Why."""

    reason = serializers.CharField(max_length=300)


class CaseDeviceSerializer(serializers.ModelSerializer[CaseDevice]):
    """A GPU of a case, with its seconds of the evidence window."""

    device = serializers.CharField(source="device.public_id", read_only=True)

    class Meta:
        model = CaseDevice
        fields = ("device", "idle_seconds", "measured_seconds", "used_again_at")
        read_only_fields = fields


class CaseStepSerializer(serializers.ModelSerializer[CaseStep]):
    """What happened, when, and who said what; by nobody: the portal."""

    by = serializers.CharField(source="by.name", read_only=True, allow_null=True, default=None)

    class Meta:
        model = CaseStep
        fields = ("kind", "at", "by", "text")
        read_only_fields = fields


class IdleCaseSerializer(serializers.ModelSerializer[IdleCase]):
    """A course about a reservation whose GPUs stand idle, or that breaks what was agreed."""

    id = serializers.CharField(source="public_id", read_only=True)
    lease = serializers.CharField(source="lease.public_id", read_only=True)
    rule = serializers.CharField(source="rule.public_id", read_only=True, allow_null=True, default=None)
    idle_gpu_hours = HoursField(source="idle_seconds", read_only=True)
    back_gpu_hours = HoursField(source="back_seconds", read_only=True)
    returned_gpu_hours = HoursField(source="returned_seconds", read_only=True)
    devices = CaseDeviceSerializer(many=True, read_only=True)
    steps = CaseStepSerializer(many=True, read_only=True)

    class Meta:
        model = IdleCase
        fields = (
            "id",
            "kind",
            "state",
            "lease",
            "rule",
            "whole",
            "window_start",
            "window_end",
            "idle_gpu_hours",
            "back_gpu_hours",
            "returned_gpu_hours",
            "reason",
            "basis",
            "detected_at",
            "noticed_at",
            "due_at",
            "appealed_at",
            "exempt_until",
            "ended_at",
            "obstacle",
            "devices",
            "steps",
        )
        read_only_fields = fields


class SaySerializer(serializers.Serializer[Any]):
    """What a member says."""

    text = serializers.CharField(max_length=SAID)


class AppealCaseSerializer(serializers.Serializer[Any]):
    """Why nothing should be taken."""

    reason = serializers.CharField(max_length=SAID)


class DismissCaseSerializer(serializers.Serializer[Any]):
    """The officer's answer."""

    answer = serializers.CharField(max_length=SAID)


class UpholdCaseSerializer(DismissCaseSerializer):
    """The same, and for how long the reservation is left alone."""

    days = serializers.IntegerField(min_value=0, max_value=LONGEST_EXEMPTION_DAYS, default=0)


class StopCaseSerializer(serializers.Serializer[Any]):
    """Why, and for how long the reservation is left alone."""

    reason = serializers.CharField(max_length=SAID)
    days = serializers.IntegerField(min_value=0, max_value=LONGEST_EXEMPTION_DAYS, default=0)


class CarryOutSerializer(serializers.Serializer[Any]):
    """A note that the members read."""

    reason = serializers.CharField(max_length=SAID, required=False, allow_blank=True, default="")


class OpenBreachSerializer(serializers.Serializer[Any]):
    """A breach that ends a running reservation. `grace_seconds` 0: at once, for a danger to others only."""

    lease = serializers.CharField(max_length=40, help_text="id of the reservation")
    kind = serializers.ChoiceField(choices=IdleCase.Kind.choices[1:])
    reason = serializers.CharField(max_length=300)
    basis = serializers.CharField(max_length=200)
    grace_seconds = serializers.IntegerField(min_value=0, max_value=10**9, default=0)


class IdleNowSerializer(serializers.Serializer[Any]):
    """GPUs of a running reservation on which nothing has run for an hour, and what comes back for them."""

    devices = serializers.ListField(child=serializers.CharField(max_length=40))
    whole = serializers.BooleanField()
    back_gpu_hours = HoursField(source="back_seconds")


class GiveBackIdleSerializer(serializers.Serializer[Any]):
    """Which of them; none: all that are idle."""

    devices = serializers.ListField(child=serializers.CharField(max_length=40), max_length=1000, default=list)
