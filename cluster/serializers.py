"""Shapes of what goes over the wire: of nodes, and of the staff API."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from cluster.models import Device, DeviceEvent, Node, Pool
from cluster.wire_fields import EpochField, FiniteField, ShortTextField, plain_json, small


class CheckItemSerializer(serializers.Serializer[Any]):
    """One check of one device."""

    code = serializers.CharField(max_length=60)
    passed = serializers.BooleanField()
    observed = ShortTextField(required=False, allow_null=True)
    expected = ShortTextField(required=False, allow_null=True)


class ActionSerializer(serializers.Serializer[Any]):
    """Something that was done to a device."""

    name = serializers.CharField(max_length=60)
    value = ShortTextField()
    result = ShortTextField()


class CheckSerializer(serializers.Serializer[Any]):
    """One device's checks, the reading that they judged, and what was done before."""

    uuid = serializers.CharField(max_length=80)
    passed = serializers.BooleanField()
    checks = CheckItemSerializer(many=True, max_length=100)
    reading = serializers.DictField(validators=[plain_json, small], required=False, allow_null=True, default=None)
    actions = ActionSerializer(many=True, required=False, default=list, max_length=20)


class MigInstanceSerializer(serializers.Serializer[Any]):
    """A MIG device of a GPU."""

    uuid = serializers.CharField(max_length=80)
    profile = serializers.CharField(max_length=40)
    gpu_instance = serializers.IntegerField(min_value=0, max_value=255)
    compute_instance = serializers.IntegerField(min_value=0, max_value=255)
    memory_mib = serializers.IntegerField(min_value=0, max_value=10_000_000)
    start = serializers.IntegerField(min_value=0, max_value=255, allow_null=True, required=False)
    size = serializers.IntegerField(min_value=1, max_value=255, allow_null=True, required=False)
    of = serializers.IntegerField(min_value=1, max_value=255, allow_null=True, required=False)


class InventoryDeviceSerializer(serializers.Serializer[Any]):
    """One device as the agent sees it."""

    uuid = serializers.CharField(max_length=80)
    index = serializers.IntegerField(min_value=0, max_value=255)
    name = serializers.CharField(max_length=96)
    serial = serializers.CharField(max_length=60, allow_null=True, allow_blank=True, required=False)
    pci_bus_id = serializers.CharField(max_length=40, allow_null=True, allow_blank=True, required=False)
    memory_mib = serializers.IntegerField(min_value=1, max_value=10_000_000)
    power_limit_watts = FiniteField(allow_null=True, required=False, min_value=0, max_value=100_000)
    part_number = serializers.CharField(max_length=60, allow_null=True, allow_blank=True, required=False)
    vbios_version = serializers.CharField(max_length=60, allow_null=True, allow_blank=True, required=False)
    inforom_version = serializers.CharField(max_length=60, allow_null=True, allow_blank=True, required=False)
    compute_capability = serializers.CharField(max_length=10, allow_null=True, required=False)
    architecture = serializers.CharField(max_length=40, allow_null=True, required=False)
    mig_capable = serializers.BooleanField(allow_null=True, required=False)
    mig_enabled = serializers.BooleanField(allow_null=True, required=False)
    ecc_enabled = serializers.BooleanField(allow_null=True, required=False)
    nvlink_count = serializers.IntegerField(min_value=0, max_value=255, allow_null=True, required=False)
    numa_node = serializers.IntegerField(min_value=-1, max_value=1_000_000, allow_null=True, required=False)
    mig_instances = MigInstanceSerializer(many=True, required=False, max_length=64)


class SshDoorSerializer(serializers.Serializer[Any]):
    """Where the node lets tenants in."""

    host = serializers.CharField(max_length=120)
    port = serializers.IntegerField(min_value=1, max_value=65_535)
    host_key = serializers.CharField(max_length=2_000)


class LeaseReportSerializer(serializers.Serializer[Any]):
    """A lease as the node remembers it."""

    lease = serializers.CharField(max_length=40)
    generation = serializers.IntegerField(min_value=0)
    state = serializers.ChoiceField(choices=["granted", "revoked"])
    hard_end = EpochField(allow_null=True, required=False)
    at = EpochField(allow_null=True, required=False)


class InventoryFaultSerializer(serializers.Serializer[Any]):
    """A device that did not answer when the inventory was taken."""

    index = serializers.IntegerField(min_value=0, max_value=255, allow_null=True, required=False)
    uuid = serializers.CharField(max_length=80, allow_null=True, required=False)
    code = serializers.CharField(max_length=60)


