"""What an organisation held and made of it in a month: closed, numbered, signed, chained."""

import json
from typing import Any

from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from common.ids import PublicIdField
from partners.models import Organisation, organisation_ids_of


class StatementQuerySet(models.QuerySet["Statement"]):
    def visible_to(self, user: Any) -> "StatementQuerySet":
        """Agency staff see all, others those of their organisations."""
        return self if user.is_agency else self.filter(organisation_id__in=organisation_ids_of(user))


class Statement(models.Model):
    """The statement of one organisation for one month (of the site's zone). Append-only.

    `text` is the canonical JSON that is signed and hashed; it names the SHA-256 of the statement before it, so that
    none can be altered or left out. What is corrected later stands in the next month's.
    """

    public_id = PublicIdField(prefix="stmt")
    number = models.CharField(_("number"), max_length=20, unique=True, help_text="BG-2026-11-0001")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="statements")
    month = models.DateField(_("month"), help_text="its first day, in the site's zone")
    text = models.TextField(help_text="canonical JSON")
    sha256 = models.CharField(max_length=64)
    previous_sha256 = models.CharField(max_length=64, blank=True, help_text="empty: the first of all")
    signature = models.CharField(
        max_length=120, help_text="Ed25519 over bitgoeul/statement/1, a zero byte and the text's UTF-8 bytes, base64"
    )
    public_key = models.CharField(max_length=60, help_text="which of the portal's keys it was signed with, base64")
    held_seconds = models.BigIntegerField()
    used_seconds = models.BigIntegerField()
    idle_seconds = models.BigIntegerField(help_text="idle and memory-parked")
    last_correction = models.BigIntegerField(default=0, help_text="key of the last correction that it knows of")
    closed_at = models.DateTimeField(_("closed"))
    closed_by = models.CharField(max_length=254)

    objects = StatementQuerySet.as_manager()

    class Meta:
        ordering = ["-month", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["organisation", "month"], name="one_statement_a_month"),
            models.UniqueConstraint(fields=["previous_sha256"], name="statements_are_one_chain"),
        ]

    def __str__(self) -> str:
        return self.number

    def get_absolute_url(self) -> str:
        return reverse("usage:statement", args=[self.public_id])

    @property
    def document(self) -> dict[str, Any]:
        """What was signed."""
        found: dict[str, Any] = json.loads(self.text)
        return found
