"""The machines, and what was said to them and by them."""

from datetime import timedelta
from typing import Any

from django.contrib.postgres.fields import IntegerRangeField
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cluster.lifecycle import COMMAND, DEVICE, NODE
from common.ids import PublicIdField


class StaffQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> "StaffQuerySet":
        """Machines are the agency's business; partners see their own through a lease."""
        return self if user.is_agency else self.none()


class GpuClass(models.Model):
    """A kind of GPU that people ask for by name (`h100-sxm-80`)."""

    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    nvml_name = models.CharField(max_length=96, unique=True, help_text="what NVML calls it")
    memory_mib = models.PositiveIntegerField()
    memory_slices = models.PositiveSmallIntegerField(
        default=8, help_text="as NVML reports for MIG; 8 where there is none"
    )

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class PoolQuerySet(models.QuerySet["Pool"]):
    def visible_to(self, user: Any) -> "PoolQuerySet":
        """Everybody who is signed in may know which pools there are."""
        return self


class Pool(models.Model):
    """A partition of like hardware run by one engine."""

    class Engine(models.TextChoices):
        BARE_METAL = "bare_metal", _("bare metal")

    public_id = PublicIdField(prefix="pool")
    name = models.SlugField(_("name"), max_length=60, unique=True)
    gpu_class = models.ForeignKey(GpuClass, on_delete=models.PROTECT, related_name="pools")
    engine = models.CharField(_("engine"), max_length=20, choices=Engine.choices, default=Engine.BARE_METAL)
    shared_nodes = models.BooleanField(
        _("organisations may share a node"), default=False, help_text="else a node is lent to one of them at a time"
    )
    turnaround_seconds = models.PositiveIntegerField(
        _("cleaning between reservations, seconds"),
        default=600,
        help_text="kept free after every reservation, so that the next one finds its GPUs clean",
    )
    overcommit_percent = models.PositiveSmallIntegerField(
        _("over-commitment, per cent"),
        default=100,
        help_text="by how much the GPUs at once of all awards may exceed what the pool has",
    )
    offer_hold_seconds = models.PositiveIntegerField(
        _("an offer of the wait-list is held for"), default=86_400, help_text="seconds; never past the window's start"
    )

    objects = PoolQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def turnaround(self) -> timedelta:
        """How long a device is cleaned and checked after a reservation."""
        return timedelta(seconds=self.turnaround_seconds)


class Node(models.Model):
    """A server with GPUs and an agent."""

    public_id = PublicIdField(prefix="node")
    name = models.SlugField(_("name"), max_length=60, unique=True)
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="nodes")
    state = models.CharField(_("state"), max_length=20, choices=NODE.choices(), default=NODE.initial)
    drained = models.BooleanField(default=False, help_text="an operator's wish, which outlives a silence")
    token_hash = models.CharField(max_length=64, unique=True, null=True, blank=True)
    expected_devices = models.PositiveSmallIntegerField(
        _("GPUs expected"), null=True, blank=True, help_text="what was bought; held against the inventory"
    )
    trusts_first_inventory = models.BooleanField(
        default=False, help_text="whoever enrolled it vouches for what it names first"
    )
    boot_id = models.CharField(max_length=64, blank=True)
    agent_version = models.CharField(max_length=40, blank=True)
    driver_version = models.CharField(max_length=40, blank=True)
    ssh_host = models.CharField(_("address"), max_length=120, blank=True)
    ssh_port = models.PositiveIntegerField(_("port"), default=22)
    ssh_host_key = models.TextField(blank=True)
    last_seen_at = models.DateTimeField(_("last heard"), null=True, blank=True)
    clock_skew_seconds = models.FloatField(_("clock skew"), null=True, blank=True, help_text="node minus portal")
    agent_health = models.JSONField(default=dict, blank=True, help_text="as the agent says it of itself")
    topology = models.JSONField(default=dict, blank=True, help_text="{UUID: {other UUID: NODE, SYS, ...}}")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = StaffQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("reports:node", args=[self.public_id])


