"""An organisation, to the API."""

from typing import Any

from rest_framework import serializers

from partners.models import Membership, Organisation
from partners.services.agreements import MAX_GPU_SECONDS, MAX_GPUS


class OrganisationSerializer(serializers.ModelSerializer):
    id = serializers.CharField(source="public_id", read_only=True)

    class Meta:
        model = Organisation
        fields = (
            "id",
            "kind",
            "name_ko",
            "name_en",
            "registration_number",
            "size",
            "region",
            "founded_on",
            "revision",
            "created_at",
        )
        read_only_fields = ("kind", "created_at")


class RegisterOrganisationSerializer(serializers.Serializer):
    name_ko = serializers.CharField(max_length=120)
    name_en = serializers.CharField(max_length=120)
    registration_number = serializers.CharField(max_length=20)
    size = serializers.ChoiceField(choices=Organisation.Size.choices, allow_blank=True, default="")
    region = serializers.ChoiceField(choices=Organisation.Region.choices, allow_blank=True, default="")
    founded_on = serializers.DateField(allow_null=True, default=None)


class EditOrganisationSerializer(serializers.Serializer):
    """What is left out stays as it is. With `revision`, 409 where somebody has saved since."""

    name_ko = serializers.CharField(max_length=120, required=False)
    name_en = serializers.CharField(max_length=120, required=False)
    registration_number = serializers.CharField(max_length=20, required=False)
    size = serializers.ChoiceField(choices=Organisation.Size.choices, allow_blank=True, required=False)
    region = serializers.ChoiceField(choices=Organisation.Region.choices, allow_blank=True, required=False)
    founded_on = serializers.DateField(allow_null=True, required=False)
    revision = serializers.IntegerField(min_value=1, max_value=2**31 - 1, required=False)


class MemberSerializer(serializers.ModelSerializer):
    user = serializers.CharField(source="user.public_id", read_only=True)
    name = serializers.CharField(source="user.name", read_only=True)
    email = serializers.EmailField(source="user.email", read_only=True)
    department = serializers.CharField(source="department.public_id", read_only=True, default=None, allow_null=True)

    class Meta:
        model = Membership
        fields = ("user", "name", "email", "role", "department", "joined_at")


class InviteSerializer(serializers.Serializer):
    email = serializers.EmailField(max_length=254)
    role = serializers.ChoiceField(choices=Membership.Role.choices)


class InvitationSerializer(serializers.Serializer):
    id = serializers.CharField(source="public_id", read_only=True)
    email = serializers.EmailField(read_only=True)
    role = serializers.CharField(read_only=True)
    expires_at = serializers.DateTimeField(read_only=True)


class WishSerializer(serializers.Serializer):
    """`gpu_seconds` are device-seconds of all of it; `last` is a day that counts; `pool` is a public id."""

    doing = serializers.ChoiceField(choices=["propose", "award", "book", "extend"])
    first = serializers.DateField()
    last = serializers.DateField()
    gpus = serializers.IntegerField(min_value=0, max_value=MAX_GPUS, default=0)
    gpu_seconds = serializers.IntegerField(min_value=0, max_value=MAX_GPU_SECONDS, default=0)
    gpu_class = serializers.CharField(max_length=40, allow_blank=True, default="")
    pool = serializers.CharField(max_length=40, allow_blank=True, default="")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["last"] < attrs["first"]:
            raise serializers.ValidationError({"last": "before first"})
        return attrs


class PolicyAnswerSerializer(serializers.Serializer):
    """`reason` says why not, `allowed_instead` what would be; `facts` are the figures of the rule `code`."""

    allowed = serializers.BooleanField(read_only=True)
    reason = serializers.CharField(read_only=True)
    allowed_instead = serializers.CharField(read_only=True)
    code = serializers.CharField(read_only=True)
    agreement = serializers.CharField(source="agreement.public_id", read_only=True, default=None, allow_null=True)
    facts = serializers.DictField(read_only=True)


class MoveSerializer(serializers.Serializer):
    """`department` is a public id; null: none."""

    user = serializers.CharField(max_length=40)
    department = serializers.CharField(max_length=40, allow_null=True)


class MemberRoleSerializer(serializers.Serializer):
    user = serializers.CharField(max_length=40)
    role = serializers.ChoiceField(choices=Membership.Role.choices)


class PersonSerializer(serializers.Serializer):
    user = serializers.CharField(max_length=40)
