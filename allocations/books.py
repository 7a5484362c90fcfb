"""What stands behind the ledger: the weights of the pools over time, and the corrections that two people answer for."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from allocations.charging import NORMAL
from allocations.lifecycle import ADJUSTMENT
from cluster.models import Pool
from common.ids import PublicIdField

HEAVIEST = 100 * NORMAL
"""The largest weight, per mille: a figure that is larger is a slip of the pen."""


class PoolWeightQuerySet(models.QuerySet["PoolWeight"]):
    def visible_to(self, user: Any) -> "PoolWeightQuerySet":
        """Those of the pools that somebody may see: what a GPU costs is no secret."""
        return self.filter(pool__in=Pool.objects.visible_to(user))


class PoolWeight(models.Model):
    """From a moment on a second of a GPU of the pool counts `weight` per mille. Before the first one it is 1000."""

    public_id = PublicIdField(prefix="weight")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="weights")
    weight = models.PositiveIntegerField(
        _("weight"), help_text="per mille: 1500 charges an hour and a half for an hour"
    )
    valid_from = models.DateTimeField(_("from"))
    reason = models.CharField(_("reason"), max_length=200)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    announced_at = models.DateTimeField(_("announced"), auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True, help_text="only before it begins")
    withdrawn_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )

    objects = PoolWeightQuerySet.as_manager()

    class Meta:
        ordering = ["-valid_from", "-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(weight__gt=0, weight__lte=HEAVIEST), name="weight_in_bounds"),
            models.CheckConstraint(
                condition=Q(withdrawn_at=None) | Q(withdrawn_at__lt=F("valid_from")), name="weight_withdrawn_in_time"
            ),
            models.UniqueConstraint(
                fields=["pool", "valid_from"], condition=Q(withdrawn_at=None), name="one_weight_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pool.name}: {self.weight / NORMAL:g}"

    def get_absolute_url(self) -> str:
        return reverse("allocations:weights") + f"?pool={self.pool.public_id}"


class AdjustmentQuerySet(models.QuerySet["Adjustment"]):
    def visible_to(self, user: Any) -> "AdjustmentQuerySet":
        """The agency's: partners read on their statement what was confirmed, with both names."""
        return self if user.is_agency else self.none()


class Adjustment(models.Model):
    """Device-seconds that an officer proposes to add or to take, and that another one confirms."""

    public_id = PublicIdField(prefix="adj")
    allocation = models.ForeignKey("allocations.Allocation", on_delete=models.PROTECT, related_name="adjustments")
    device_seconds = models.BigIntegerField(_("GPU-hours"), help_text="signed")
    reason = models.CharField(_("reason"), max_length=200)
    state = models.CharField(_("state"), max_length=20, choices=ADJUSTMENT.choices(), default=ADJUSTMENT.initial)
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(_("proposed"), auto_now_add=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    answer = models.CharField(_("answer"), max_length=200, blank=True, help_text="why it was rejected")
    entry = models.OneToOneField(
        "allocations.LedgerEntry", on_delete=models.PROTECT, related_name="adjustment", null=True, blank=True
    )

    objects = AdjustmentQuerySet.as_manager()

    class Meta:
        ordering = ["-proposed_at"]
        constraints = [
            models.CheckConstraint(condition=~Q(device_seconds=0), name="adjustment_moves_something"),
            models.CheckConstraint(
                condition=~Q(state="confirmed") | Q(decided_by__isnull=False) & ~Q(decided_by=F("proposed_by")),
                name="adjustment_needs_two_people",
            ),
            models.CheckConstraint(
                condition=Q(state="confirmed", entry__isnull=False) | ~Q(state="confirmed") & Q(entry=None),
                name="adjustment_is_entered",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    def get_absolute_url(self) -> str:
        return reverse("allocations:adjustment", args=[self.public_id])
