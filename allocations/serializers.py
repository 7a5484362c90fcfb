"""Shapes of allocations, leases and what they cost. Hours are GPU-hours as decimal text; seconds are device-seconds."""

from datetime import timedelta
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from allocations.models import Allocation, Lease, LedgerEntry
from allocations.selectors.offers import LONGEST_SPAN, Slot, Wish
from allocations.shapes import Shape
from common.moments import MomentField
from common.quantities import seconds_to_hours
from telemetry.serializers import SampleSerializer


class HoursField(serializers.Field):
    """Device-seconds shown as GPU-hours with two digits."""

    def to_representation(self, value: int) -> str:
        return str(seconds_to_hours(value))


HoursField = extend_schema_field(serializers.DecimalField(max_digits=20, decimal_places=2))(HoursField)  # type: ignore[misc]


class AllocationSerializer(serializers.ModelSerializer):
    """An award on one pool: what was asked and what was awarded."""

    id = serializers.CharField(source="public_id", read_only=True)
    project = serializers.CharField(source="project.public_id", read_only=True)
    project_title = serializers.CharField(source="project.title", read_only=True)
    pool = serializers.CharField(source="pool.public_id", read_only=True)
    pool_name = serializers.CharField(source="pool.name", read_only=True)
    gpu_class = serializers.CharField(source="pool.gpu_class.code", read_only=True)
    asked_gpu_hours = HoursField(source="asked_gpu_seconds", read_only=True)
    awarded_gpu_hours = HoursField(source="awarded_gpu_seconds", read_only=True)

    class Meta:
        model = Allocation
        fields = (
            "id",
            "project",
            "project_title",
            "pool",
            "pool_name",
            "gpu_class",
            "asked_gpu_hours",
            "asked_concurrent_gpus",
            "awarded_gpu_hours",
            "concurrent_gpus",
            "guaranteed_gpus",
            "valid_from",
            "valid_until",
            "priority",
            "state",
            "created_at",
        )
        read_only_fields = fields


class BalanceSerializer(serializers.Serializer):
    """The sums of the ledger, in device-seconds, and what is left in hours."""

    awarded = serializers.IntegerField()
    held = serializers.IntegerField()
    charged = serializers.IntegerField()
    returned = serializers.IntegerField()
    credited = serializers.IntegerField()
    adjusted = serializers.IntegerField()
    expired = serializers.IntegerField()
    left = serializers.IntegerField()
    left_gpu_hours = HoursField(source="left")


class BalancePointSerializer(serializers.Serializer):
    """What was left at a moment, in device-seconds."""

    at = serializers.DateTimeField()
    left = serializers.IntegerField()


class ForecastSerializer(serializers.Serializer):
    """Device-seconds booked or used a day lately, and where that leads: it runs out, or some of it stays unused."""

    pace_seconds_a_day = serializers.IntegerField()
    over_days = serializers.IntegerField()
    runs_out_at = serializers.DateTimeField(allow_null=True)
    unused_seconds = serializers.IntegerField(allow_null=True)
    points = BalancePointSerializer(many=True)


