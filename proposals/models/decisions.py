"""What the agency answers."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from cluster.models import Pool
from proposals.models.proposals import Proposal, RequestLine


class Decision(models.Model):
    """Award, partial award, refusal, hold or return, with its reason. Asks and awards are both kept."""

    class Kind(models.TextChoices):
        AWARD = "award", _("award")
        DECLINE = "decline", _("declined")
        RETURN = "return", _("returned for changes")
        REFUSE = "refuse", _("refused by the partner")
        HOLD = "hold", _("put on hold")
        RESUME = "resume", _("taken up again")
        EXPIRE = "expire", _("expired unanswered")
        APPEAL = "appeal", _("appealed against by the partner")
        DISMISS = "dismiss", _("appeal dismissed")
        UPHOLD = "uphold", _("appeal upheld")

    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="decisions")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    reason = models.TextField(_("reason"), max_length=4_000)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text="empty: the portal, by the clock or by the fast lane",
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text="who said what had been prepared; empty: it was decided and said in one",
    )
    decided_at = models.DateTimeField(auto_now_add=True)
    answer_by = models.DateTimeField(_("answer until"), null=True, blank=True, help_text="of an award")
    reminded_days = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="so many days before `answer_by` the partner was reminded last"
    )
    override_reason = models.CharField(
        max_length=1_000, blank=True, help_text="why more was promised of a pool than its bound allows"
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("decided_by")), name="decision_by_two_people"
            ),
        ]
        indexes = [models.Index(fields=["answer_by"], condition=Q(kind="award"), name="award_answer_by")]

    def __str__(self) -> str:
        return f"{self.kind} {self.proposal_id}"

    @property
    def took_part(self) -> frozenset[int]:
        """Keys of everybody who decided it: who prepared or said it, approved it, released it. No query."""
        keys = (self.decided_by_id, self.approved_by_id, self.released_by_id)
        return frozenset(key for key in keys if key is not None)


class AwardLine(models.Model):
    """What was awarded on one request line, on which pool, beside what was asked."""

    decision = models.ForeignKey(Decision, on_delete=models.CASCADE, related_name="lines")
    request = models.ForeignKey(RequestLine, on_delete=models.PROTECT, related_name="awards")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="+")
    gpus = models.PositiveIntegerField(_("GPUs at once"))
    guaranteed_gpus = models.PositiveIntegerField(_("of these guaranteed"), default=0)
    gpu_seconds = models.BigIntegerField(_("GPU-hours"))
    window_from = models.DateTimeField(_("from"))
    window_until = models.DateTimeField(_("until"))
    envelope_ref = models.CharField(
        max_length=40, blank=True, help_text="public id of the promise that was held for it"
    )
    allocation_ref = models.CharField(max_length=40, blank=True, help_text="public id of the allocation made of it")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.gpus} on {self.pool_id}"
