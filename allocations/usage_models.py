"""What was made of every held minute of a device, decided once. Part of allocations.models."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from allocations.usage_classes import UsageClass
from cluster.models import Device
from common.ids import PublicIdField
from partners.models import organisation_ids_of
from telemetry.partitions import MONTH, Partitioned

_SUM_IS_HELD = Q(
    held_seconds=F("used_seconds")
    + F("idle_seconds")
    + F("parked_seconds")
    + F("hung_seconds")
    + F("no_data_seconds")
    + F("fault_seconds")
    + F("maintenance_seconds")
)
HOURS_BY_MONTH = Partitioned("allocations_usagehour", "hour", MONTH, keep_days=0, append_only=True)
"""At 2,500 devices 22 million rows a year: what a month's page or proof reads is that month's alone."""
FIGURES = (
    "held_seconds",
    "used_seconds",
    "idle_seconds",
    "parked_seconds",
    "hung_seconds",
    "no_data_seconds",
    "fault_seconds",
    "maintenance_seconds",
    "samples",
    "energy_j",
)
"""What rows and sums of use have in common, in this order."""


class _OfLeases(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> "_OfLeases":
        """Whoever sees the lease."""
        mine = organisation_ids_of(user)
        return self if user.is_agency else self.filter(lease__allocation__project__organisation_id__in=mine)

    def totals(self) -> dict[str, int]:
        """The sums of all figures: one query."""
        return self.aggregate(**{name: Sum(name, default=0) for name in FIGURES})


class _Figures(models.Model):
    """The seven classes and what they add up to."""

    held_seconds = models.IntegerField()
    used_seconds = models.IntegerField(default=0)
    idle_seconds = models.IntegerField(default=0)
    parked_seconds = models.IntegerField(default=0)
    hung_seconds = models.IntegerField(default=0)
    no_data_seconds = models.IntegerField(default=0)
    fault_seconds = models.IntegerField(default=0)
    maintenance_seconds = models.IntegerField(default=0)
    samples = models.IntegerField(default=0, help_text="measurements that this rests on")
    energy_j = models.BigIntegerField(default=0, help_text="of the GPU's counter, where it has one")

    class Meta:
        abstract = True


class UsageHour(_Figures):
    """A device of a lease in one hour: the class of each minute that it was held, and what they add up to.

    Append-only: what turns out to be otherwise is appended as a `UsageCorrection`. Seconds are the device's own,
    whatever part of a GPU it is. Partitioned by month and kept for good: statements are proved from it.
    """

    pk = models.CompositePrimaryKey("lease_id", "device_id", "hour")
    lease = models.ForeignKey("allocations.Lease", on_delete=models.PROTECT, related_name="usage_hours", db_index=False)
    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="+", db_index=False)
    hour = models.DateTimeField(help_text="UTC")
    codes = models.CharField(max_length=60, help_text="a letter a minute (UsageClass.letter); blank: not held")
    rule_version = models.PositiveSmallIntegerField()
    decided_at = models.DateTimeField(default=timezone.now, db_default=models.functions.Now())

    objects = _OfLeases.as_manager()

    class Meta:
        ordering = ["hour", "device_id"]
        constraints = [
            models.CheckConstraint(condition=_SUM_IS_HELD, name="usage_hour_is_what_was_held"),
        ]

    def __str__(self) -> str:
        return f"{self.lease_id} {self.device_id} {self.hour:%Y-%m-%d %H}"


class UsageCorrection(models.Model):
    """Some minutes of a decided hour that were something else, with the reason. Append-only.

    Within one entry all minutes had one class and get one. An empty class: not held.
    """

    LATE_DATA = "late data"
    FAULT_FOUND = "a fault that was reported later"
    NOT_HELD = "the device was given back earlier than was known"
    WHY = {
        LATE_DATA: _("measurements that arrived late"),
        FAULT_FOUND: _("a fault that was reported later"),
        NOT_HELD: _("the GPU was given back earlier than was known"),
    }
    """The reasons that the portal writes by itself, in words; anything else is somebody's own text."""

    public_id = PublicIdField(prefix="corr")
    lease = models.ForeignKey("allocations.Lease", on_delete=models.PROTECT, related_name="usage_corrections")
    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="+")
    hour = models.DateTimeField(help_text="UTC")
    first_minute = models.PositiveSmallIntegerField()
    last_minute = models.PositiveSmallIntegerField(help_text="included")
    from_class = models.CharField(max_length=12, choices=UsageClass.choices)
    to_class = models.CharField(max_length=12, choices=UsageClass.choices, blank=True, help_text="empty: not held")
    seconds = models.IntegerField(help_text="device-seconds that move from one class to the other")
    samples = models.IntegerField(default=0, help_text="measurements that came with it")
    energy_j = models.BigIntegerField(default=0)
    reason = models.CharField(_("reason"), max_length=300)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    actor_label = models.CharField(max_length=254)
    at = models.DateTimeField(default=timezone.now)

    objects = _OfLeases.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(last_minute__lt=60, first_minute__lte=F("last_minute")), name="usage_correction_in_an_hour"
            ),
            models.CheckConstraint(
                condition=Q(seconds__gt=0) & ~Q(from_class=F("to_class")), name="usage_correction_moves_something"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="usage_correction_has_a_reason"),
        ]
        indexes = [models.Index(fields=["lease", "hour"])]

    def __str__(self) -> str:
        return self.public_id

    @property
    def why(self) -> str:
        """The reason in the reader's language."""
        return str(self.WHY.get(self.reason, self.reason))


class UsageDay(_Figures):
    """A lease on one day (of the site's zone): its hours with their corrections, in seconds of whole GPUs.

    A MIG instance's second counts as much of a GPU's as it is of the GPU. Made anew from the hours in the transaction
    that adds any; the pages of months and years read this.
    """

    lease = models.ForeignKey("allocations.Lease", on_delete=models.PROTECT, related_name="usage_days")
    day = models.DateField()

    objects = _OfLeases.as_manager()

    class Meta:
        ordering = ["day"]
        constraints = [
            models.UniqueConstraint(fields=["lease", "day"], name="one_row_per_lease_and_day"),
            models.CheckConstraint(condition=_SUM_IS_HELD, name="usage_day_is_what_was_held"),
        ]
        indexes = [models.Index(fields=["day"])]

    def __str__(self) -> str:
        return f"{self.lease_id} {self.day}"


class UsageTotal(models.Model):
    """A lease's days in all: what it made of its GPUs so far. Made anew with the days, in the same transaction; whoever
    asks for no time reads this, a row a lease however long it is.
    """

    lease = models.OneToOneField(
        "allocations.Lease", on_delete=models.PROTECT, primary_key=True, related_name="usage_total"
    )
    held_seconds = models.BigIntegerField()
    used_seconds = models.BigIntegerField()
    idle_seconds = models.BigIntegerField()
    parked_seconds = models.BigIntegerField()
    hung_seconds = models.BigIntegerField()
    no_data_seconds = models.BigIntegerField()
    fault_seconds = models.BigIntegerField()
    maintenance_seconds = models.BigIntegerField()
    samples = models.BigIntegerField()
    energy_j = models.BigIntegerField()

    objects = _OfLeases.as_manager()

    class Meta:
        constraints = [models.CheckConstraint(condition=_SUM_IS_HELD, name="usage_total_is_what_was_held")]

    def __str__(self) -> str:
        return str(self.lease_id)


class UsageMark(models.Model):
    """Until when every hour is decided (`decided`) or has been looked at again for late data (`revised`)."""

    name = models.CharField(max_length=20, primary_key=True)
    done_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} {self.done_until:%Y-%m-%d %H}"
