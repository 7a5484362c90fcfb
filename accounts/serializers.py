"""Shapes of the API of one's own account and of the agency's people."""

from django.conf import settings
from rest_framework import serializers

from accounts.models import AgencyRole, ApiToken, SshKey, User, check_time_zone


class ProfileSerializer(serializers.ModelSerializer):
    id = serializers.CharField(source="public_id", read_only=True)
    language = serializers.ChoiceField(choices=settings.LANGUAGES)
    time_zone = serializers.CharField(max_length=60, validators=[check_time_zone])
    roles = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ("id", "email", "name", "language", "time_zone", "roles")
        read_only_fields = ("email",)

    def get_roles(self, user: User) -> list[str]:
        """Roles in the agency, in alphabetical order."""
        return sorted(user.agency_roles)


class SshKeySerializer(serializers.ModelSerializer):
    id = serializers.CharField(source="public_id", read_only=True)

    class Meta:
        model = SshKey
        fields = ("id", "name", "public_key", "fingerprint", "created_at")
        read_only_fields = ("fingerprint", "created_at")


class ApiTokenSerializer(serializers.ModelSerializer):
    """`prefix` are the first letters of the secret; the secret itself is kept nowhere."""

    id = serializers.CharField(source="public_id", read_only=True)
    prefix = serializers.CharField(source="token_key", read_only=True)

    class Meta:
        model = ApiToken
        fields = ("id", "name", "prefix", "created", "expiry")
        read_only_fields = fields


class PersonSerializer(serializers.ModelSerializer):
    id = serializers.CharField(source="public_id", read_only=True)
    roles = serializers.SerializerMethodField()
    second_factor = serializers.BooleanField(source="has_totp", read_only=True)

    class Meta:
        model = User
        fields = ("id", "email", "name", "roles", "second_factor", "last_login")
        read_only_fields = fields

    def get_roles(self, user: User) -> list[str]:
        """Roles in the agency, in alphabetical order."""
        return str(user.role_list).split(",")  # type: ignore[attr-defined]


class RoleSerializer(serializers.Serializer):
    role = serializers.ChoiceField(choices=AgencyRole.choices)


class RoleGrantSerializer(RoleSerializer):
    email = serializers.EmailField(max_length=254)
