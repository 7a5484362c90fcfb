"""An ask, to the API."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from proposals.asks import MAX_GPUS, MAX_HOURS, MAX_LINES, MAX_TEAM, AskLine, DraftContent, GivenAnswer, TeamRow
from proposals.lifecycle import PROPOSAL
from proposals.models import Proposal, Question, RequestLine
from proposals.selectors.contents import unanswered
from proposals.serializers.contents import AnswerSerializer, TeamRowSerializer
from proposals.serializers.decisions import DecisionSerializer


class RequestLineSerializer(serializers.ModelSerializer):
    """`id` names the line in an award."""

    gpu_class = serializers.CharField(source="gpu_class.code", read_only=True)

    class Meta:
        model = RequestLine
        fields = ("id", "gpu_class", "gpus", "smallest_gpus", "hours", "window_from", "window_until")
        read_only_fields = fields


class UnansweredSerializer(serializers.ModelSerializer):
    """A question that the call needs answered."""

    question = serializers.CharField(source="public_id", read_only=True)

    class Meta:
        model = Question
        fields = ("question", "kind", "label_ko", "label_en")
        read_only_fields = fields


class ProposalSerializer(serializers.ModelSerializer):
    """Ask and decisions, both kept. `unanswered`: what the call asks for and the list could not say from which the
    proposal was brought in; its partner adds it once it is returned for changes.
    """

    id = serializers.CharField(source="public_id", read_only=True)
    call = serializers.CharField(source="call.public_id", read_only=True)
    organisation = serializers.CharField(source="organisation.public_id", read_only=True)
    agreement = serializers.CharField(source="agreement.public_id", read_only=True)
    state = serializers.ChoiceField(choices=PROPOSAL.choices(), read_only=True)
    lines = RequestLineSerializer(many=True, read_only=True)
    team = TeamRowSerializer(many=True, read_only=True)
    answers = AnswerSerializer(many=True, read_only=True)
    unanswered = serializers.SerializerMethodField()
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
            "revision",
            "reply",
            "lines",
            "team",
            "answers",
            "unanswered",
            "decisions",
        )
        read_only_fields = fields

    @extend_schema_field(UnansweredSerializer(many=True))
    def get_unanswered(self, row: Proposal) -> Any:
        """As the page says it."""
        return UnansweredSerializer(unanswered(row), many=True).data


class GivenAnswerSerializer(serializers.Serializer):
    """`value`: text, number, place of a choice (from 0), yes or no (true, false); null takes the answer away."""

    question = serializers.CharField(max_length=40)
    value = serializers.JSONField(allow_null=True)


class AskLineSerializer(serializers.Serializer):
    """`hours` are hours each; `window_until` is a day that counts."""

    gpu_class = serializers.CharField(max_length=40)
    gpus = serializers.IntegerField(min_value=1, max_value=MAX_GPUS)
    smallest_gpus = serializers.IntegerField(min_value=1, max_value=MAX_GPUS, required=False)
    hours = serializers.IntegerField(min_value=1, max_value=MAX_HOURS)
    window_from = serializers.DateField()
    window_until = serializers.DateField()


class ContentSerializer(serializers.Serializer):
    """What a person types into a proposal; PUT replaces all of it. Team, answers and reply stay where left out."""

    agreement = serializers.CharField(max_length=40)
    title = serializers.CharField(max_length=200)
    purposes = serializers.ListField(
        child=serializers.ChoiceField(choices=Proposal.Purpose.choices), max_length=5, default=list
    )
    plan = serializers.CharField(max_length=20_000, allow_blank=True, default="")
    data = serializers.CharField(max_length=5_000, allow_blank=True, default="")  # type: ignore[assignment]
    lines = AskLineSerializer(many=True, max_length=MAX_LINES, default=list)  # type: ignore[call-arg]
    team = TeamRowSerializer(many=True, max_length=MAX_TEAM, required=False)  # type: ignore[call-arg]
    answers = GivenAnswerSerializer(many=True, max_length=200, required=False)  # type: ignore[call-arg]
    reply = serializers.CharField(max_length=4_000, allow_blank=True, required=False)
    revision = serializers.IntegerField(
        min_value=0, required=False, help_text="of the proposal that you read; 409 where somebody has saved since"
    )


class NewProposalSerializer(ContentSerializer):
    call = serializers.CharField(max_length=40)


def content_from(data: dict[str, Any]) -> DraftContent:
    """A validated body as what the service takes."""
    lines = [AskLine(**{"smallest_gpus": line["gpus"], **line}) for line in data["lines"]]
    team = [TeamRow(**row) for row in data["team"]] if "team" in data else None
    answers = [GivenAnswer(row["question"], _value(row["value"])) for row in data.get("answers", [])]
    return DraftContent(
        data["title"],
        data["purposes"],
        data["plan"],
        data["data"],
        lines,
        team,
        answers if "answers" in data else None,
        data.get("reply"),
    )


def _value(value: Any) -> Any:
    """A number with a fraction as the decimal that was written; what fits no question stays, to be refused by it."""
    return Decimal(repr(value)) if isinstance(value, float) else value
