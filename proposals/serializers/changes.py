"""Changes to what was awarded, to the API."""

from typing import Any

from rest_framework import serializers

from common.moments import MomentField
from proposals.models import ChangeRequest
from proposals.services.change_checks import MOST_GPU_SECONDS


class AwardChangeSerializer(serializers.ModelSerializer[ChangeRequest]):
    """What is asked, and the allocation before and after."""

    id = serializers.CharField(source="public_id", read_only=True)
    allocation = serializers.CharField(source="allocation.public_id", read_only=True)
    pool = serializers.CharField(source="pool.public_id", read_only=True, allow_null=True, default=None)
    lead = serializers.CharField(source="lead.public_id", read_only=True, allow_null=True, default=None)

    class Meta:
        model = ChangeRequest
        fields = (
            "id",
            "allocation",
            "kind",
            "gpu_seconds",
            "valid_until",
            "pool",
            "lead",
            "reason",
            "state",
            "asked_at",
            "decided_at",
            "answer",
            "before",
            "after",
            "result_ref",
        )
        read_only_fields = fields


class AskAwardChangeSerializer(serializers.Serializer[Any]):
    """Of `gpu_seconds` (device-seconds more), `valid_until` (exclusive), `pool`, `lead` the one that `kind` names."""

    allocation = serializers.CharField(max_length=40)
    kind = serializers.ChoiceField(choices=ChangeRequest.Kind.choices)
    gpu_seconds = serializers.IntegerField(min_value=1, max_value=MOST_GPU_SECONDS, required=False)
    valid_until = MomentField(required=False)
    pool = serializers.CharField(max_length=60, required=False)
    lead = serializers.CharField(max_length=40, required=False)
    reason = serializers.CharField(max_length=4_000)
