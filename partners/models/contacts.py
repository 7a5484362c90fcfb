"""Whom to reach at an organisation, and how it is divided."""

from django.db import models
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from common.ids import PublicIdField
from partners.models.organisations import Organisation
from partners.models.related import OfOrganisationQuerySet


class Contact(models.Model):
    """A person to write to or to call; they need no account."""

    class About(models.TextChoices):
        GENERAL = "general", _("everything")
        AGREEMENT = "agreement", _("the agreement")
        TECHNICAL = "technical", _("technical questions")
        ACCOUNTING = "accounting", _("accounting and reports")
        SECURITY = "security", _("security and personal data")

    public_id = PublicIdField(prefix="con")
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="contacts")
    name = models.CharField(_("name"), max_length=120)
    position = models.CharField(_("position"), max_length=120, blank=True)
    email = models.EmailField(_("e-mail address"), blank=True)
    phone = models.CharField(_("telephone"), max_length=30, blank=True)
    about = models.CharField(_("for"), max_length=12, choices=About.choices, default=About.GENERAL)

    objects = OfOrganisationQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.CheckConstraint(condition=~models.Q(email="") | ~models.Q(phone=""), name="contact_can_be_reached")
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """It stands on its organisation's profile."""
        return reverse("partners:organisation-profile", args=[self.organisation.public_id])


class Department(models.Model):
    """A part of an organisation; members may belong to one."""

    public_id = PublicIdField(prefix="dep")
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="departments")
    name_ko = models.CharField(_("name in Korean"), max_length=120)
    name_en = models.CharField(_("name in English"), max_length=120, blank=True)

    objects = OfOrganisationQuerySet.as_manager()

    class Meta:
        ordering = ["name_ko"]
        constraints = [models.UniqueConstraint(fields=["organisation", "name_ko"], name="department_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The name in the reader's language; Korean where there is no English one."""
        return (self.name_en if (get_language() or "ko").startswith("en") else "") or self.name_ko

    def get_absolute_url(self) -> str:
        """It stands on its organisation's profile."""
        return reverse("partners:organisation-profile", args=[self.organisation.public_id])
