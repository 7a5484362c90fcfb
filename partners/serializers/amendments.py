"""An amendment, to the API."""

from rest_framework import serializers

from partners.lifecycle import AMENDMENT
from partners.models import Amendment
from partners.serializers.agreements import SignatureSerializer, TermsSerializer


class AmendmentSerializer(serializers.ModelSerializer):
    """`changes`: {term: [before, after]}; `version` is the agreement's, once the amendment is in force."""

    id = serializers.CharField(source="public_id", read_only=True)
    agreement = serializers.CharField(source="agreement.public_id", read_only=True)
    state = serializers.ChoiceField(choices=AMENDMENT.choices(), read_only=True)
    signatures = SignatureSerializer(source="live_signatures", many=True, read_only=True)

    class Meta:
        model = Amendment
        fields = (
            "id",
            "agreement",
            "number",
            "state",
            "reason",
            "changes",
            "effective_from",
            "version",
            "held_reason",
            "document_name",
            "document_sha256",
            "signatures",
        )
        read_only_fields = fields


class DraftAmendmentSerializer(TermsSerializer):
    """The whole of the terms as they are to be."""

    agreement = serializers.CharField(max_length=40)
    reason = serializers.CharField(max_length=4_000)
    effective_from = serializers.DateField()
