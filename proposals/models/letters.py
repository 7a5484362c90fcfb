"""What the agency writes to a partner about a decision, and the texts that it is made of."""

from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from common.ids import PublicIdField
from partners.models import organisation_ids_of
from proposals.models.decisions import Decision
from proposals.models.proposals import Proposal


class LetterKind(models.TextChoices):
    AWARD = "award", _("award")
    PARTIAL = "partial", _("award of less than was asked")
    DECLINE = "decline", _("refusal")
    HOLD = "hold", _("hold")
    DISMISS = "dismiss", _("appeal dismissed")
    UPHOLD = "uphold", _("appeal upheld")
    EXPIRE = "expire", _("award expired")


class _InBoth(models.Model):
    subject_ko = models.CharField(_("subject (Korean)"), max_length=300)
    subject_en = models.CharField(_("subject (English)"), max_length=300)
    body_ko = models.TextField(_("text (Korean)"), max_length=20_000)
    body_en = models.TextField(_("text (English)"), max_length=20_000)

    class Meta:
        abstract = True

    def subject_in(self, language: str) -> str:
        """In Korean, or in English for every other language."""
        return self.subject_ko if language.startswith("ko") else self.subject_en

    def body_in(self, language: str) -> str:
        """In Korean, or in English for every other language."""
        return self.body_ko if language.startswith("ko") else self.body_en

    @property
    def subject(self) -> str:
        """In the reader's language."""
        return self.subject_in(get_language() or "ko")

    @property
    def body(self) -> str:
        """In the reader's language."""
        return self.body_in(get_language() or "ko")


class LetterTemplateQuerySet(models.QuerySet["LetterTemplate"]):
    def visible_to(self, user: Any) -> "LetterTemplateQuerySet":
        """The agency's."""
        return self if user.is_agency else self.none()


class LetterTemplate(_InBoth):
    """The agency's own text of one kind of letter; without a row the text that comes with the portal is sent."""

    kind = models.CharField(max_length=10, choices=LetterKind.choices, unique=True)
    version = models.PositiveIntegerField(default=1)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(auto_now=True)

    objects = LetterTemplateQuerySet.as_manager()

    class Meta:
        ordering = ["kind"]

    def __str__(self) -> str:
        return str(LetterKind(self.kind).label)


class DecisionLetterQuerySet(models.QuerySet["DecisionLetter"]):
    def visible_to(self, user: Any) -> "DecisionLetterQuerySet":
        """The agency sees all, partners those to their organisations."""
        mine = organisation_ids_of(user)
        return self if user.is_agency else self.filter(proposal__organisation_id__in=mine)


class DecisionLetter(_InBoth):
    """A letter as it was sent, in both languages; it never changes again."""

    public_id = PublicIdField(prefix="letter")
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="letters")
    decision = models.OneToOneField(Decision, on_delete=models.PROTECT, related_name="letter")
    kind = models.CharField(max_length=10, choices=LetterKind.choices)
    template_version = models.PositiveIntegerField(default=0, help_text="0: the text that comes with the portal")
    sent_at = models.DateTimeField(auto_now_add=True)

    objects = DecisionLetterQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.subject

    def get_absolute_url(self) -> str:
        return reverse("proposals:letter", args=[self.public_id])
