"""What a proposal goes through between submission and answer."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cluster.models import GpuClass, Pool
from common.ids import PublicIdField
from proposals.lifecycle import STEP
from proposals.models.calls import CallStep
from proposals.models.proposals import Proposal

IN_REVIEW = ("in_review", "held", "appealed")


class ProposalStepQuerySet(models.QuerySet["ProposalStep"]):
    def visible_to(self, user: Any) -> "ProposalStepQuerySet":
        """Those of the proposals that the user may see whole; what is said in them is decided by visibility.py."""
        return self if user.is_agency else self.filter(proposal__in=Proposal.objects.visible_to(user))

    def current(self) -> "ProposalStepQuerySet":
        """Of the version that was handed in last."""
        return self.filter(version=F("proposal__version"))

    def at_work(self) -> "ProposalStepQuerySet":
        """Open, of proposals that are being reviewed now."""
        return self.current().filter(state="open", proposal__state__in=IN_REVIEW)


class ProposalStep(models.Model):
    """One step of one submitted version: who has to take it until when, and how it ended."""

    public_id = PublicIdField(prefix="step")
    proposal = models.ForeignKey(Proposal, on_delete=models.CASCADE, related_name="steps")
    version = models.PositiveIntegerField(help_text="of the proposal")
    kind = models.CharField(_("step"), max_length=10, choices=CallStep.Kind.choices)
    place = models.PositiveSmallIntegerField()
    state = models.CharField(_("state"), max_length=20, choices=STEP.choices(), default=STEP.initial)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    due_at = models.DateTimeField(_("due"), null=True, blank=True)
    opened_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    note = models.TextField(_("reason"), max_length=4_000, blank=True)
    gpu_class = models.ForeignKey(
        GpuClass,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="technical check: the class that suits the work",
    )
    pool = models.ForeignKey(
        Pool,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="technical check: where it can run",
    )
    reminded_at = models.DateTimeField(null=True, blank=True, help_text="that the deadline comes near")
    chased_at = models.DateTimeField(null=True, blank=True, help_text="that the deadline is over")

    objects = ProposalStepQuerySet.as_manager()

    class Meta:
        ordering = ["proposal_id", "version", "place"]
        constraints = [models.UniqueConstraint(fields=["proposal", "version", "kind"], name="proposal_step_once")]
        indexes = [models.Index(fields=["due_at"], condition=models.Q(state="open"), name="step_open_due")]

    def __str__(self) -> str:
        return str(self.get_kind_display())

    @property
    def is_overdue(self) -> bool:
        """Open past its deadline."""
        return self.state == "open" and self.due_at is not None and self.due_at < timezone.now()

    def get_absolute_url(self) -> str:
        return reverse("proposals:step", args=[self.public_id])
