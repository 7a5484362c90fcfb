"""The MOUs."""

from typing import Any

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateRangeField, RangeOperators
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.ids import PublicIdField
from partners.lifecycle import AGREEMENT
from partners.models.organisations import Organisation, organisation_ids_of

IN_THE_WAY = ("active", "suspended", "lapsed")
"""States of an agreement that takes its days: a draft allows nothing yet, and one that was terminated nothing more."""


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

    class RunOut(models.TextChoices):
        """What becomes of running reservations when the agreement ends or is suspended."""

        AT_ONCE = "at_once", _("they end at once")
        GRACE = "grace", _("they end after days of grace")
        OWN_END = "own_end", _("they run to their own end")

    public_id = PublicIdField(prefix="agr")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="agreements")
    number = models.CharField(_("number"), max_length=40, unique=True)
    title = models.CharField(_("title"), max_length=200)
    signed_on = models.DateField(_("signed on"), null=True, blank=True, help_text="empty until both sides have signed")
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
    ceiling_gpu_seconds_a_year = models.BigIntegerField(
        _("ceiling, GPU-hours a calendar year"), null=True, blank=True, help_text="empty: only the ceiling in all holds"
    )
    ceiling_concurrent_gpus = models.PositiveIntegerField(_("ceiling, GPUs at once"))
    pools = ArrayField(
        models.CharField(max_length=40),
        verbose_name=_("pools"),
        default=list,
        blank=True,
        help_text="public ids; empty: every pool of the classes",
    )
    data_rules = models.TextField(_("data rules"), max_length=4_000, blank=True)
    credit_line = models.CharField(_("credit line"), max_length=300, blank=True)
    ending_rule = models.CharField(
        _("running reservations when the agreement ends"),
        max_length=10,
        choices=RunOut.choices,
        default=RunOut.OWN_END,
    )
    ending_days = models.PositiveSmallIntegerField(_("days of grace at the end"), default=0)
    suspension_rule = models.CharField(
        _("running reservations when the agreement is suspended"),
        max_length=10,
        choices=RunOut.choices,
        default=RunOut.OWN_END,
    )
    suspension_days = models.PositiveSmallIntegerField(_("days of grace at a suspension"), default=0)
    gpu_classes = ArrayField(models.CharField(max_length=40), verbose_name=_("GPU classes"), default=list)
    document = models.FileField(_("signed document (PDF)"), upload_to="agreements/%Y/", blank=True)
    document_name = models.CharField(max_length=200, blank=True)
    document_sha256 = models.CharField(max_length=64, blank=True)
    state = models.CharField(_("state"), max_length=20, choices=AGREEMENT.choices(), default=AGREEMENT.initial)
    state_since = models.DateTimeField(default=timezone.now, help_text="when it came into its present state")
    state_reason = models.TextField(
        _("reason"), blank=True, help_text="why it was suspended or terminated, for both sides"
    )
    played_out = models.BooleanField(
        default=True,
        help_text="False while its reservations must still be looked after because it ended or stands still",
    )
    version = models.PositiveSmallIntegerField(_("version"), default=1, help_text="one more with each amendment")
    revision = models.PositiveIntegerField(default=1, help_text="one more with each change of the draft")
    renews = models.OneToOneField(
        "self", on_delete=models.PROTECT, related_name="renewed_by", null=True, blank=True, verbose_name=_("renews")
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AgreementQuerySet.as_manager()

    class Meta:
        ordering = ["-valid_from", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(valid_until__gte=models.F("valid_from")), name="agreement_term_in_order"
            ),
            models.CheckConstraint(condition=models.Q(ceiling_gpu_seconds__gt=0), name="agreement_hours_positive"),
            models.CheckConstraint(condition=models.Q(ceiling_concurrent_gpus__gt=0), name="agreement_gpus_positive"),
            models.CheckConstraint(
                condition=models.Q(ceiling_gpu_seconds_a_year=None) | models.Q(ceiling_gpu_seconds_a_year__gt=0),
                name="agreement_hours_a_year_positive",
            ),
            ExclusionConstraint(
                name="one_agreement_a_day",
                expressions=[
                    ("organisation", RangeOperators.EQUAL),
                    (
                        models.Func(
                            "valid_from",
                            "valid_until",
                            models.Value("[]"),
                            function="daterange",
                            output_field=DateRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ],
                condition=models.Q(state__in=IN_THE_WAY),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def cooperation_labels(self) -> list[Any]:
        """The areas of cooperation in the reader's language."""
        return [self.Cooperation(area).label for area in self.cooperation]

    @property
    def live_signatures(self) -> list[Any]:
        """The signatures that count under its document; prefetch `signatures` for lists."""
        return [row for row in self.signatures.all() if row.voided_at is None and row.amendment_id is None]

    def get_absolute_url(self) -> str:
        return reverse("partners:agreement", args=[self.public_id])
