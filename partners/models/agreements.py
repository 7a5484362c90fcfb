"""The MOUs."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from common.ids import PublicIdField
from partners.lifecycle import AGREEMENT
from partners.models.organisations import Organisation, organisation_ids_of


class AgreementQuerySet(models.QuerySet["Agreement"]):
    def visible_to(self, user: Any) -> "AgreementQuerySet":
        """Agency staff see all, others those of their organisations."""
        return self if user.is_agency else self.filter(organisation_id__in=organisation_ids_of(user))


class Agreement(models.Model):
    """The MOU, as something that allows and refuses (partners/policy.py)."""

    class Cooperation(models.TextChoices):
        BUSINESS = "business", _("finding new business and tasks together")
        DATA = "data", _("collecting and using AI data")
        TECHNOLOGY = "technology", _("a network for exchanging technology")
        SPREAD = "spread", _("helping companies to spread AI")

    public_id = PublicIdField(prefix="agr")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="agreements")
    number = models.CharField(_("number"), max_length=40, unique=True)
    title = models.CharField(_("title"), max_length=200)
    signed_on = models.DateField(_("signed on"))
    valid_from = models.DateField(_("valid from"))
    valid_until = models.DateField(_("valid until (the last day counts)"))
    agency_signatory = models.CharField(_("signatory of the agency"), max_length=120)
    partner_signatory = models.CharField(_("signatory of the partner"), max_length=120)
    cooperation = ArrayField(
        models.CharField(max_length=20, choices=Cooperation.choices),
        verbose_name=_("areas of cooperation"),
        default=list,
    )
    ceiling_gpu_seconds = models.BigIntegerField(_("ceiling, GPU-hours"))
    ceiling_concurrent_gpus = models.PositiveIntegerField(_("ceiling, GPUs at once"))
    gpu_classes = ArrayField(models.CharField(max_length=40), verbose_name=_("GPU classes"), default=list)
    document = models.FileField(_("signed document (PDF)"), upload_to="agreements/%Y/", blank=True)
    document_name = models.CharField(max_length=200, blank=True)
    document_sha256 = models.CharField(max_length=64, blank=True)
    state = models.CharField(_("state"), max_length=20, choices=AGREEMENT.choices(), default=AGREEMENT.initial)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AgreementQuerySet.as_manager()

    class Meta:
        ordering = ["-signed_on", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(valid_until__gte=models.F("valid_from")), name="agreement_term_in_order"
            ),
            models.CheckConstraint(condition=models.Q(ceiling_gpu_seconds__gt=0), name="agreement_hours_positive"),
            models.CheckConstraint(condition=models.Q(ceiling_concurrent_gpus__gt=0), name="agreement_gpus_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def cooperation_labels(self) -> list[Any]:
        """The areas of cooperation in the reader's language."""
        return [self.Cooperation(area).label for area in self.cooperation]

    def get_absolute_url(self) -> str:
        return reverse("partners:agreement", args=[self.public_id])
