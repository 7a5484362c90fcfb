"""An agreement, to the API."""

from rest_framework import serializers

from partners.lifecycle import AGREEMENT
from partners.models import Agreement, AgreementSignature
from partners.terms import MAX_GPU_SECONDS, MAX_GPUS, MAX_GRACE_DAYS


class SignatureSerializer(serializers.ModelSerializer):
    """Who signed which bytes (`document_sha256`) for which side; `how`: on paper, or in the portal (click)."""

    how = serializers.ChoiceField(source="method", choices=AgreementSignature.Method.choices, read_only=True)

    class Meta:
        model = AgreementSignature
        fields = ("side", "signatory", "signed_on", "how", "document_sha256", "at")
        read_only_fields = fields


class AgreementSerializer(serializers.ModelSerializer):
    """`valid_until` is a day that counts; `ceiling_gpu_seconds` are device-seconds."""

    id = serializers.CharField(source="public_id", read_only=True)
    organisation = serializers.CharField(source="organisation.public_id", read_only=True)
    renews = serializers.CharField(source="renews.public_id", read_only=True, default=None, allow_null=True)
    signatures = SignatureSerializer(source="live_signatures", many=True, read_only=True)
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
            "ceiling_gpu_seconds_a_year",
            "ceiling_concurrent_gpus",
            "gpu_classes",
            "pools",
            "data_rules",
            "credit_line",
            "ending_rule",
            "ending_days",
            "suspension_rule",
            "suspension_days",
            "document_name",
            "document_sha256",
            "state",
            "state_since",
            "state_reason",
            "version",
            "revision",
            "renews",
            "signatures",
        )
        read_only_fields = fields


class TermsSerializer(serializers.Serializer):
    """The terms that an amendment may change, too."""

    title = serializers.CharField(max_length=200)
    valid_until = serializers.DateField()
    cooperation = serializers.ListField(
        child=serializers.ChoiceField(choices=Agreement.Cooperation.choices), max_length=4, default=list
    )
    ceiling_gpu_seconds = serializers.IntegerField(min_value=1, max_value=MAX_GPU_SECONDS)
    ceiling_gpu_seconds_a_year = serializers.IntegerField(
        min_value=1, max_value=MAX_GPU_SECONDS, allow_null=True, default=None
    )
    ceiling_concurrent_gpus = serializers.IntegerField(min_value=1, max_value=MAX_GPUS)
    gpu_classes = serializers.ListField(child=serializers.CharField(max_length=40), min_length=1, max_length=50)
    pools = serializers.ListField(child=serializers.CharField(max_length=40), max_length=200, default=list)
    data_rules = serializers.CharField(max_length=4_000, allow_blank=True, default="")
    credit_line = serializers.CharField(max_length=300, allow_blank=True, default="")
    ending_rule = serializers.ChoiceField(choices=Agreement.RunOut.choices, default=Agreement.RunOut.OWN_END)
    ending_days = serializers.IntegerField(min_value=0, max_value=MAX_GRACE_DAYS, default=0)
    suspension_rule = serializers.ChoiceField(choices=Agreement.RunOut.choices, default=Agreement.RunOut.OWN_END)
    suspension_days = serializers.IntegerField(min_value=0, max_value=MAX_GRACE_DAYS, default=0)


class EditAgreementSerializer(TermsSerializer):
    """All of a draft's terms. With `revision`, 409 where somebody has saved since."""

    number = serializers.CharField(max_length=40)
    signed_on = serializers.DateField(allow_null=True, default=None)
    valid_from = serializers.DateField()
    agency_signatory = serializers.CharField(max_length=120)
    partner_signatory = serializers.CharField(max_length=120)
    revision = serializers.IntegerField(min_value=1, max_value=2**31 - 1, required=False)


class RegisterAgreementSerializer(TermsSerializer):
    """`renews`: the agreement that this draft continues, from the day after its last one."""

    organisation = serializers.CharField(max_length=40)
    renews = serializers.CharField(max_length=40, required=False)
    number = serializers.CharField(max_length=40)
    signed_on = serializers.DateField(allow_null=True, default=None)
    valid_from = serializers.DateField()
    agency_signatory = serializers.CharField(max_length=120)
    partner_signatory = serializers.CharField(max_length=120)


class DocumentSerializer(serializers.Serializer):
    document = serializers.FileField(max_length=200, allow_empty_file=True, help_text="the agreement, a PDF")
    signed_on_paper = serializers.BooleanField(
        default=False, help_text="it bears both signatures, of the named signatories and the named day"
    )


class SignSerializer(serializers.Serializer):
    """`sha256` is what you have read; `code` is one of your second factor."""

    sha256 = serializers.CharField(max_length=64)
    code = serializers.CharField(max_length=20)


class PaperSignatureSerializer(serializers.Serializer):
    side = serializers.ChoiceField(choices=AgreementSignature.Side.choices)
    signatory = serializers.CharField(max_length=120)
    signed_on = serializers.DateField()
    document = serializers.FileField(max_length=200, allow_empty_file=True, required=False)


class WrittenReasonSerializer(serializers.Serializer):
    reason = serializers.CharField(max_length=4_000)
