"""An organisation, to the API."""

from rest_framework import serializers

from partners.models import Membership, Organisation


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
