"""An ask, to the API."""

from typing import Any

from rest_framework import serializers

from proposals.asks import MAX_GPUS, MAX_HOURS, MAX_LINES, AskLine, DraftContent
from proposals.lifecycle import PROPOSAL
from proposals.models import Proposal, RequestLine
from proposals.serializers.decisions import DecisionSerializer


class RequestLineSerializer(serializers.ModelSerializer):
    """`id` names the line in an award."""

    gpu_class = serializers.CharField(source="gpu_class.code", read_only=True)

    class Meta:
        model = RequestLine
        fields = ("id", "gpu_class", "gpus", "smallest_gpus", "hours", "window_from", "window_until")
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


def content_from(data: dict[str, Any]) -> DraftContent:
    """A validated body as what the service takes."""
    lines = [AskLine(**{"smallest_gpus": line["gpus"], **line}) for line in data["lines"]]
    return DraftContent(data["title"], data["purposes"], data["plan"], data["data"], lines)
