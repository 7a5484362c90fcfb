"""Who signed which document of an agreement, for which side."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from partners.models.agreements import Agreement
from partners.models.amendments import Amendment


class AgreementSignature(models.Model):
    """One side's signature under the document of an agreement, or of one of its amendments.

    `document_sha256` is what was signed: a signature counts for these bytes alone, and is void (`voided_at`) once the
    draft has others.
    """

    class Side(models.TextChoices):
        AGENCY = "agency", pgettext_lazy("side of an agreement", "agency")
        PARTNER = "partner", pgettext_lazy("side of an agreement", "partner")

    class Method(models.TextChoices):
        PAPER = "paper", _("on the uploaded document")
        CLICK = "click", _("in the portal, with the second factor")

    agreement = models.ForeignKey(Agreement, on_delete=models.PROTECT, related_name="signatures")
    amendment = models.ForeignKey(Amendment, on_delete=models.PROTECT, related_name="signatures", null=True, blank=True)
    side = models.CharField(_("side"), max_length=10, choices=Side.choices)
    method = models.CharField(_("how"), max_length=10, choices=Method.choices)
    signatory = models.CharField(_("signatory"), max_length=120)
    signed_on = models.DateField(_("signed on"))
    document_sha256 = models.CharField(max_length=64)
    recorded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    at = models.DateTimeField(auto_now_add=True)
    voided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["agreement", "amendment", "side"],
                condition=models.Q(voided_at=None),
                nulls_distinct=False,
                name="one_signature_a_side",
            )
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.signatory} {self.signed_on}"
