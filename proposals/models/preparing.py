"""Decisions before they are said: prepared, approved by a second person where that is needed, released together."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from cluster.models import Pool
from common.ids import PublicIdField
from proposals.lifecycle import PREPARED
from proposals.models.decisions import Decision
from proposals.models.proposals import Proposal, RequestLine


class PreparedDecisionQuerySet(models.QuerySet["PreparedDecision"]):
    def visible_to(self, user: Any) -> "PreparedDecisionQuerySet":
        """The agency's alone: a partner learns a decision when it is released."""
        return self if user.is_agency else self.none()


class PreparedDecision(models.Model):
    """What is going to be decided of a proposal, as long as it can still be changed."""

    class Kind(models.TextChoices):
        AWARD = "award", _("award")
        DECLINE = "decline", _("decline")
        HOLD = "hold", _("hold")

    public_id = PublicIdField(prefix="pd")
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="prepared")
    kind = models.CharField(_("decision"), max_length=10, choices=Kind.choices)
    reason = models.TextField(_("reason"), max_length=4_000, blank=True)
    override_reason = models.CharField(
        max_length=1_000, blank=True, help_text="why more is promised of a pool than its bound allows; empty: it is not"
    )
    state = models.CharField(_("state"), max_length=20, choices=PREPARED.choices(), default=PREPARED.initial)
    version = models.PositiveIntegerField(default=1, help_text="counts savings; an approval is of one version")
    prepared_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    prepared_at = models.DateTimeField(_("prepared"))
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    decision = models.OneToOneField(
        Decision, on_delete=models.PROTECT, related_name="prepared", null=True, blank=True, help_text="once released"
    )

    objects = PreparedDecisionQuerySet.as_manager()

    class Meta:
        ordering = ["-prepared_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["proposal"], condition=Q(state__in=("prepared", "approved")), name="one_decision_is_prepared"
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("prepared_by")), name="prepared_and_approved_by_two"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.proposal.number} {self.kind}"

    @property
    def second_person(self) -> Any:
        """Who approved, or that somebody has to; where a list told whether one is needed (`needs_second`)."""
        if self.approved_by:
            return self.approved_by
        return _("needed") if getattr(self, "needs_second", False) else "–"

    def get_absolute_url(self) -> str:
        return reverse("proposals:prepared", args=[self.public_id])


class PreparedLine(models.Model):
    """What is going to be awarded on one request line."""

    prepared = models.ForeignKey(PreparedDecision, on_delete=models.CASCADE, related_name="lines")
    request = models.ForeignKey(RequestLine, on_delete=models.CASCADE, related_name="+")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="+")
    gpus = models.PositiveIntegerField(_("GPUs at once"))
    guaranteed_gpus = models.PositiveIntegerField(
        null=True, blank=True, help_text="empty: what it needs on average, as far as it is free when it is released"
    )
    gpu_seconds = models.BigIntegerField(_("GPU-hours"))
    window_from = models.DateTimeField(_("from"))
    window_until = models.DateTimeField(_("until"))

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.gpus} on {self.pool_id}"


class Appeal(models.Model):
    """A partner's word against a refusal: once, answered by somebody who did not decide it."""

    proposal = models.OneToOneField(Proposal, on_delete=models.PROTECT, related_name="appeal")
    against = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField(_("reason"), max_length=4_000)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)
    upheld = models.BooleanField(null=True, help_text="empty: not answered yet")
    answer = models.TextField(_("answer"), max_length=4_000, blank=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    answered_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"appeal of {self.proposal_id}"
