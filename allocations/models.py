"""The award as something one can spend, and the bookings made of it."""

from fractions import Fraction
from typing import Any, cast

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, IntegerRangeField, RangeOperators
from django.contrib.postgres.indexes import GistIndex
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from allocations import charging, shapes
from allocations.books import Adjustment as Adjustment
from allocations.books import PoolWeight as PoolWeight
from allocations.lifecycle import ALLOCATION, LEASE, RESHAPE, RESHAPING
from allocations.wait_entry import WaitEntry as WaitEntry  # a model needs its app's models to name it
from cluster.models import Device, MaintenanceWindow, Node, Pool
from common.ids import PublicIdField
from partners.models import Organisation, organisation_ids_of
from projects.models import Project


class AllocationQuerySet(models.QuerySet["Allocation"]):
    def visible_to(self, user: Any) -> "AllocationQuerySet":
        """Agency staff see all, others those of their organisations."""
        return self if user.is_agency else self.filter(project__organisation_id__in=organisation_ids_of(user))


class Allocation(models.Model):
    """The award on one pool. Its balance is the sum of its ledger."""

    public_id = PublicIdField(prefix="alloc")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="allocations")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="allocations")
    asked_gpu_seconds = models.BigIntegerField(_("asked, GPU-hours"), help_text=_("what the proposal asked for"))
    asked_concurrent_gpus = models.PositiveIntegerField(_("asked, GPUs at once"))
    awarded_gpu_seconds = models.BigIntegerField(_("awarded, GPU-hours"))
    concurrent_gpus = models.PositiveIntegerField(_("awarded, GPUs at once"))
    guaranteed_gpus = models.PositiveIntegerField(
        _("of these guaranteed"),
        default=0,
        help_text="kept for this award by its envelope; the others when they are free",
    )
    valid_from = models.DateTimeField(_("valid from"))
    valid_until = models.DateTimeField(_("valid until"))
    priority = models.SmallIntegerField(
        _("priority on the wait-list"), default=0, help_text="set by officers with a reason; higher is served first"
    )
    held_back_gpu_seconds = models.BigIntegerField(
        default=0, help_text="of the award, not granted until a progress report of the project is accepted"
    )
    adjusted_gpu_seconds = models.BigIntegerField(default=0, help_text="the sum of its confirmed adjustments")
    warned_percent = models.PositiveSmallIntegerField(default=0, help_text="the highest step of use that was told")
    state = models.CharField(_("state"), max_length=20, choices=ALLOCATION.choices(), default=ALLOCATION.initial)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AllocationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(valid_until__gt=F("valid_from")), name="allocation_window_in_order"),
            models.CheckConstraint(
                condition=Q(awarded_gpu_seconds__gte=0 - F("adjusted_gpu_seconds")) & Q(concurrent_gpus__gt=0),
                name="allocation_positive",
            ),
            models.CheckConstraint(
                condition=Q(held_back_gpu_seconds=0)
                | Q(held_back_gpu_seconds__gt=0) & Q(held_back_gpu_seconds__lt=F("awarded_gpu_seconds")),
                name="allocation_holds_back_a_part",
            ),
            models.CheckConstraint(
                condition=Q(guaranteed_gpus__lte=F("concurrent_gpus")), name="allocation_guarantees_no_more_than_it_has"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project.title} · {self.pool.name}"

    @property
    def envelope_key(self) -> int | None:
        """Key of the promise that is kept for it alone; None where nothing is guaranteed."""
        return self.envelope.pk if self.guaranteed_gpus else None

    def get_absolute_url(self) -> str:
        return reverse("allocations:allocation", args=[self.public_id])

    @property
    def granted_gpu_seconds(self) -> int:
        """The award without what is still held back of it, with what two officers added or took since."""
        return self.awarded_gpu_seconds - self.held_back_gpu_seconds + self.adjusted_gpu_seconds


class LeaseQuerySet(models.QuerySet["Lease"]):
    def visible_to(self, user: Any) -> "LeaseQuerySet":
        """Agency staff see all, others those of their organisations."""
        mine = organisation_ids_of(user)
        return self if user.is_agency else self.filter(allocation__project__organisation_id__in=mine)