class Device(models.Model):
    """One GPU, or one MIG instance of a GPU (its `parent`); known by its UUID, lent and taken back by itself."""

    class Health(models.TextChoices):
        OK = "ok", _("ok")
        WARN = "warn", _("warn")
        DRAIN = "drain", _("drain")
        FAIL = "fail", _("fail")

    public_id = PublicIdField(prefix="dev")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="devices")
    uuid = models.CharField(max_length=80, unique=True)
    index = models.PositiveSmallIntegerField(help_text="NVML's present index; not an identity")
    gpu_class = models.ForeignKey(GpuClass, on_delete=models.PROTECT, related_name="devices")
    serial = models.CharField(max_length=60, blank=True)
    pci_bus_id = models.CharField(max_length=40, blank=True)
    memory_mib = models.PositiveIntegerField()
    power_limit_watts = models.PositiveIntegerField(null=True, blank=True)
    state = models.CharField(_("state"), max_length=20, choices=DEVICE.choices(), default=DEVICE.initial)
    state_reason = models.CharField(max_length=200, blank=True)
    health = models.CharField(_("health"), max_length=10, choices=Health.choices, default=Health.OK)
    health_reasons = models.JSONField(default=list, blank=True, help_text="codes, as the agent reported them")
    xid_level = models.CharField(
        max_length=10,
        choices=Health.choices,
        default=Health.OK,
        help_text="the health that XIDs gave it, until forgiven",
    )
    facts = models.JSONField(default=dict, blank=True, help_text="the rest of the inventory, as the agent reported it")
    checked_at = models.DateTimeField(_("checked"), null=True, blank=True, help_text="when it last passed the ladder")
    awaiting_confirmation = models.BooleanField(
        default=False, help_text="named by its node, and no operator has said yet that it belongs there"
    )
    joined_at = models.DateTimeField(
        _("joined"), default=timezone.now, help_text="when its node first named it: before, it was not there"
    )
    rma_ticket = models.CharField(_("RMA ticket"), max_length=60, blank=True)
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, related_name="instances", null=True, blank=True, help_text="empty for a GPU"
    )
    profile = models.CharField(_("MIG profile"), max_length=40, blank=True, help_text="of an instance, as 1g.10gb")
    slices = IntegerRangeField(
        null=True, blank=True, help_text="of its GPU's memory; empty for a GPU, and where nobody has told it"
    )
    layout = models.JSONField(
        default=list, blank=True, help_text="[[profile, first slice]] that an operator wants of a GPU; empty: whole"
    )
    set_aside = models.BooleanField(
        default=False, help_text="not lent as it is: a GPU that is cut up, an instance that a new layout takes away"
    )

    objects = StaffQuerySet.as_manager()

    class Meta:
        ordering = ["node__name", "index", "pk"]
        indexes = [models.Index(fields=["node", "index"])]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(parent=None, profile="", slices=None)
                | models.Q(models.Q(parent__isnull=False, layout=[]), ~models.Q(profile="")),
                name="device_is_a_gpu_or_an_instance",
            )
        ]

    def __str__(self) -> str:
        return f"{self.node.name}/{self.place}"

    def get_absolute_url(self) -> str:
        return reverse("reports:device", args=[self.public_id])

    @property
    def place(self) -> str:
        """Where on its node, as people call it: the GPU's index, of an instance with its first slice."""
        return f"{self.index}:{self.slices.lower}" if self.slices else str(self.index)

    @property
    def board_id(self) -> int:
        """The key of the whole GPU: its parent's, or its own."""
        return self.parent_id or self.pk

    @property
    def is_cut(self) -> bool:
        """A GPU that is lent in MIG instances, or shall be."""
        return self.parent_id is None and self.set_aside

    @property
    def nvlink_domain(self) -> int | None:
        """The devices that it reaches over NVLink: those of its node, where it has links at all.

        NVML does not tell an inventory which GPU is at the other end of a link; HGX boards connect all of them.
        """
        return self.node_id if self.facts.get("nvlink_count") and self.parent_id is None else None


