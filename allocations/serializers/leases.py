"""Shapes of reservations, their evidence and their use."""

from rest_framework import serializers

from allocations.models import Lease
from telemetry.serializers import SampleSerializer


class LeaseSerializer(serializers.ModelSerializer):
    """A reservation and where it stands."""

    id = serializers.CharField(source="public_id", read_only=True)
    allocation = serializers.CharField(source="allocation.public_id", read_only=True)
    project = serializers.CharField(source="allocation.project.public_id", read_only=True)
    pool = serializers.CharField(source="allocation.pool.name", read_only=True)
    booked_by = serializers.CharField(source="booked_by.public_id", read_only=True)

    class Meta:
        model = Lease
        fields = (
            "id",
            "allocation",
            "project",
            "pool",
            "booked_by",
            "device_count",
            "profile",
            "shape",
            "shape_nodes",
            "starts_at",
            "ends_at",
            "offer_until",
            "pending_ends_at",
            "state",
            "state_reason",
            "generation",
            "note",
            "created_at",
            "active_at",
            "drained_at",
            "access_gone_at",
            "ended_at",
            "end_reason",
            "used_seconds",
            "extensions",
            "charged_until",
            "returned_percent",
            "use_noticed_at",
            "no_show_told_at",
            "no_show_due_at",
        )
        read_only_fields = fields


class BillSerializer(serializers.Serializer):
    """Device-seconds charged and given back, by which rules; `charged_until` null: nothing is charged."""

    charged_seconds = serializers.IntegerField()
    back_seconds = serializers.IntegerField()
    charged_until = serializers.DateTimeField(source="closing.charged_until", allow_null=True)
    returned_percent = serializers.IntegerField(source="closing.returned_percent")
    notice_seconds = serializers.IntegerField(source="book.release_notice_seconds.value")
    notice_scope = serializers.CharField(source="book.release_notice_seconds.scope")


class ReclaimSerializer(serializers.Serializer):
    """Why."""

    reason = serializers.CharField(max_length=300)


class CertificateAskSerializer(serializers.Serializer):
    """Which of one's own keys to sign."""

    ssh_key = serializers.CharField(max_length=40, help_text="id of one of your SSH keys")


class CertificateSerializer(serializers.Serializer):
    """A certificate that dies with the reservation."""

    certificate = serializers.CharField()
    key_id = serializers.CharField()
    login = serializers.CharField(source="grant.login")
    principals = serializers.ListField(child=serializers.CharField(), help_text="the logins that it opens")
    valid_before = serializers.DateTimeField()


class MeanSerializer(serializers.Serializer):
    """Averages of one device over a reservation, out of its minutes."""

    utilisation_percent = serializers.FloatField(allow_null=True)
    sm_active_percent = serializers.FloatField(allow_null=True)
    memory_used_mib = serializers.FloatField(allow_null=True)
    power_watts = serializers.FloatField(allow_null=True)
    temperature_c = serializers.FloatField(allow_null=True)


class LeaseDeviceSerializer(serializers.Serializer):
    """One device of a reservation, and what it last said while it was handed over."""

    id = serializers.CharField(source="device.public_id")
    node = serializers.CharField(source="device.node.name")
    index = serializers.IntegerField(source="device.index")
    profile = serializers.CharField(source="device.profile", help_text="of a MIG instance; empty for a whole GPU")
    uuid = serializers.CharField(source="device.uuid")
    state = serializers.CharField(allow_null=True, help_text="null once the device is given back")
    health = serializers.CharField(allow_null=True, help_text="null once the device is given back")
    released = serializers.BooleanField()
    sample = SampleSerializer(allow_null=True, help_text="null while nothing fresh was measured for this reservation")
    last_sample_at = serializers.DateTimeField(source="last_at", allow_null=True)
    mean = MeanSerializer(allow_null=True, help_text="the averages over the whole use, once it is over")


class HandoverSignatureSerializer(serializers.Serializer):
    """Over the canonical JSON of the document: sorted keys, no spaces, UTF-8. Key and value in base64."""

    algorithm = serializers.CharField()
    public_key = serializers.CharField()
    value = serializers.CharField()


class SignedHandoverSerializer(serializers.Serializer):
    """A handover sheet; `manage.py verify_handover FILE` holds it against the signature and the audit log."""

    document = serializers.DictField()
    signature = HandoverSignatureSerializer()