class Lease(models.Model):
    """A time window on devices under an allocation (the page says reservation)."""

    class EndReason(models.TextChoices):
        EXPIRED = "expired", _("the window ended")
        RELEASED = "released", _("released early by the partner")
        RECLAIMED = "reclaimed", _("reclaimed by the agency")
        CANCELLED = "cancelled", _("cancelled before the start")
        FAILED = "failed", _("could not be handed over")
        DECLINED = "declined", _("offer declined")
        LAPSED = "lapsed", _("offer not answered in time")
        WITHDRAWN = "withdrawn", _("offer withdrawn by the agency")

    class Shape(models.TextChoices):
        ANY = "any", _("wherever they fit")
        SAME_NODE = "same_node", _("all on one node")
        NODES = "nodes", _("as many on each of several nodes")
        NVLINK = "nvlink", _("connected by NVLink")

    public_id = PublicIdField(prefix="lease")
    allocation = models.ForeignKey(Allocation, on_delete=models.PROTECT, related_name="leases")
    booked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    device_count = models.PositiveIntegerField(_("GPUs"))
    profile = models.CharField(
        _("MIG profile"), max_length=40, blank=True, help_text="of each of its devices; empty: whole GPUs"
    )
    slices = models.PositiveSmallIntegerField(default=1, help_text="memory slices that each of its devices takes")
    slices_of = models.PositiveSmallIntegerField(default=1, help_text="of so many that the GPU has; 1 of 1: whole")
    shape = models.CharField(_("how they lie together"), max_length=10, choices=Shape, default=Shape.ANY)
    shape_nodes = models.PositiveSmallIntegerField(default=1, help_text="how many nodes, where the shape is `nodes`")
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("until"))
    offer_until = models.DateTimeField(
        _("answer until"), null=True, blank=True, help_text="until when an offer of the wait-list can be accepted"
    )
    weights = models.JSONField(default=list, help_text="[from, per mille] as known when it was booked; empty: 1000")
    pending_ends_at = models.DateTimeField(
        null=True, blank=True, help_text="asked-for new end; counts only when every node has acknowledged it"
    )
    state = models.CharField(_("state"), max_length=20, choices=LEASE.choices(), default=LEASE.initial)
    state_reason = models.CharField(max_length=300, blank=True)
    generation = models.PositiveIntegerField(default=1)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="how often the present step was issued again")
    retry_at = models.DateTimeField(
        null=True, blank=True, help_text="when a stuck step is tried again; empty: by people"
    )
    verified_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(_("what for"), max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    active_at = models.DateTimeField(_("handed over"), null=True, blank=True)
    drained_at = models.DateTimeField(_("end of use"), null=True, blank=True)
    access_gone_at = models.DateTimeField(_("access gone"), null=True, blank=True)
    ended_at = models.DateTimeField(_("returned"), null=True, blank=True)
    end_reason = models.CharField(max_length=12, choices=EndReason.choices, blank=True)
    used_seconds = models.BigIntegerField(null=True, blank=True, help_text="measured device-seconds, sealed at the end")
    replacements = models.PositiveSmallIntegerField(default=0, help_text="how often devices failed before the handover")
    reshaped = models.BooleanField(
        default=False, help_text="its devices were changed while it ran: each has its own time of use"
    )
    extensions = models.PositiveSmallIntegerField(default=0, help_text="how often it was extended once it had begun")
    charged_until = models.DateTimeField(
        null=True, blank=True, help_text="given back by the partner: until when is charged, use or not (the notice)"
    )
    returned_percent = models.PositiveSmallIntegerField(
        default=100, help_text="of what is left of the window then: how much comes back"
    )
    use_noticed_at = models.DateTimeField(null=True, blank=True, help_text="when it was first seen to be used")
    no_show_told_at = models.DateTimeField(null=True, blank=True, help_text="notice that it will be taken back unused")
    no_show_due_at = models.DateTimeField(null=True, blank=True, help_text="when it is taken back unless it is used")

    objects = LeaseQuerySet.as_manager()

    class Meta:
        ordering = ["-starts_at"]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="lease_window_in_order"),
            models.CheckConstraint(condition=Q(device_count__gt=0), name="lease_has_devices"),
            models.CheckConstraint(condition=Q(slices__gt=0, slices__lte=F("slices_of")), name="lease_share_of_a_gpu"),
            models.CheckConstraint(
                condition=Q(state="offered", offer_until__isnull=False) | ~Q(state="offered") & Q(offer_until=None),
                name="lease_offer_ends",
            ),
            models.CheckConstraint(
                condition=Q(shape_nodes__gt=0, shape_nodes__lte=F("device_count")), name="lease_fills_its_nodes"
            ),
        ]
        indexes = [models.Index(fields=["state", "starts_at"]), models.Index(fields=["state", "ends_at"])]

    def __str__(self) -> str:
        return self.public_id

    def get_absolute_url(self) -> str:
        return reverse("allocations:lease", args=[self.public_id])

    @property
    def layout(self) -> shapes.Shape:
        """The shape that was asked for and that every other choice of devices keeps."""
        return shapes.Shape(cast(shapes.Kind, self.shape), self.shape_nodes)

    @property
    def prices(self) -> charging.Weights:
        """The weights that it was booked under, which a later announcement leaves alone."""
        return charging.thawed(self.weights)

    @property
    def envelope_key(self) -> int | None:
        """The allocation's, for whole GPUs: a promise is kept with those, and no part of one is lent out of it."""
        return None if self.profile else self.allocation.envelope_key

    @property
    def share(self) -> Fraction:
        """The part of a GPU that each of its devices is, by slices of memory: what is charged for it."""
        return Fraction(self.slices, self.slices_of)


