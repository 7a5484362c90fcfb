"""Files that go with a proposal."""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from common.ids import PublicIdField
from proposals.models.proposals import Proposal, ProposalVersion


class SearchResult(models.TextChoices):
    """What came of looking for names in a file of a blind call."""

    NAMED = "named", _("names found")
    UNREAD = "unread", _("not readable, or not all of it")
    CLEAR = "clear", _("no name found")
    WAITING = "waiting", _("not looked at yet")


class AttachmentQuerySet(models.QuerySet["Attachment"]):
    def visible_to(self, user: Any) -> "AttachmentQuerySet":
        """Whoever may see the proposal; what was taken away again, and never submitted, nobody."""
        seen = Proposal.objects.visible_to(user)
        kept = Q(removed_at=None) | Q(versions__isnull=False)
        return self.filter(kept, proposal__in=seen).distinct()

    def in_blind_review(self) -> "AttachmentQuerySet":
        """What reviewers of blind calls get to read, or have read: files of what was handed in there."""
        handed_in = self.filter(removed_at=None, proposal__call__blind=True, proposal__submitted_at__isnull=False)
        return handed_in.filter(versions__isnull=False).distinct()

    def with_result(self, result: str) -> "AttachmentQuerySet":
        """Those for which the search came to this (a value of SearchResult)."""
        looked_at, named = self.exclude(searched_at=None), Q(names_found__len__gt=0)
        if result == SearchResult.WAITING:
            return self.filter(searched_at=None)
        if result == SearchResult.NAMED:
            return looked_at.filter(named)
        return looked_at.exclude(named).filter(read_whole=result == SearchResult.CLEAR)


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
    searched_at = models.DateTimeField(
        _("looked at"), null=True, blank=True, help_text="for names; in blind calls only"
    )
    names_found = ArrayField(models.CharField(max_length=254), verbose_name=_("names found"), default=list, blank=True)
    read_whole = models.BooleanField(default=False, help_text="the search read all that is in it; a scan it does not")
    removed_at = models.DateTimeField(null=True, blank=True, help_text="kept for the versions that had it")

    objects = AttachmentQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def search(self) -> str:
        """What the search for names came to: a value of SearchResult."""
        if self.searched_at is None:
            return str(SearchResult.WAITING)
        if self.names_found:
            return str(SearchResult.NAMED)
        return str(SearchResult.CLEAR if self.read_whole else SearchResult.UNREAD)

    @property
    def search_label(self) -> Any:
        """The same in the reader's language."""
        return SearchResult(self.search).label

    def get_absolute_url(self) -> str:
        """The page of the form where it stands among the others."""
        return reverse("proposals:edit-attachments", args=[self.proposal.public_id])
