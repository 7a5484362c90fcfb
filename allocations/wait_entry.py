"""An ask that waits: who wants how many GPUs of a pool for how long, somewhere between two moments."""

from datetime import timedelta
from fractions import Fraction
from typing import Any, cast

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from allocations import shapes
from allocations.lifecycle import ON_THE_LIST, WAIT
from common.ids import PublicIdField
from partners.models import organisation_ids_of


class WaitEntryQuerySet(models.QuerySet["WaitEntry"]):
    def visible_to(self, user: Any) -> "WaitEntryQuerySet":
        """Agency staff see all, others those of their organisations."""
        mine = organisation_ids_of(user)
        return self if user.is_agency else self.filter(allocation__project__organisation_id__in=mine)

    def open(self) -> "WaitEntryQuerySet":
        """Those that are not over."""
        return self.filter(state__in=ON_THE_LIST)


class WaitEntry(models.Model):
    """One ask on the wait-list. What is asked for never changes: whoever wants another thing leaves and joins anew."""

    public_id = PublicIdField(prefix="wait")
    allocation = models.ForeignKey("allocations.Allocation", on_delete=models.PROTECT, related_name="wait_entries")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    device_count = models.PositiveIntegerField(_("GPUs"))
    profile = models.CharField(
        _("MIG profile"), max_length=40, blank=True, help_text="of each of the devices; empty: whole GPUs"
    )
    slices = models.PositiveSmallIntegerField(default=1, help_text="memory slices that each of the devices takes")
    slices_of = models.PositiveSmallIntegerField(default=1, help_text="of so many that the GPU has; 1 of 1: whole")
    smallest = models.PositiveIntegerField(_("fewest that help"))
    duration_seconds = models.PositiveIntegerField(_("for how long"))
    earliest_at = models.DateTimeField(_("not before"))
    latest_at = models.DateTimeField(_("done by"))
    shape = models.CharField(_("how they lie together"), max_length=10, default="any")
    shape_nodes = models.PositiveSmallIntegerField(default=1)
    note = models.CharField(_("what for"), max_length=200, blank=True)
    state = models.CharField(_("state"), max_length=20, choices=WAIT.choices(), default=WAIT.initial)
    state_reason = models.CharField(max_length=300, blank=True)
    joined_at = models.DateTimeField(_("on the list since"), default=timezone.now)
    next_try_at = models.DateTimeField(default=timezone.now, help_text="an offer is looked for from then on")
    obstacle = models.CharField(
        max_length=40, blank=True, help_text="code of the rule of its own that stood in the way at the last look"
    )
    passed_over = models.PositiveIntegerField(default=0, help_text="offers to others behind it while nothing fitted it")
    missed = models.PositiveSmallIntegerField(_("offers not taken"), default=0)
    lease = models.OneToOneField(
        "allocations.Lease",
        on_delete=models.PROTECT,
        related_name="wait_entry",
        null=True,
        blank=True,
        help_text="the latest offer",
    )
    remind_at = models.DateTimeField(null=True, blank=True, help_text="when its people are reminded of the offer")
    served_at = models.DateTimeField(null=True, blank=True)
    over_at = models.DateTimeField(null=True, blank=True)

    objects = WaitEntryQuerySet.as_manager()

    class Meta:
        ordering = ["joined_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["allocation"], condition=Q(state__in=ON_THE_LIST), name="one_place_on_the_list"
            ),
            models.CheckConstraint(
                condition=Q(smallest__gt=0, smallest__lte=F("device_count"), duration_seconds__gt=0),
                name="wait_entry_asks_for_something",
            ),
            models.CheckConstraint(
                condition=Q(slices__gt=0, slices__lte=F("slices_of")), name="wait_entry_share_of_a_gpu"
            ),
            models.CheckConstraint(condition=Q(latest_at__gt=F("earliest_at")), name="wait_entry_window_in_order"),
            models.CheckConstraint(
                condition=~Q(state__in=("offered", "served")) | Q(lease__isnull=False), name="wait_entry_has_its_offer"
            ),
        ]
        indexes = [models.Index(fields=["next_try_at"], condition=Q(state="waiting"), name="wait_entry_due")]

    def __str__(self) -> str:
        return self.public_id

    def get_absolute_url(self) -> str:
        return f"{reverse('allocations:waitlist')}#{self.public_id}"

    @property
    def layout(self) -> shapes.Shape:
        """How the GPUs are to lie together."""
        return shapes.Shape(cast(shapes.Kind, self.shape), self.shape_nodes)

    @property
    def share(self) -> Fraction:
        """The part of a GPU that each of the devices is, by slices of memory."""
        return Fraction(self.slices, self.slices_of)

    @property
    def envelope_key(self) -> int | None:
        """The allocation's, for whole GPUs: no part of one is lent out of a promise."""
        envelope: int | None = self.allocation.envelope_key
        return None if self.profile else envelope

    @property
    def duration(self) -> timedelta:
        """For how long."""
        return timedelta(seconds=self.duration_seconds)
