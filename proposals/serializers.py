"""Shapes of the API of calls and proposals."""

from typing import Any

from rest_framework import serializers

from cluster.models import Pool
from common.moments import MomentField
from proposals.asks import MAX_GPUS, MAX_HOURS, MAX_LINES, AskLine, DraftContent
from proposals.lifecycle import PROPOSAL
from proposals.models import AwardLine, Call, Decision, Proposal, RequestLine
from proposals.services.calls import MAX_TEXT, MAX_TITLE


class CallSerializer(serializers.ModelSerializer):
    id = serializers.CharField(source="public_id", read_only=True)
    pools: Any = serializers.SlugRelatedField(slug_field="public_id", many=True, read_only=True)
    is_open = serializers.BooleanField(read_only=True)

    class Meta:
        model = Call
        fields = (
            "id",
            "title_ko",
            "title_en",
            "text_ko",
            "text_en",
            "pools",
            "published_at",
            "closes_at",
            "is_open",
        )
        read_only_fields = fields


class EditCallSerializer(serializers.Serializer):
    """What is left out stays as it is; `closes_at` null: rolling."""

    title_ko = serializers.CharField(max_length=MAX_TITLE, required=False)
    title_en = serializers.CharField(max_length=MAX_TITLE, required=False)
    text_ko = serializers.CharField(max_length=MAX_TEXT, required=False)
    text_en = serializers.CharField(max_length=MAX_TEXT, required=False)
    closes_at = MomentField(required=False, allow_null=True)
    pools: Any = serializers.SlugRelatedField(
        slug_field="public_id", many=True, required=False, queryset=Pool.objects.all()
    )


class RequestLineSerializer(serializers.ModelSerializer):
    """`id` names the line in an award."""

    gpu_class = serializers.CharField(source="gpu_class.code", read_only=True)

    class Meta:
        model = RequestLine
        fields = ("id", "gpu_class", "gpus", "smallest_gpus", "hours", "window_from", "window_until")
        read_only_fields = fields


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

    class Meta:
        model = Decision
        fields = ("kind", "reason", "decided_at", "lines")
        read_only_fields = fields


class ProposalSerializer(serializers.ModelSerializer):
    """Ask and decisions, both kept."""

    id = serializers.CharField(source="public_id", read_only=True)
    call = serializers.CharField(source="call.public_id", read_only=True)
    organisation = serializers.CharField(source="organisation.public_id", read_only=True)
    agreement = serializers.CharField(source="agreement.public_id", read_only=True)
    state = serializers.ChoiceField(choices=PROPOSAL.choices(), read_only=True)
    lines = RequestLineSerializer(many=True, read_only=True)
    decisions = DecisionSerializer(many=True, read_only=True)

    class Meta:
        model = Proposal
        fields = (
            "id",
            "number",
            "call",
            "organisation",
            "agreement",
            "title",
            "purposes",
            "plan",
            "data",
            "state",
            "version",
            "created_at",
            "submitted_at",
            "lines",
            "decisions",
        )
        read_only_fields = fields


class AskLineSerializer(serializers.Serializer):
    """`hours` are hours each; `window_until` is a day that counts."""

    gpu_class = serializers.CharField(max_length=40)
    gpus = serializers.IntegerField(min_value=1, max_value=MAX_GPUS)
    smallest_gpus = serializers.IntegerField(min_value=1, max_value=MAX_GPUS, required=False)
    hours = serializers.IntegerField(min_value=1, max_value=MAX_HOURS)
    window_from = serializers.DateField()
    window_until = serializers.DateField()


class ContentSerializer(serializers.Serializer):
    """What a person types into a proposal; PUT replaces all of it."""

    agreement = serializers.CharField(max_length=40)
    title = serializers.CharField(max_length=200)
    purposes = serializers.ListField(
        child=serializers.ChoiceField(choices=Proposal.Purpose.choices), max_length=5, default=list
    )
    plan = serializers.CharField(max_length=20_000, allow_blank=True, default="")
    data = serializers.CharField(max_length=5_000, allow_blank=True, default="")  # type: ignore[assignment]
    lines = AskLineSerializer(many=True, max_length=MAX_LINES, default=list)  # type: ignore[call-arg]


class NewProposalSerializer(ContentSerializer):
    call = serializers.CharField(max_length=40)


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


def content_from(data: dict[str, Any]) -> DraftContent:
    """A validated body as what the service takes."""
    lines = [AskLine(**{"smallest_gpus": line["gpus"], **line}) for line in data["lines"]]
    return DraftContent(data["title"], data["purposes"], data["plan"], data["data"], lines)
