"""An organisation's profile, to the API."""

from decimal import Decimal

from rest_framework import serializers

from partners.models import Contact, Department, Relation, Shareholder


class _OfOrganisation(serializers.ModelSerializer):
    id = serializers.CharField(source="public_id", read_only=True)
    organisation = serializers.CharField(source="organisation.public_id", read_only=True)


class ShareholderSerializer(_OfOrganisation):
    """`percent` of the shares as text; `holder` is the organisation that is registered under the number."""

    holder = serializers.CharField(source="holder.public_id", read_only=True, default=None, allow_null=True)

    class Meta:
        model = Shareholder
        fields = ("id", "organisation", "name", "percent", "registration_number", "holder")
        read_only_fields = fields


class WriteShareholderSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=120)
    percent = serializers.DecimalField(
        max_digits=5, decimal_places=2, min_value=Decimal("0.01"), max_value=Decimal(100)
    )
    registration_number = serializers.CharField(max_length=20, allow_blank=True, default="")


class RelationSerializer(_OfOrganisation):
    """`organisation` is the `kind` of `other`."""

    other = serializers.CharField(source="other.public_id", read_only=True)

    class Meta:
        model = Relation
        fields = ("id", "organisation", "kind", "other", "note")
        read_only_fields = fields


class WriteRelationSerializer(serializers.Serializer):
    """`other` is a business registration number."""

    kind = serializers.ChoiceField(choices=[*Relation.Kind.values, "subsidiary"])
    other = serializers.CharField(max_length=20)
    note = serializers.CharField(max_length=200, allow_blank=True, default="")


class ContactSerializer(_OfOrganisation):
    class Meta:
        model = Contact
        fields = ("id", "organisation", "name", "about", "position", "email", "phone")
        read_only_fields = fields


class WriteContactSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=120)
    about = serializers.ChoiceField(choices=Contact.About.choices, default=Contact.About.GENERAL)
    position = serializers.CharField(max_length=120, allow_blank=True, default="")
    email = serializers.EmailField(max_length=254, allow_blank=True, default="")
    phone = serializers.CharField(max_length=30, allow_blank=True, default="")


class DepartmentSerializer(_OfOrganisation):
    class Meta:
        model = Department
        fields = ("id", "organisation", "name_ko", "name_en")
        read_only_fields = fields


class WriteDepartmentSerializer(serializers.Serializer):
    name_ko = serializers.CharField(max_length=120)
    name_en = serializers.CharField(max_length=120, allow_blank=True, default="")


class NewShareholderSerializer(WriteShareholderSerializer):
    organisation = serializers.CharField(max_length=40)


class NewRelationSerializer(WriteRelationSerializer):
    organisation = serializers.CharField(max_length=40)


class NewContactSerializer(WriteContactSerializer):
    organisation = serializers.CharField(max_length=40)


class NewDepartmentSerializer(WriteDepartmentSerializer):
    organisation = serializers.CharField(max_length=40)