class ShortfallSerializer(serializers.Serializer):
    """A stretch in which `missing` of the `guaranteed` GPUs are out of service and nothing else is free for them."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField(help_text="as things stand now")
    guaranteed = serializers.IntegerField(source="envelope.gpus")
    missing = serializers.IntegerField(source="gpus")


class LedgerEntrySerializer(serializers.ModelSerializer):
    """One signed amount."""

    lease = serializers.CharField(source="lease.public_id", read_only=True, allow_null=True, default=None)

    class Meta:
        model = LedgerEntry
        fields: tuple[str, ...] = ("at", "kind", "device_seconds", "weight", "lease", "reason", "actor_label")
        read_only_fields = fields


class StatementLineSerializer(LedgerEntrySerializer):
    """One line of a statement, with what was left after it."""

    proposed_by = serializers.CharField(
        source="adjustment.proposed_by.label", read_only=True, allow_null=True, default=None, help_text="of adjustments"
    )
    balance = serializers.IntegerField(read_only=True, help_text="device-seconds left after it")
    why = serializers.CharField(read_only=True, help_text="the reason in the reader's language")

    class Meta(LedgerEntrySerializer.Meta):
        fields = (*LedgerEntrySerializer.Meta.fields, "why", "proposed_by", "balance")
        read_only_fields = fields


class KindSumSerializer(serializers.Serializer):
    """What the lines of one kind add up to, in device-seconds."""

    kind = serializers.ChoiceField(choices=LedgerEntry.Kind.choices)
    lines = serializers.IntegerField()
    total = serializers.IntegerField()


class StatementSerializer(serializers.Serializer):
    """A period of an allocation: `opening` plus the lines is `closing`, in device-seconds. The lines are paged."""

    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)
    opening = serializers.IntegerField()
    closing = serializers.IntegerField()
    opening_gpu_hours = HoursField(source="opening")
    closing_gpu_hours = HoursField(source="closing")
    sums = KindSumSerializer(many=True)
    count = serializers.IntegerField(read_only=True)
    next = serializers.URLField(read_only=True, allow_null=True)
    previous = serializers.URLField(read_only=True, allow_null=True)
    results = StatementLineSerializer(many=True, read_only=True)


class AskPeriodSerializer(serializers.Serializer):
    """From a moment until (not including) another; left out: from the award on, until now."""

    until = MomentField(required=False)

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python's."""
        fields: dict[str, Any] = super().get_fields()
        fields["from"] = MomentField(source="since", required=False)
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The period does not end before it begins."""
        if "since" in attrs and "until" in attrs and attrs["until"] < attrs["since"]:
            raise serializers.ValidationError({"until": "must not come before from"})
        return attrs


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


class ShapeSerializer(serializers.Serializer):
    """What the devices are, and how they lie together."""

    profile = serializers.CharField(
        max_length=40, default="", allow_blank=True, help_text="MIG instances of this kind; empty: whole GPUs"
    )
    shape = serializers.ChoiceField(choices=Lease.Shape.choices, default=Lease.Shape.ANY)
    shape_nodes = serializers.IntegerField(
        min_value=1, max_value=1_000, default=1, help_text="how many nodes, where the shape is `nodes`"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """`shape` is a Shape afterwards."""
        kind, nodes = attrs.pop("shape"), attrs.pop("shape_nodes")
        return super().validate(attrs) | {"shape": Shape(kind, nodes if kind == "nodes" else 1)}


class BookSerializer(ShapeSerializer):
    """An ask for a window."""

    allocation = serializers.CharField(max_length=40, help_text="id of the allocation")
    device_count = serializers.IntegerField(min_value=1, max_value=100_000)
    smallest = serializers.IntegerField(
        min_value=1,
        max_value=100_000,
        required=False,
        default=None,
        allow_null=True,
        help_text="fewest that help where not all are free; null: only all of them do",
    )
    starts_at = MomentField()
    ends_at = MomentField()
    note = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)


class ChangeSerializer(ShapeSerializer):
    """What a reservation that has not begun is to become."""

    profile = serializers.CharField(
        max_length=40, default=None, allow_null=True, allow_blank=True, help_text="null: as it is"
    )
    device_count = serializers.IntegerField(min_value=1, max_value=100_000)
    starts_at = MomentField()
    ends_at = MomentField()


class ExtendSerializer(serializers.Serializer):
    """The new end."""

    ends_at = MomentField()


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


class SignatureSerializer(serializers.Serializer):
    """Over the canonical JSON of the document: sorted keys, no spaces, UTF-8. Key and value in base64."""

    algorithm = serializers.CharField()
    public_key = serializers.CharField()
    value = serializers.CharField()


class SignedHandoverSerializer(serializers.Serializer):
    """A handover sheet; `manage.py verify_handover FILE` holds it against the signature and the audit log."""

    document = serializers.DictField()
    signature = SignatureSerializer()


class UsageSerializer(serializers.Serializer):
    """Device-seconds of a reservation: held = used + idle + no data."""

    held_seconds = serializers.IntegerField()
    used_seconds = serializers.IntegerField()
    idle_seconds = serializers.IntegerField()
    no_data_seconds = serializers.IntegerField()


class AskWindowSerializer(ShapeSerializer):
    """A question about free GPUs."""

    pool = serializers.CharField(max_length=60, help_text="id or name of the pool")
    gpus = serializers.IntegerField(min_value=1, max_value=100_000, default=1)
    until = MomentField()

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python's."""
        fields: dict[str, Any] = super().get_fields()
        fields["from"] = MomentField(source="since")
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The window has a length."""
        if attrs["until"] <= attrs["since"]:
            raise serializers.ValidationError({"until": "must come after from"})
        return super().validate(attrs)


class AskCalendarSerializer(serializers.Serializer):
    """Which pool, when, and what a row is."""

    pool = serializers.CharField(max_length=60, help_text="id or name of the pool")
    until = MomentField()
    rows = serializers.ChoiceField(choices=["devices", "nodes"], default="devices")

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python's."""
        fields: dict[str, Any] = super().get_fields()
        fields["from"] = MomentField(source="since")
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The window has a length, and not an endless one."""
        if not timedelta() < attrs["until"] - attrs["since"] <= LONGEST_SPAN:
            raise serializers.ValidationError({"until": "must come after from, by 400 days at most"})
        return attrs


class StretchSerializer(serializers.Serializer):
    """Part of a row that is taken. `lease` and `organisation` are empty where they are not the reader's business."""

    kind = serializers.ChoiceField(choices=["own", "taken", "cleaning", "kept", "promised", "maintenance", "out"])
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    taken = serializers.IntegerField(help_text="devices of the row")
    lease = serializers.CharField()
    organisation = serializers.CharField()
    open = serializers.BooleanField(help_text="nobody knows the end yet")


