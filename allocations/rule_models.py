"""What officers say about booking, and when nothing may be booked at all. Part of allocations.models."""

from typing import Any

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from allocations.rulebook import Scope
from cluster.models import Pool
from common.ids import PublicIdField
from partners.models import Agreement

_ONE_SUBJECT = (
    Q(pool__isnull=False, agreement__isnull=True, allocation__isnull=True)
    | Q(pool__isnull=True, agreement__isnull=False, allocation__isnull=True)
    | Q(pool__isnull=True, agreement__isnull=True, allocation__isnull=False)
)


class BookingRules(models.Model):
    """The rules that a pool, an agreement or an allocation says for itself. Empty: not said here (see rulebook.py)."""

    pool = models.OneToOneField(Pool, on_delete=models.CASCADE, related_name="+", null=True, blank=True)
    agreement = models.OneToOneField(Agreement, on_delete=models.CASCADE, related_name="+", null=True, blank=True)
    allocation = models.OneToOneField(
        "allocations.Allocation", on_delete=models.CASCADE, related_name="+", null=True, blank=True
    )
    longest_seconds = models.PositiveIntegerField(_("longest reservation"), null=True, blank=True)
    ahead_seconds = models.PositiveIntegerField(_("how far ahead"), null=True, blank=True)
    future_leases = models.PositiveIntegerField(_("reservations ahead at once"), null=True, blank=True)
    extensions = models.PositiveIntegerField(_("extensions of a reservation"), null=True, blank=True)
    extension_window_seconds = models.PositiveIntegerField(_("extensible before the end"), null=True, blank=True)
    release_notice_seconds = models.PositiveIntegerField(_("notice for giving back"), null=True, blank=True)
    concurrent_gpus = models.PositiveIntegerField(_("GPUs at once"), null=True, blank=True)
    no_show_seconds = models.PositiveIntegerField(_("unused until"), null=True, blank=True)
    no_show_grace_seconds = models.PositiveIntegerField(_("time after the notice"), null=True, blank=True)
    early_return_percent = models.PositiveSmallIntegerField(
        _("credit for an early return, %"), null=True, blank=True, validators=[MaxValueValidator(100)]
    )
    version = models.PositiveIntegerField(default=0, help_text="counts the changes, so that none is lost")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "booking rules"
        constraints = [
            models.CheckConstraint(condition=_ONE_SUBJECT, name="rules_of_one_subject"),
            models.CheckConstraint(
                condition=Q(early_return_percent=None) | Q(early_return_percent__lte=100), name="rules_percent"
            ),
        ]

    def __str__(self) -> str:
        return f"rules of {self.scope} {self.subject}"

    @property
    def scope(self) -> Scope:
        """Whose rules these are."""
        if self.pool_id is not None:
            return "pool"
        return "agreement" if self.agreement_id is not None else "allocation"

    @property
    def subject(self) -> Any:
        """The pool, agreement or allocation."""
        return getattr(self, self.scope)


class BlackoutQuerySet(models.QuerySet["Blackout"]):
    def visible_to(self, user: Any) -> "BlackoutQuerySet":
        """Everybody who is signed in: whoever wants to book must know."""
        return self


class Blackout(models.Model):
    """From when to when nothing may be booked in a pool, or in any. What is booked before it is announced stays."""

    public_id = PublicIdField(prefix="blackout")
    pool = models.ForeignKey(
        Pool, on_delete=models.CASCADE, related_name="blackouts", null=True, blank=True, help_text="empty: every pool"
    )
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("until"))
    reason_ko = models.CharField(_("reason in Korean"), max_length=200)
    reason_en = models.CharField(_("reason in English"), max_length=200)
    created_at = models.DateTimeField(default=timezone.now)
    cancelled_at = models.DateTimeField(null=True, blank=True)

    objects = BlackoutQuerySet.as_manager()

    class Meta:
        ordering = ["starts_at", "pk"]
        constraints = [models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="blackout_window_in_order")]
        indexes = [models.Index(fields=["ends_at"], condition=Q(cancelled_at=None), name="blackout_coming")]

    def __str__(self) -> str:
        return self.public_id

    @property
    def reason(self) -> str:
        """Why, in the reader's language."""
        return self.reason_en if (get_language() or "ko").startswith("en") else self.reason_ko

    def get_absolute_url(self) -> str:
        return reverse("allocations:blackout", args=[self.public_id])
