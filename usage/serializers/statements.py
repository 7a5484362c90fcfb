"""Shapes of monthly statements and of sums of use."""

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from allocations.serializers.usage import UsageSumsSerializer
from usage.models import Statement


@extend_schema_serializer(component_name="MonthlyStatement")  # an allocation has a statement, too
class MonthlyStatementSerializer(serializers.ModelSerializer[Statement]):
    """A closed month of an organisation. Sums are seconds of whole GPUs."""

    id = serializers.CharField(source="public_id", read_only=True)
    organisation = serializers.CharField(source="organisation.public_id", read_only=True)

    class Meta:
        model = Statement
        fields: tuple[str, ...] = (
            "id",
            "number",
            "organisation",
            "month",
            "held_seconds",
            "used_seconds",
            "idle_seconds",
            "sha256",
            "previous_sha256",
            "signature",
            "public_key",
            "closed_at",
        )
        read_only_fields = fields


@extend_schema_serializer(component_name="WholeMonthlyStatement")
class WholeStatementSerializer(MonthlyStatementSerializer):
    """With the document that was signed: `text` are the very bytes (UTF-8) of the SHA-256, and of the
    signature after its purpose and a zero byte."""

    document = serializers.DictField(read_only=True)
    text = serializers.CharField(read_only=True)

    class Meta(MonthlyStatementSerializer.Meta):
        fields = (*MonthlyStatementSerializer.Meta.fields, "document", "text")
        read_only_fields = fields


class UsageRowSerializer(UsageSumsSerializer):
    """The use of one project, allocation, reservation, person, pool, class or organisation."""

    id = serializers.CharField(source="sums_of", help_text="public id, or the code of a GPU class")
    name = serializers.CharField()


class UsageAnswerSerializer(serializers.Serializer):
    """Sums in a time, taken to the hour, of what is decided."""

    since = serializers.DateField()
    until = serializers.DateField(help_text="included")
    decided_until = serializers.DateTimeField(allow_null=True, help_text="later hours are not in the sums")
    total = UsageSumsSerializer()
    rows = UsageRowSerializer(many=True)