class NodeCommand(models.Model):
    """An outbox row: the truth about what a node is told. The Celery message carries only its id."""

    class Verb(models.TextChoices):
        VERIFY = "verify", _("check the devices")
        GRANT = "grant", _("give access")
        EXTEND = "extend", _("move the end")
        REVOKE = "revoke", _("take access away")
        RECLAIM = "reclaim", _("clean and check")
        RESHAPE = "reshape", _("change the devices")
        PARTITION = "partition", _("cut into MIG instances")

    public_id = PublicIdField(prefix="cmd")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="commands")
    verb = models.CharField(max_length=10, choices=Verb.choices)
    lease_ref = models.CharField(max_length=40, help_text="public id of the lease; of a `partition`, of the GPU")
    generation = models.PositiveIntegerField()
    payload = models.JSONField(default=dict)
    deadline_at = models.DateTimeField()
    state = models.CharField(max_length=12, choices=COMMAND.choices(), default=COMMAND.initial)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="how often it was given out")
    result = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = StaffQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["node", "lease_ref", "verb", "generation"], name="command_once_per_generation"
            )
        ]
        indexes = [
            models.Index(fields=["node"], condition=models.Q(state="pending"), name="command_pending"),
            models.Index(fields=["lease_ref", "generation"]),
        ]

    def __str__(self) -> str:
        return f"{self.public_id} {self.verb} {self.lease_ref}#{self.generation}"


class Grant(models.Model):
    """What the engine handed out on one node for a lease."""

    public_id = PublicIdField(prefix="grant")
    lease_ref = models.CharField(max_length=40)
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="grants")
    generation = models.PositiveIntegerField()
    login = models.CharField(max_length=40)
    host = models.CharField(max_length=120)
    port = models.PositiveIntegerField()
    host_key = models.TextField(blank=True)
    device_uuids = models.JSONField(default=list)
    ends_at = models.DateTimeField()
    granted_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lease_ref", "node"], name="one_grant_per_lease_and_node")]

    def __str__(self) -> str:
        return f"{self.login}@{self.host}:{self.port}"


class SshCertificate(models.Model):
    """A certificate that the portal's CA signed; the serial is its own number."""

    grant = models.ForeignKey(Grant, on_delete=models.PROTECT, related_name="certificates")
    user_id = models.BigIntegerField()
    key_id = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=80)
    principals = models.JSONField(default=list, help_text="the logins that it opens, one at least")
    valid_before = models.DateTimeField()
    certificate = models.TextField()
    revoked_at = models.DateTimeField(null=True, blank=True, help_text="refused by the nodes from then on")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.key_id


class Handover(models.Model):
    """The evidence taken at the start or the end of a lease, for one device."""

    class Moment(models.TextChoices):
        START = "start", _("handed over")
        END = "end", _("returned")

    lease_ref = models.CharField(max_length=40)
    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="handovers")
    moment = models.CharField(max_length=5, choices=Moment.choices)
    generation = models.PositiveIntegerField()
    passed = models.BooleanField()
    checks = models.JSONField(default=list, help_text="[{code, passed, observed, expected}] as the node measured them")
    reading = models.JSONField(null=True, help_text="every figure of that moment; null where the device was silent")
    actions = models.JSONField(default=list, help_text="[{name, value, result}]: what was done to the device before")
    taken_at = models.DateTimeField()

    class Meta:
        ordering = ["device_id", "-moment"]
        constraints = [
            models.UniqueConstraint(
                fields=["lease_ref", "device", "moment", "generation"], name="one_handover_per_moment"
            )
        ]

    def __str__(self) -> str:
        return f"{self.lease_ref} {self.device_id} {self.moment}"


class NodeRefusal(models.Model):
    """How often calls of a node were refused on a day, by code. `node` is null where no token was known."""

    node = models.ForeignKey(Node, null=True, on_delete=models.CASCADE, related_name="refusals")
    code = models.CharField(max_length=40)
    day = models.DateField()
    times = models.PositiveBigIntegerField(default=0)
    last_at = models.DateTimeField()
    detail = models.CharField(max_length=200, blank=True, help_text="what was said to the last one")

    objects = StaffQuerySet.as_manager()

    class Meta:
        ordering = ["-last_at"]
        constraints = [
            models.UniqueConstraint(fields=["node", "code", "day"], nulls_distinct=False, name="refusal_once_a_day")
        ]

    def __str__(self) -> str:
        return f"{self.node_id} {self.code} {self.day} {self.times}"


