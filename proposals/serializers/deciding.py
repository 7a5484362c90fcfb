"""Prepared decisions, their release, letters and appeals, to the API."""

from typing import Any

from rest_framework import serializers

from proposals.asks import MAX_LINES
from proposals.models import DecisionLetter, LetterKind, LetterTemplate, PreparedDecision, PreparedLine
from proposals.serializers.decisions import GivenLineSerializer


class PreparedLineSerializer(serializers.ModelSerializer[PreparedLine]):
    request_line = serializers.IntegerField(source="request_id", read_only=True)
    pool = serializers.CharField(source="pool.public_id", read_only=True)

    class Meta:
        model = PreparedLine
        fields = ("request_line", "pool", "gpus", "guaranteed_gpus", "gpu_seconds", "window_from", "window_until")
        read_only_fields = fields


class PreparedDecisionSerializer(serializers.ModelSerializer[PreparedDecision]):
    """`needs_second`: an award that takes a second officer's approval before it is released."""

    id = serializers.CharField(source="public_id", read_only=True)
    proposal = serializers.CharField(source="proposal.public_id", read_only=True)
    number = serializers.CharField(source="proposal.number", read_only=True)
    gpu_seconds = serializers.IntegerField(read_only=True)
    needs_second = serializers.BooleanField(read_only=True)
    prepared_by = serializers.CharField(source="prepared_by.public_id", read_only=True)
    approved_by = serializers.CharField(source="approved_by.public_id", read_only=True, allow_null=True, default=None)
    lines = PreparedLineSerializer(many=True, read_only=True)

    class Meta:
        model = PreparedDecision
        fields = (
            "id",
            "proposal",
            "number",
            "kind",
            "reason",
            "override_reason",
            "state",
            "version",
            "gpu_seconds",
            "needs_second",
            "prepared_by",
            "prepared_at",
            "approved_by",
            "approved_at",
            "lines",
        )
        read_only_fields = fields


class PrepareSerializer(serializers.Serializer[Any]):
    """`version`: of what is prepared already and is changed by this; 0 where nothing is."""

    proposal = serializers.CharField(max_length=40)
    kind = serializers.ChoiceField(choices=PreparedDecision.Kind.choices)
    lines = GivenLineSerializer(many=True, max_length=MAX_LINES, default=list)  # type: ignore[call-arg]
    reason = serializers.CharField(max_length=4_000, allow_blank=True, default="")
    override_reason = serializers.CharField(max_length=1_000, allow_blank=True, default="")
    version = serializers.IntegerField(min_value=0, max_value=10**8, default=0)


class PrepareDeclinesSerializer(serializers.Serializer[Any]):
    """Proposals to decline with one reason."""

    proposals = serializers.ListField(child=serializers.CharField(max_length=40), min_length=1, max_length=1_000)
    reason = serializers.CharField(max_length=4_000)


class VersionSerializer(serializers.Serializer[Any]):
    """The version that was read."""

    version = serializers.IntegerField(min_value=0, max_value=10**8)


class ReleaseSerializer(serializers.Serializer[Any]):
    """`dry_run`: only say what would come of it; `versions`: by id the one that was looked at, 409 where it changed."""

    versions = serializers.DictField(child=serializers.IntegerField(min_value=0, max_value=2**31 - 1), required=False)
    prepared = serializers.ListField(child=serializers.CharField(max_length=40), min_length=1, max_length=1_000)
    dry_run = serializers.BooleanField(default=False)


class OutcomeSerializer(serializers.Serializer[Any]):
    """`code` and `problem` are empty where it can be, or was, released."""

    id = serializers.CharField()
    proposal = serializers.CharField()
    released = serializers.BooleanField()
    code = serializers.CharField(allow_blank=True)
    problem = serializers.CharField(allow_blank=True)


class PoolSumSerializer(serializers.Serializer[Any]):
    """Device-seconds and GPUs at once; `budget` and `left` null: open."""

    pool = serializers.CharField(source="pool.public_id")
    pool_name = serializers.CharField(source="pool.name")
    budget = serializers.IntegerField(allow_null=True)
    awarded = serializers.IntegerField()
    prepared = serializers.IntegerField()
    left = serializers.IntegerField(allow_null=True)
    devices = serializers.IntegerField()
    ceiling = serializers.IntegerField()
    promised = serializers.IntegerField()
    promised_then = serializers.IntegerField()
    over_bound = serializers.BooleanField()


class LetterSerializer(serializers.ModelSerializer[DecisionLetter]):
    """As it was sent, in both languages."""

    id = serializers.CharField(source="public_id", read_only=True)
    proposal = serializers.CharField(source="proposal.public_id", read_only=True)

    class Meta:
        model = DecisionLetter
        fields = (
            "id",
            "proposal",
            "kind",
            "subject_ko",
            "body_ko",
            "subject_en",
            "body_en",
            "template_version",
            "sent_at",
        )
        read_only_fields = fields


class LetterTextSerializer(serializers.Serializer[Any]):
    """`version` 0: the text that comes with the portal."""

    kind = serializers.ChoiceField(choices=LetterKind.choices, read_only=True)
    version = serializers.IntegerField(min_value=0, max_value=10**8)
    subject_ko = serializers.CharField(max_length=300)
    body_ko = serializers.CharField(max_length=20_000)
    subject_en = serializers.CharField(max_length=300)
    body_en = serializers.CharField(max_length=20_000)

    class Meta:
        model = LetterTemplate
