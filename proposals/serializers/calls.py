"""A call, to the API."""

from typing import Any

from rest_framework import serializers

from cluster.models import Pool
from common.moments import MomentField
from proposals.models import Call
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
