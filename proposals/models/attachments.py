"""Files that go with a proposal."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from common.ids import PublicIdField
from proposals.models.proposals import Proposal, ProposalVersion


class AttachmentQuerySet(models.QuerySet["Attachment"]):
    def visible_to(self, user: Any) -> "AttachmentQuerySet":
        """Whoever may see the proposal; what was taken away again, and never submitted, nobody."""
        seen = Proposal.objects.visible_to(user)
        kept = Q(removed_at=None) | Q(versions__isnull=False)
        return self.filter(kept, proposal__in=seen).distinct()


class Attachment(models.Model):
    """One file: what its bytes are, under a name of our own on disk and the person's own on the page."""

    class Kind(models.TextChoices):
        """What the bytes say, whatever the name says."""

        PDF = "pdf", _("PDF document")
        DOCX = "docx", _("Word document")
        XLSX = "xlsx", _("Excel workbook")
        PPTX = "pptx", _("PowerPoint presentation")
        HWP = "hwp", _("Hangul document (HWP)")
        HWPX = "hwpx", _("Hangul document (HWPX)")
        PNG = "png", _("PNG picture")
        JPEG = "jpeg", _("JPEG picture")

    public_id = PublicIdField(prefix="att")
    proposal = models.ForeignKey(Proposal, on_delete=models.CASCADE, related_name="attachments")
    versions = models.ManyToManyField(ProposalVersion, related_name="attachments", help_text="submitted with these")
    file = models.FileField(upload_to="proposals/%Y/")
    name = models.CharField(_("name"), max_length=200)
    kind = models.CharField(_("kind"), max_length=6, choices=Kind.choices)
    size_bytes = models.PositiveBigIntegerField(_("size"))
    sha256 = models.CharField(max_length=64)
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    added_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True, blank=True, help_text="kept for the versions that had it")

    objects = AttachmentQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The page of the form where it stands among the others."""
        return reverse("proposals:edit-attachments", args=[self.proposal.public_id])
