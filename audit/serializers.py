"""Shape of one audit event."""

from rest_framework import serializers

from audit.models import AuditEvent


class AuditEventSerializer(serializers.ModelSerializer):
    """`position` and `digest` are null until the event is sealed, seconds after it was written."""

    position = serializers.IntegerField(source="seal.position", default=None, read_only=True, allow_null=True)
    digest = serializers.CharField(source="seal.digest", default=None, read_only=True, allow_null=True)

    class Meta:
        model = AuditEvent
        fields = (
            "id",
            "at",
            "actor_id",
            "actor_label",
            "verb",
            "target_type",
            "target_id",
            "changes",
            "position",
            "digest",
        )
        read_only_fields = fields
