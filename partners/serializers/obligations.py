"""What a partner owes, to the API."""

from rest_framework import serializers

from partners.models import Obligation


class ObligationSerializer(serializers.ModelSerializer):
    id = serializers.CharField(source="public_id", read_only=True)
    agreement = serializers.CharField(source="agreement.public_id", read_only=True)

    class Meta:
        model = Obligation
        fields = ("id", "agreement", "kind", "text", "due_on", "done_on", "done_note")
        read_only_fields = fields


class WriteObligationSerializer(serializers.Serializer):
    kind = serializers.ChoiceField(choices=Obligation.Kind.choices)
    text = serializers.CharField(max_length=500)
    due_on = serializers.DateField(allow_null=True, default=None)


class NewObligationSerializer(WriteObligationSerializer):
    agreement = serializers.CharField(max_length=40)


class FulfilSerializer(serializers.Serializer):
    done_on = serializers.DateField()
    note = serializers.CharField(max_length=500, allow_blank=True, default="")
