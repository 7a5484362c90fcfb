"""Shape of one notice."""

from rest_framework import serializers

from notifications.models import Notification


class NotificationSerializer(serializers.ModelSerializer):
    id = serializers.CharField(source="public_id", read_only=True)

    class Meta:
        model = Notification
        fields = ("id", "event", "subject", "body", "url", "created_at", "read_at")
        read_only_fields = fields
