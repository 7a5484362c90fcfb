"""An agreement, to the API."""

from rest_framework import serializers

from partners.lifecycle import AGREEMENT
from partners.models import Agreement
from partners.services.agreements import MAX_GPU_SECONDS, MAX_GPUS


class AgreementSerializer(serializers.ModelSerializer):
    """`valid_until` is a day that counts; `ceiling_gpu_seconds` are device-seconds."""

    id = serializers.CharField(source="public_id", read_only=True)
    organisation = serializers.CharField(source="organisation.public_id", read_only=True)
    state = serializers.ChoiceField(choices=AGREEMENT.choices(), read_only=True)

    class Meta:
        model = Agreement
        fields = (
            "id",
            "organisation",
            "number",
            "title",
            "signed_on",
            "valid_from",
            "valid_until",
            "agency_signatory",
            "partner_signatory",
            "cooperation",
            "ceiling_gpu_seconds",
            "ceiling_concurrent_gpus",
            "gpu_classes",
            "document_name",
            "document_sha256",
            "state",
        )
        read_only_fields = fields


class RegisterAgreementSerializer(serializers.Serializer):
    organisation = serializers.CharField(max_length=40)
    number = serializers.CharField(max_length=40)
    title = serializers.CharField(max_length=200)
    signed_on = serializers.DateField()
    valid_from = serializers.DateField()
    valid_until = serializers.DateField()
    agency_signatory = serializers.CharField(max_length=120)
    partner_signatory = serializers.CharField(max_length=120)
    cooperation = serializers.ListField(
        child=serializers.ChoiceField(choices=Agreement.Cooperation.choices), max_length=4, default=list
    )
    ceiling_gpu_seconds = serializers.IntegerField(min_value=1, max_value=MAX_GPU_SECONDS)
    ceiling_concurrent_gpus = serializers.IntegerField(min_value=1, max_value=MAX_GPUS)
    gpu_classes = serializers.ListField(child=serializers.CharField(max_length=40), min_length=1, max_length=50)


class DocumentSerializer(serializers.Serializer):
    document = serializers.FileField(max_length=200, allow_empty_file=True, help_text="the signed agreement, a PDF")


class WrittenReasonSerializer(serializers.Serializer):
    reason = serializers.CharField(max_length=4_000)
