"""Shapes of the API of organisations and agreements."""

from rest_framework import serializers

from partners.lifecycle import AGREEMENT
from partners.models import Agreement, Membership, Organisation
from partners.services.agreements import MAX_GPU_SECONDS, MAX_GPUS


class OrganisationSerializer(serializers.ModelSerializer):
    id = serializers.CharField(source="public_id", read_only=True)

    class Meta:
        model = Organisation
        fields = ("id", "kind", "name_ko", "name_en", "registration_number", "created_at")
        read_only_fields = ("kind", "created_at")


class RegisterOrganisationSerializer(serializers.Serializer):
    name_ko = serializers.CharField(max_length=120)
    name_en = serializers.CharField(max_length=120)
    registration_number = serializers.CharField(max_length=20)


class EditOrganisationSerializer(serializers.Serializer):
    """What is left out stays as it is."""

    name_ko = serializers.CharField(max_length=120, required=False)
    name_en = serializers.CharField(max_length=120, required=False)
    registration_number = serializers.CharField(max_length=20, required=False)


class MemberSerializer(serializers.ModelSerializer):
    user = serializers.CharField(source="user.public_id", read_only=True)
    name = serializers.CharField(source="user.name", read_only=True)
    email = serializers.EmailField(source="user.email", read_only=True)

    class Meta:
        model = Membership
        fields = ("user", "name", "email", "role", "joined_at")


class InviteSerializer(serializers.Serializer):
    email = serializers.EmailField(max_length=254)
    role = serializers.ChoiceField(choices=Membership.Role.choices)


class InvitationSerializer(serializers.Serializer):
    id = serializers.CharField(source="public_id", read_only=True)
    email = serializers.EmailField(read_only=True)
    role = serializers.CharField(read_only=True)
    expires_at = serializers.DateTimeField(read_only=True)


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
