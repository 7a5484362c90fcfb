"""What a partner owes under an agreement, and the notices that went out before its end."""

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from common.ids import PublicIdField
from partners.models.agreements import Agreement
from partners.models.organisations import organisation_ids_of


class ObligationQuerySet(models.QuerySet["Obligation"]):
    def visible_to(self, user: Any) -> "ObligationQuerySet":
        """Agency staff see all, others those of their organisations."""
        mine = organisation_ids_of(user)
        return self if user.is_agency else self.filter(agreement__organisation_id__in=mine)


class Obligation(models.Model):
    """Something the partner has to do: a report by a day, the credit line in what it publishes."""

    class Kind(models.TextChoices):
        REPORT = "report", _("report")
        CREDIT = "credit", _("credit line")
        OTHER = "other", _("other")

    public_id = PublicIdField(prefix="obl")
    agreement = models.ForeignKey(Agreement, on_delete=models.CASCADE, related_name="obligations")
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    text = models.CharField(_("what is owed"), max_length=500)
    due_on = models.DateField(_("due on"), null=True, blank=True)
    done_on = models.DateField(_("done on"), null=True, blank=True)
    done_note = models.CharField(_("how"), max_length=500, blank=True)
    done_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    reminded_step = models.SmallIntegerField(
        null=True, help_text="days before its day of the last reminder; -1: that it is overdue"
    )

    objects = ObligationQuerySet.as_manager()

    class Meta:
        ordering = [models.F("due_on").asc(nulls_last=True), "pk"]

    def __str__(self) -> str:
        return self.text

    def get_absolute_url(self) -> str:
        """It stands on its agreement's page."""
        return self.agreement.get_absolute_url()


class AgreementNotice(models.Model):
    """A notice that an agreement will end: once for each step before each last day."""

    agreement = models.ForeignKey(Agreement, on_delete=models.CASCADE, related_name="notices")
    days = models.PositiveSmallIntegerField(help_text="the step: so many days before the last day")
    valid_until = models.DateField()
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agreement", "days", "valid_until"], name="agreement_notice_once")
        ]

    def __str__(self) -> str:
        return f"{self.agreement_id} {self.days}"
