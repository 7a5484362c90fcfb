"""What a partner wants changed of what it was awarded."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from allocations.models import Allocation
from cluster.models import Pool
from common.ids import PublicIdField
from partners.models import organisation_ids_of
from proposals.lifecycle import CHANGE


class ChangeRequestQuerySet(models.QuerySet["ChangeRequest"]):
    def visible_to(self, user: Any) -> "ChangeRequestQuerySet":
        """Agency staff see all, others those of their organisations."""
        mine = organisation_ids_of(user)
        return self if user.is_agency else self.filter(allocation__project__organisation_id__in=mine)


class ChangeRequest(models.Model):
    """One change to one allocation, or to who leads its project; what was before and after stays."""

    class Kind(models.TextChoices):
        HOURS = "hours", _("more GPU-hours")
        TERM = "term", _("a longer term")
        POOL = "pool", _("another pool or GPU class")
        LEAD = "lead", _("hand over to another person")

    public_id = PublicIdField(prefix="chg")
    allocation = models.ForeignKey(Allocation, on_delete=models.PROTECT, related_name="change_requests")
    kind = models.CharField(_("change"), max_length=10, choices=Kind.choices)
    gpu_seconds = models.BigIntegerField(_("more GPU-hours"), null=True, blank=True)
    valid_until = models.DateTimeField(_("valid until"), null=True, blank=True)
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    lead = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    reason = models.TextField(_("reason"), max_length=4_000)
    state = models.CharField(_("state"), max_length=20, choices=CHANGE.choices(), default=CHANGE.initial)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(_("asked"), auto_now_add=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text="the first of two officers, where it takes two",
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    answer = models.TextField(_("answer"), max_length=4_000, blank=True)
    before = models.JSONField(default=dict, blank=True)
    after = models.JSONField(default=dict, blank=True)
    result_ref = models.CharField(max_length=40, blank=True, help_text="public id of the allocation that came of it")

    objects = ChangeRequestQuerySet.as_manager()

    class Meta:
        ordering = ["-asked_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["allocation", "kind"], condition=Q(state__in=("asked", "approved")), name="change_asked_once"
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None)
                | Q(decided_by=None)
                | ~Q(approved_by=F("decided_by"))
                | Q(state="declined"),
                name="change_by_two_people",
            ),
        ]
        indexes = [models.Index(fields=["state", "asked_at"])]

    def __str__(self) -> str:
        return self.public_id

    def get_absolute_url(self) -> str:
        return reverse("proposals:change-request", args=[self.public_id])
