"""Team, answers, files and versions of a proposal, to the API."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from proposals.models import Answer, Attachment, ProposalVersion, SearchResult
from proposals.selectors import Change
from proposals.selectors.contents import answer_json
from proposals.services.parts import MOST_IN_TEAM


class TeamRowSerializer(serializers.Serializer):
    """Somebody who will work on it."""

    name = serializers.CharField(max_length=MOST_IN_TEAM["name"])
    email = serializers.EmailField(allow_blank=True, default="", max_length=254)
    part = serializers.CharField(max_length=MOST_IN_TEAM["part"])
    experience = serializers.CharField(max_length=MOST_IN_TEAM["experience"], allow_blank=True, default="")


class AnswerSerializer(serializers.ModelSerializer):
    """`value`: text, number as text, choice in both languages, yes or no, or a file with its id."""

    question = serializers.CharField(source="question.public_id", read_only=True)
    kind = serializers.CharField(source="question.kind", read_only=True)
    value = serializers.SerializerMethodField(method_name="value_of")

    class Meta:
        model = Answer
        fields = ("question", "kind", "value")
        read_only_fields = fields

    @extend_schema_field(OpenApiTypes.ANY)
    def value_of(self, row: Answer) -> Any:
        """As a version would keep it."""
        return answer_json(row)["value"]


_SEARCHED = ("search", "names_found", "searched_at")


class AttachmentSerializer(serializers.ModelSerializer):
    """`kind` is what the bytes say. `search` and `names_found` of files in blind calls, for the agency alone."""

    id = serializers.CharField(source="public_id", read_only=True)
    proposal = serializers.CharField(source="proposal.public_id", read_only=True)
    search = serializers.ChoiceField(choices=SearchResult.choices, read_only=True, allow_null=True)

    class Meta:
        model = Attachment
        fields = ("id", "proposal", "name", "kind", "size_bytes", "sha256", "added_at", "removed_at", *_SEARCHED)
        read_only_fields = fields

    def to_representation(self, instance: Attachment) -> dict[str, Any]:
        shown: dict[str, Any] = super().to_representation(instance)
        request = self.context.get("request")
        if not (request and getattr(request.user, "is_agency", False) and instance.proposal.call.blind):
            shown |= {"search": None, "names_found": [], "searched_at": None}
        return shown


class NewAttachmentSerializer(serializers.Serializer):
    """Multipart; `question`: the id of a question of the call that asks for a file."""

    file = serializers.FileField(max_length=200, allow_empty_file=True)
    question = serializers.CharField(max_length=40, required=False)


class SubmissionSerializer(serializers.ModelSerializer):
    """`content` as it was submitted; `sha256` is of its canonical JSON (sorted keys, no spaces, UTF-8)."""

    submitted_by = serializers.CharField(source="submitted_by.name", read_only=True)

    class Meta:
        model = ProposalVersion
        fields = ("version", "submitted_at", "submitted_by", "reply", "sha256", "content")
        read_only_fields = fields


class SpanSerializer(serializers.Serializer):
    """A piece of text that is the same in both, added or removed."""

    op = serializers.ChoiceField(choices=["same", "added", "removed"])
    text = serializers.CharField()


class ChangeSerializer(serializers.Serializer):
    """Something that differs."""

    label = serializers.CharField()  # type: ignore[assignment]
    spans = SpanSerializer(many=True)


class ChangesSerializer(serializers.Serializer):
    """What differs between two submissions, in the caller's language."""

    older = serializers.IntegerField()
    newer = serializers.IntegerField()
    changes = ChangeSerializer(many=True)


class CopySerializer(serializers.Serializer):
    """Into which open call; the agreement stays the same where none is given."""

    call = serializers.CharField(max_length=40)
    agreement = serializers.CharField(max_length=40, required=False)


class CopiedSerializer(serializers.Serializer):
    """The new draft, and what could not come along."""

    id = serializers.CharField()
    left_out = serializers.ListField(child=serializers.CharField())


def changes_json(older: int, newer: int, changes: list[Change]) -> dict[str, Any]:
    """The body of a comparison."""
    rows = [
        {"label": str(change.label), "spans": [{"op": span.op, "text": span.text} for span in change.spans]}
        for change in changes
    ]
    return {"older": older, "newer": newer, "changes": rows}
