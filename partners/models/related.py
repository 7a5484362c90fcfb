"""Who stands behind an organisation and beside it: what conflicts of interest are found by."""

from decimal import Decimal
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Greatest, Least
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from common.ids import PublicIdField
from partners.models.organisations import Organisation, organisation_ids_of


class OfOrganisationQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> "OfOrganisationQuerySet":
        """Agency staff see all, others those of their organisations."""
        return self if user.is_agency else self.filter(organisation_id__in=organisation_ids_of(user))


class Shareholder(models.Model):
    """Who holds a part of an organisation: a person, a company of which we know the number, or one that is registered
    here (`holder`).
    """

    public_id = PublicIdField(prefix="shr")
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="shareholders")
    name = models.CharField(_("name"), max_length=120)
    registration_number = models.CharField(_("business registration number"), max_length=10, blank=True)
    holder = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="holdings", null=True, blank=True, verbose_name=_("holder")
    )
    percent = models.DecimalField(
        _("share, per cent"),
        max_digits=5,
        decimal_places=2,
        validators=[MinValueValidator(Decimal("0.01")), MaxValueValidator(Decimal(100))],
    )

    objects = OfOrganisationQuerySet.as_manager()

    class Meta:
        ordering = ["-percent", "name"]
        constraints = [
            models.UniqueConstraint(fields=["organisation", "name"], name="shareholder_once"),
            models.CheckConstraint(
                condition=models.Q(percent__gt=0, percent__lte=100), name="shareholder_percent_of_a_hundred"
            ),
            models.CheckConstraint(
                condition=models.Q(holder=None) | ~models.Q(holder=models.F("organisation")),
                name="shareholder_is_another",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.percent} %"

    @property
    def shown_registration_number(self) -> str:
        """123-45-67891, as people write it; "" where none is known."""
        digits = self.registration_number
        return f"{digits[:3]}-{digits[3:5]}-{digits[5:]}" if digits else ""

    def get_absolute_url(self) -> str:
        """It stands on its organisation's profile."""
        return reverse("partners:organisation-profile", args=[self.organisation.public_id])


class RelationQuerySet(models.QuerySet["Relation"]):
    def visible_to(self, user: Any) -> "RelationQuerySet":
        """Agency staff see all, others those of their organisations, from whichever end."""
        mine = organisation_ids_of(user)
        either = models.Q(organisation_id__in=mine) | models.Q(other_id__in=mine)
        return self if user.is_agency else self.filter(either)


class Relation(models.Model):
    """How `organisation` stands to `other`; read from both ends, stored once."""

    class Kind(models.TextChoices):
        PARENT = "parent", pgettext_lazy("relation of organisations", "parent company of")
        AFFILIATE = "affiliate", pgettext_lazy("relation of organisations", "affiliate of")
        GROUP = "group", pgettext_lazy("relation of organisations", "in the same group as")

    public_id = PublicIdField(prefix="rel")
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="relations")
    other = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="relations_from_others")
    kind = models.CharField(_("relation"), max_length=10, choices=Kind.choices)
    note = models.CharField(_("note"), max_length=200, blank=True)

    objects = RelationQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                Least("organisation", "other"),
                Greatest("organisation", "other"),
                name="relation_once_a_pair",
            ),
            models.CheckConstraint(
                condition=~models.Q(other=models.F("organisation")), name="relation_between_two_organisations"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.organisation_id} {self.kind} {self.other_id}"

    def get_absolute_url(self) -> str:
        """It stands on its organisation's profile."""
        return reverse("partners:organisation-profile", args=[self.organisation.public_id])