class PartSerializer(serializers.Serializer[Any]):
    """A process of the agent."""

    restarts = serializers.IntegerField(min_value=0, max_value=2**31 - 1)
    why = serializers.CharField(max_length=200, allow_blank=True)


class AgentHealthSerializer(serializers.Serializer[Any]):
    """How the agent is, as it says itself."""

    memory_mib = FiniteField(min_value=0, allow_null=True, required=False)
    cpu_percent = FiniteField(min_value=0, allow_null=True, required=False)
    clock_skew_seconds = FiniteField(allow_null=True, required=False, min_value=-1e10, max_value=1e10)
    samples_dropped = serializers.IntegerField(min_value=0, max_value=2**53, required=False)
    parts = serializers.DictField(child=PartSerializer(), required=False, default=dict)
    sampler = serializers.DictField(required=False, default=dict, validators=[plain_json, small])


class JoinSerializer(serializers.Serializer[Any]):
    """join/"""

    join_token = serializers.CharField(max_length=200)


class HelloSerializer(serializers.Serializer[Any]):
    """hello/"""

    boot_id = serializers.CharField(max_length=64)
    agent_version = serializers.CharField(max_length=40)
    driver_version = serializers.CharField(max_length=40, allow_blank=True)
    sent_at = EpochField()
    ssh = SshDoorSerializer()
    devices = InventoryDeviceSerializer(many=True, max_length=64)
    faults = InventoryFaultSerializer(many=True, required=False, default=list, max_length=64)
    topology = serializers.DictField(required=False, default=dict, validators=[plain_json, small])
    checks = CheckSerializer(many=True, required=False, default=list, max_length=64)
    leases = LeaseReportSerializer(many=True, required=False, default=list, max_length=1_000)

    def validate_devices(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Each UUID once."""
        if len({device["uuid"] for device in value}) < len(value):
            raise serializers.ValidationError("A UUID occurs twice.")
        return value


class DeviceHealthSerializer(serializers.Serializer[Any]):
    """One device's health."""

    uuid = serializers.CharField(max_length=80)
    health = serializers.ChoiceField(choices=Device.Health.choices)
    reasons = serializers.ListField(child=serializers.CharField(max_length=120), max_length=50, default=list)


class HeartbeatSerializer(serializers.Serializer[Any]):
    """heartbeat/"""

    boot_id = serializers.CharField(max_length=64)
    sent_at = EpochField()
    devices = DeviceHealthSerializer(many=True, required=False, default=list, max_length=64)
    leases = LeaseReportSerializer(many=True, required=False, default=list, max_length=1_000)
    checks = CheckSerializer(many=True, required=False, default=list, max_length=256)
    agent = AgentHealthSerializer(required=False, allow_null=True, default=None)


_LEFT = serializers.DictField(child=EpochField())
"""{UUID: when access was gone}"""


class ResultSerializer(serializers.Serializer[Any]):
    """commands/<id>/result/"""

    generation = serializers.IntegerField(min_value=0)
    outcome = serializers.ChoiceField(choices=["done", "failed"])
    result = serializers.DictField(validators=[plain_json])

    def validate_result(self, value: dict[str, Any]) -> dict[str, Any]:
        """Evidence inside a result has the shape of checks, a moment that of a moment."""
        if value.get("access_gone_at") is not None:
            value = {**value, "access_gone_at": EpochField().run_validation(value["access_gone_at"])}
        if "left" in value:
            value = {**value, "left": _LEFT.run_validation(value["left"])}
        if "checks" in value:
            checks = CheckSerializer(data=value["checks"], many=True)
            checks.is_valid(raise_exception=True)
            value = {**value, "checks": checks.validated_data}
        if "instances" in value:
            instances = MigInstanceSerializer(data=value["instances"], many=True)
            instances.is_valid(raise_exception=True)
            value = {**value, "instances": instances.validated_data}
        return value


class GrantResultSerializer(SshDoorSerializer):
    """What a finished grant must say."""


class DeadManSerializer(serializers.Serializer[Any]):
    """reports/"""

    kind = serializers.ChoiceField(choices=["revoked"])
    lease = serializers.CharField(max_length=40)
    generation = serializers.IntegerField(min_value=0)
    at = EpochField()
    killed = serializers.IntegerField(min_value=0, default=0)
    remaining = serializers.ListField(child=serializers.IntegerField(), default=list)


class EventSerializer(serializers.Serializer[Any]):
    """One line of events/"""

    uuid = serializers.CharField(max_length=80, allow_null=True, required=False)
    kind = serializers.CharField(max_length=40)
    detail = serializers.DictField(default=dict, validators=[plain_json])
    at = EpochField()


class EventsSerializer(serializers.Serializer[Any]):
    """events/"""

    events = EventSerializer(many=True, max_length=200)


class PoolSerializer(serializers.ModelSerializer[Pool]):
    """A pool, as everybody may see it."""

    gpu_class = serializers.CharField(source="gpu_class.code")

    class Meta:
        model = Pool
        fields = (
            "public_id",
            "name",
            "gpu_class",
            "engine",
            "shared_nodes",
            "turnaround_seconds",
            "offer_hold_seconds",
        )


class StaffPoolSerializer(PoolSerializer):
    """The same with the bound of over-commitment: how many GPUs more than it has are promised concerns the agency."""

    overcommit_percent = serializers.IntegerField(required=False, help_text="agency staff only")

    class Meta(PoolSerializer.Meta):
        fields = (*PoolSerializer.Meta.fields, "overcommit_percent")  # type: ignore[assignment]


class NodeSerializer(serializers.ModelSerializer[Node]):
    """A node, for staff."""

    pool = serializers.CharField(source="pool.name")
    agent_health = serializers.DictField(read_only=True)
    topology = serializers.DictField(read_only=True)

    class Meta:
        model = Node
        fields = (
            *("public_id", "name", "pool", "state", "boot_id", "agent_version", "driver_version"),
            *("ssh_host", "ssh_port", "last_seen_at", "clock_skew_seconds"),
            *("expected_devices", "agent_health", "topology"),
        )


class DeviceSerializer(serializers.ModelSerializer[Device]):
    """A device, for staff: a GPU, or a MIG instance of one (`part_of`), in these `slices` of its memory."""

    node = serializers.CharField(source="node.name")
    gpu_class = serializers.CharField(source="gpu_class.code")
    part_of = serializers.CharField(source="parent.public_id", default=None, help_text="id of the GPU; null for one")
    slices = serializers.SerializerMethodField(help_text="[first, the one after the last]; null for a GPU")
    last_sample_at = serializers.DateTimeField(source="latest_sample.at", default=None, allow_null=True, read_only=True)
    layout = serializers.ListField(help_text="[profile, first slice] of each instance that is wanted of a GPU")

    class Meta:
        model = Device
        fields = (
            *("public_id", "uuid", "node", "index", "gpu_class", "serial", "pci_bus_id", "memory_mib"),
            *("state", "state_reason", "health", "health_reasons", "last_sample_at"),
            *("awaiting_confirmation", "rma_ticket", "part_of", "profile", "slices", "layout", "set_aside"),
        )

    @extend_schema_field(serializers.ListField(child=serializers.IntegerField(), allow_null=True))
    def get_slices(self, device: Device) -> list[int] | None:
        return [device.slices.lower, device.slices.upper] if device.slices else None


class DeviceEventSerializer(serializers.ModelSerializer[DeviceEvent]):
    """Something that happened."""

    device = serializers.CharField(source="device.public_id", default=None)

    class Meta:
        model = DeviceEvent
        fields = ("at", "kind", "device", "detail")


class ReasonSerializer(serializers.Serializer[Any]):
    """Why."""

    reason = serializers.CharField(max_length=200)


class NewNodeSerializer(serializers.Serializer[Any]):
    """A node to be: its name, its pool (id or name), and how many GPUs were bought."""

    name = serializers.SlugField(max_length=60)
    pool = serializers.SlugField(max_length=60)
    expected_devices = serializers.IntegerField(
        min_value=1, max_value=64, required=False, allow_null=True, default=None
    )


class JoinTokenSerializer(serializers.Serializer[Any]):
    """Shown this once."""

    node = serializers.CharField(help_text="public id of the node")
    join_token = serializers.CharField()


class NodeTokenSerializer(serializers.Serializer[Any]):
    """Shown this once."""

    node = serializers.CharField(help_text="public id of the node")
    token = serializers.CharField()


class ConfirmSerializer(serializers.Serializer[Any]):
    """The GPUs that were looked at and belong there."""

    uuids = serializers.ListField(child=serializers.CharField(max_length=80), min_length=1, max_length=64)
    accept_difference = serializers.BooleanField(default=False)