class Envelope(models.Model):
    """What an award was promised of a pool before devices are named: so many GPUs at every moment of its window.

    The promise is kept with devices: each has a pin, and a placement wherever nothing of the award itself lies there,
    so that the database keeps everybody else off. `allocation` is empty until the award is accepted.
    """

    public_id = PublicIdField(prefix="env")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="envelopes")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    allocation = models.OneToOneField(
        Allocation, on_delete=models.PROTECT, related_name="envelope", null=True, blank=True
    )
    award_ref = models.CharField(max_length=40, help_text="public id of the proposal that was awarded")
    gpus = models.PositiveIntegerField(_("GPUs guaranteed"))
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("until"))
    let_go_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["starts_at"]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="envelope_window_in_order"),
            models.CheckConstraint(condition=Q(gpus__gt=0), name="envelope_holds_something"),
        ]
        indexes = [models.Index(fields=["ends_at"], condition=Q(let_go_at=None), name="envelope_open")]

    def __str__(self) -> str:
        return self.public_id


class Pin(models.Model):
    """A device that keeps an envelope's promise in [since, until)."""

    envelope = models.ForeignKey(Envelope, on_delete=models.CASCADE, related_name="pins")
    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="+")
    since = models.DateTimeField()
    until = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(until__gt=F("since")), name="pin_window_in_order")]

    def __str__(self) -> str:
        return f"{self.envelope_id} on {self.device_id}"


class Placement(models.Model):
    """Holder x device x memory slices x window: the row that the database forbids to overlap.

    The holder is a lease, announced maintenance, or an envelope. The window of a lease's row is the lease's and the
    pool's time for cleaning after it; its end is open (infinity) from the moment the lease starts to be taken back
    until the devices are confirmed clean. `released` rows no longer count.

    Where a lease's devices are changed while it runs, `came_by` and `left_by` say with which change a device came and
    goes, `used_from` and `used_until` when it did: empty, its use begins with the lease (for one that came: it was not
    handed over) and ends with it.
    """

    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="placements", null=True, blank=True)
    maintenance = models.ForeignKey(
        MaintenanceWindow, on_delete=models.PROTECT, related_name="placements", null=True, blank=True
    )
    envelope = models.ForeignKey(Envelope, on_delete=models.PROTECT, related_name="placements", null=True, blank=True)
    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="placements")
    board = models.ForeignKey(
        Device, on_delete=models.PROTECT, related_name="+", help_text="the whole GPU: the device, or its parent"
    )
    slices = IntegerRangeField(help_text="of the board's memory; [0, all of them) for a whole GPU")
    window = DateTimeRangeField()
    released = models.BooleanField(default=False)
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="+", help_text="the device's")
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text="the lease's or the envelope's: who is on the node; empty for maintenance",
    )
    shared = models.BooleanField(default=False, help_text="the pool's rule: may others be on the node meanwhile")
    came_by = models.ForeignKey("Reshape", on_delete=models.PROTECT, related_name="coming", null=True, blank=True)
    left_by = models.ForeignKey("Reshape", on_delete=models.PROTECT, related_name="leaving", null=True, blank=True)
    used_from = models.DateTimeField(null=True, blank=True)
    used_until = models.DateTimeField(null=True, blank=True)
    paid_until = models.DateTimeField(
        null=True, blank=True, help_text="given back on the way: until when it is charged, use or not (the notice)"
    )

    class Meta:
        constraints = [
            ExclusionConstraint(
                name="no_device_slice_promised_twice",
                expressions=[
                    ("board", RangeOperators.EQUAL),
                    ("slices", RangeOperators.OVERLAPS),
                    ("window", RangeOperators.OVERLAPS),
                ],
                condition=Q(released=False),
            ),
            ExclusionConstraint(
                name="one_organisation_on_a_node",
                expressions=[
                    ("node", RangeOperators.EQUAL),
                    ("organisation", RangeOperators.NOT_EQUAL),
                    ("window", RangeOperators.OVERLAPS),
                ],
                condition=Q(released=False, shared=False),
            ),
            models.CheckConstraint(
                condition=Q(lease__isnull=False, maintenance=None, envelope=None, organisation__isnull=False)
                | Q(lease=None, maintenance__isnull=False, envelope=None, organisation=None)
                | Q(lease=None, maintenance=None, envelope__isnull=False, organisation__isnull=False),
                name="placement_has_one_holder",
            ),
        ]
        indexes = [
            # Those that were let go of are few: what the board counts of the past must not look for them among all.
            models.Index(fields=["lease"], condition=Q(released=True), name="placement_let_go"),
            # Whose window touches another, whatever the device: the exclusion's index would be read as a whole.
            # The choice of devices asks it for the boards alone, and must not look each of them up.
            GistIndex(fields=["window"], include=["board"], condition=Q(released=False), name="placement_window"),
        ]

    def __str__(self) -> str:
        return f"{self.lease_id or self.maintenance_id or self.envelope_id} on {self.device_id}"


