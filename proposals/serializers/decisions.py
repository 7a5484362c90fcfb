"""An answer, to the API."""

from rest_framework import serializers

from common.moments import MomentField
from proposals.asks import MAX_GPUS, MAX_HOURS, MAX_LINES
from proposals.models import AwardLine, Decision


class AwardLineSerializer(serializers.ModelSerializer):
    pool = serializers.CharField(source="pool.public_id", read_only=True)
    request_line = serializers.IntegerField(source="request_id", read_only=True)

    class Meta:
        model = AwardLine
        fields = (
            "request_line",
            "pool",
            "gpus",
            "guaranteed_gpus",
            "gpu_seconds",
            "window_from",
            "window_until",
            "allocation_ref",
        )
        read_only_fields = fields


class DecisionSerializer(serializers.ModelSerializer):
    lines = AwardLineSerializer(many=True, read_only=True)
    letter = serializers.CharField(source="letter.public_id", read_only=True, allow_null=True, default=None)

    class Meta:
        model = Decision
        fields = ("kind", "reason", "decided_at", "answer_by", "letter", "lines")
        read_only_fields = fields


class GivenLineSerializer(serializers.Serializer):
    """`request_line`: its id; the window's end is exclusive; `gpu_seconds` are device-seconds."""

    request_line = serializers.IntegerField(min_value=1)
    pool = serializers.CharField(max_length=40)
    gpus = serializers.IntegerField(min_value=1, max_value=MAX_GPUS)
    guaranteed_gpus = serializers.IntegerField(
        min_value=0,
        max_value=MAX_GPUS,
        required=False,
        help_text="absent: what it needs on average, as far as it is free; none in a pool of whole nodes",
    )
    gpu_seconds = serializers.IntegerField(min_value=1, max_value=MAX_GPUS * MAX_HOURS * 3600)
    window_from = MomentField()
    window_until = MomentField()


class AwardSerializer(serializers.Serializer):
    """A line that is not named gets nothing."""

    lines = GivenLineSerializer(many=True, max_length=MAX_LINES)  # type: ignore[call-arg]
    reason = serializers.CharField(max_length=4_000, allow_blank=True, default="")