class RowSerializer(serializers.Serializer):
    """A device, or a node with all of its devices, cut to the window."""

    node = serializers.CharField()
    index = serializers.IntegerField(allow_null=True, help_text="null for a node")
    name = serializers.CharField()
    profile = serializers.CharField(help_text="of a MIG instance; empty for GPUs")
    devices = serializers.IntegerField()
    stretches = StretchSerializer(many=True)


class AskSlotSerializer(ShapeSerializer):
    """What somebody is after."""

    allocation = serializers.CharField(max_length=40, required=False, help_text="id; else all of the GPU class")
    gpu_class = serializers.CharField(max_length=40, required=False, help_text="code; else all of one's allocations")
    gpus = serializers.IntegerField(min_value=1, max_value=10_000, default=1)
    smallest = serializers.IntegerField(min_value=1, max_value=10_000, required=False, help_text="fewest that help")
    duration_seconds = serializers.IntegerField(min_value=600, max_value=400 * 86_400)
    until = MomentField()
    late = serializers.BooleanField(default=False, help_text="the last window that is done in time, not the first")

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python's."""
        fields: dict[str, Any] = super().get_fields()
        fields["from"] = MomentField(source="since")
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """`wish` is what offers are found for."""
        attrs = super().validate(attrs)
        smallest, duration = attrs.get("smallest", attrs["gpus"]), timedelta(seconds=attrs["duration_seconds"])
        if smallest > attrs["gpus"]:
            raise serializers.ValidationError({"smallest": "cannot be more than gpus"})
        if attrs["until"] - attrs["since"] < duration:
            raise serializers.ValidationError({"until": "leaves less time than duration_seconds"})
        if attrs["until"] - attrs["since"] > LONGEST_SPAN:
            raise serializers.ValidationError({"until": "lies more than 400 days after from"})
        span = (attrs["since"], attrs["until"])
        kind = {"shape": attrs["shape"], "late": attrs["late"], "profile": attrs["profile"]}
        return attrs | {"wish": Wish(attrs["gpus"], smallest, duration, *span, **kind)}


class ShareSerializer(serializers.Serializer):
    """What a slot takes of one node."""

    node = serializers.CharField()
    taken = serializers.IntegerField()
    free = serializers.IntegerField()
    size = serializers.IntegerField()


class SlotSerializer(serializers.Serializer):
    """A window that would pass every rule now."""

    allocation = serializers.CharField(source="allocation.public_id")
    pool = serializers.CharField(source="allocation.pool.name")
    device_count = serializers.IntegerField(source="count")
    profile = serializers.CharField()
    shape = serializers.CharField(source="shape.kind")
    shape_nodes = serializers.IntegerField(source="shape.nodes")
    starts_at = serializers.DateTimeField(source="start")
    ends_at = serializers.DateTimeField(source="end")
    hold_device_seconds = serializers.IntegerField(source="hold_seconds")
    left_device_seconds = serializers.IntegerField(source="left_seconds")
    delay_seconds = serializers.SerializerMethodField()
    fewer = serializers.IntegerField(help_text="devices that it falls short of the wish")
    nodes = ShareSerializer(source="shares", many=True)

    def get_delay_seconds(self, slot: Slot) -> int:
        """How far from the wished end of the time."""
        return int(slot.delay.total_seconds())


class WindowSerializer(serializers.Serializer):
    """A window."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()


class AvailabilitySerializer(serializers.Serializer):
    """A pool in a window, and the next window in which so many GPUs are free for as long."""

    devices = serializers.IntegerField()
    bookable = serializers.IntegerField()
    booked_peak = serializers.IntegerField()
    free = serializers.IntegerField()
    promised = serializers.IntegerField()
    profiles = serializers.ListField(child=serializers.CharField(), help_text="MIG profiles that the pool has")
    next_window = WindowSerializer(allow_null=True)


class FeedSerializer(serializers.Serializer):
    """The link of a calendar feed, told once."""

    url = serializers.URLField()