class ReshapeQuerySet(models.QuerySet["Reshape"]):
    def visible_to(self, user: Any) -> "ReshapeQuerySet":
        """Whoever sees the lease."""
        mine = organisation_ids_of(user)
        return self if user.is_agency else self.filter(lease__allocation__project__organisation_id__in=mine)

    def under_way(self) -> "ReshapeQuerySet":
        """Those that are not over."""
        return self.filter(state__in=RESHAPING)


class Reshape(models.Model):
    """A change of the devices of a running lease: some are given back, or an ill one makes way for a healthy one."""

    class Kind(models.TextChoices):
        SHRINK = "shrink", _("GPUs given back")
        SWAP = "swap", _("GPU replaced")

    public_id = PublicIdField(prefix="reshape")
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="reshapes")
    kind = models.CharField(_("what changes"), max_length=6, choices=Kind)
    state = models.CharField(_("state"), max_length=20, choices=RESHAPE.choices(), default=RESHAPE.initial)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    shape_nodes = models.PositiveSmallIntegerField(default=1, help_text="the lease's, once this is done")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    asked_at = models.DateTimeField(_("asked for"), default=timezone.now)
    access_gone_at = models.DateTimeField(_("access gone"), null=True, blank=True)
    ended_at = models.DateTimeField(_("done"), null=True, blank=True)
    returned_seconds = models.BigIntegerField(default=0, help_text="device-seconds that came back to the allocation")

    objects = ReshapeQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["lease"], condition=Q(state__in=RESHAPING), name="one_reshape_at_a_time")
        ]

    def __str__(self) -> str:
        return self.public_id

    def get_absolute_url(self) -> str:
        """It is shown on the reservation's page."""
        return self.lease.get_absolute_url()


class CalendarFeed(models.Model):
    """The secret link under which a person's calendar program fetches their reservations; kept hashed."""

    public_id = PublicIdField(prefix="feed")
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="calendar_feed")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.public_id

    def get_absolute_url(self) -> str:
        return reverse("allocations:feed")


from allocations.ledger_models import LedgerEntry, LedgerEntryQuerySet  # noqa: E402  (they refer to Allocation)
from allocations.rule_models import Blackout, BookingRules  # noqa: E402
from allocations.usage_models import (  # noqa: E402  (they name Lease)
    UsageCorrection,
    UsageDay,
    UsageHour,
    UsageMark,
    UsageTotal,
)

__all__ = [
    "Allocation",
    "Blackout",
    "BookingRules",
    "CalendarFeed",
    "Lease",
    "LedgerEntry",
    "LedgerEntryQuerySet",
    "Placement",
    "UsageCorrection",
    "UsageDay",
    "UsageHour",
    "UsageMark",
    "UsageTotal",
]
