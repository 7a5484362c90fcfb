"""What was changed in an agreement since it was signed."""

from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from common.ids import PublicIdField
from partners.lifecycle import AMENDMENT
from partners.models.agreements import Agreement
from partners.models.organisations import organisation_ids_of


class AmendmentQuerySet(models.QuerySet["Amendment"]):
    def visible_to(self, user: Any) -> "AmendmentQuerySet":
        """Agency staff see all, others those of their organisations."""
        mine = organisation_ids_of(user)
        return self if user.is_agency else self.filter(agreement__organisation_id__in=mine)


class Amendment(models.Model):
    """A change of an agreement with a document and signatures of its own.

    `changes` says of each term {"name": [before, after]}, in the shape of partners.terms; it is written into the
    agreement when the amendment takes effect, which makes the agreement's next version.
    """

    public_id = PublicIdField(prefix="amd")
    agreement = models.ForeignKey(Agreement, on_delete=models.PROTECT, related_name="amendments")
    number = models.PositiveSmallIntegerField(_("number"))
    reason = models.TextField(_("reason"), max_length=4_000)
    changes = models.JSONField(default=dict)
    effective_from = models.DateField(_("in force from"))
    document = models.FileField(_("document (PDF)"), upload_to="amendments/%Y/", blank=True)
    document_name = models.CharField(max_length=200, blank=True)
    document_sha256 = models.CharField(max_length=64, blank=True)
    state = models.CharField(_("state"), max_length=20, choices=AMENDMENT.choices(), default=AMENDMENT.initial)
    version = models.PositiveSmallIntegerField(null=True, help_text="of the agreement, once it is in force")
    held_reason = models.CharField(
        max_length=300, blank=True, help_text="why it could not take effect on its day; people are told once"
    )
    drafted_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AmendmentQuerySet.as_manager()

    class Meta:
        ordering = ["agreement_id", "number"]
        constraints = [
            models.UniqueConstraint(fields=["agreement", "number"], name="amendment_numbered_once"),
            models.UniqueConstraint(
                fields=["agreement"],
                condition=models.Q(state__in=("draft", "agreed")),
                name="one_open_amendment_an_agreement",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.agreement.number}-{self.number}"

    @property
    def live_signatures(self) -> list[Any]:
        """The signatures that count under its document; prefetch `signatures` for lists."""
        return [row for row in self.signatures.all() if row.voided_at is None]

    def get_absolute_url(self) -> str:
        return reverse("partners:amendment", args=[self.public_id])