class Inspection(models.Model):
    """The check ladder for a device that no lease was about: weekly, after quarantine, after a silence."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="inspections")
    passed = models.BooleanField()
    checks = models.JSONField(default=list, help_text="[{code, passed, observed, expected}]")
    reading = models.JSONField(null=True)
    at = models.DateTimeField()

    objects = StaffQuerySet.as_manager()

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["device", "-at"])]

    def __str__(self) -> str:
        return f"{self.device_id} {self.at:%Y-%m-%d %H:%M:%S} {'passed' if self.passed else 'failed'}"


class XidPolicy(models.Model):
    """What an XID means for a device here: a site's own rule, over the one in cluster/xids.py."""

    public_id = PublicIdField(prefix="xid")
    xid = models.PositiveIntegerField(_("XID"), unique=True)
    level = models.CharField(_("health"), max_length=10, choices=Device.Health.choices)
    tell_partner = models.BooleanField(_("tell the partner"), default=False)
    repeat_count = models.PositiveSmallIntegerField(_("repeats"), null=True, blank=True)
    repeat_days = models.PositiveSmallIntegerField(_("within days"), null=True, blank=True)
    note = models.CharField(_("note"), max_length=200, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects = StaffQuerySet.as_manager()

    class Meta:
        ordering = ["xid"]

    def __str__(self) -> str:
        return f"XID {self.xid}"


class DeviceEvent(models.Model):
    """Something that happened to a device or a node: an XID, a loss, a stalled sampler."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="events")
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="events", null=True, blank=True)
    kind = models.CharField(max_length=40)
    detail = models.JSONField(default=dict)
    at = models.DateTimeField()
    partner_told = models.BooleanField(default=True, help_text="false: whoever holds the device is yet to hear of it")

    objects = StaffQuerySet.as_manager()

    class Meta:
        ordering = ["-at"]
        indexes = [
            models.Index(fields=["node", "-at"]),
            models.Index(fields=["device", "-at"]),
            models.Index(fields=["id"], condition=models.Q(partner_told=False), name="event_untold"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} at {self.at:%Y-%m-%d %H:%M:%S}"


class IllSpell(models.Model):
    """A stretch in which a device was out of service or not well; what it is now is on the device."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="spells", db_index=False)
    state = models.CharField(
        max_length=20, blank=True, help_text="where it was out of service; empty: it was in service"
    )
    health = models.CharField(max_length=10)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-began_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["device"], condition=models.Q(ended_at=None), name="one_open_spell_per_device"
            ),
        ]
        indexes = [models.Index(fields=["device", "began_at"]), models.Index(fields=["ended_at"])]

    def __str__(self) -> str:
        return f"{self.device_id} {self.state or self.health} from {self.began_at:%Y-%m-%d %H:%M}"


class JoinToken(models.Model):
    """What lets a new agent fetch its node's token, once, within a day. Only the hash is kept."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="join_tokens")
    token_hash = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"join token of {self.node_id}"


class MaintenanceWindow(models.Model):
    """Announced work on a node: nothing may be placed there from `starts_at` to `ends_at`, unless it is cancelled."""

    public_id = PublicIdField(prefix="maint")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="maintenance_windows")
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("until"))
    reason = models.CharField(_("reason"), max_length=200)
    announced_by = models.CharField(max_length=254)
    created_at = models.DateTimeField(auto_now_add=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)

    objects = StaffQuerySet.as_manager()

    class Meta:
        ordering = ["starts_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("starts_at")), name="maintenance_window_in_order"
            )
        ]
        indexes = [
            models.Index(fields=["node", "ends_at"], condition=models.Q(cancelled_at=None), name="maintenance_open")
        ]

    def __str__(self) -> str:
        return self.public_id

    def get_absolute_url(self) -> str:
        return self.node.get_absolute_url()
