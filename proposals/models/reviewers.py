"""The people who review, and what they are good at."""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.ids import PublicIdField
from partners.models import Organisation
from proposals.models.proposals import Proposal


class ReviewerProfileQuerySet(models.QuerySet["ReviewerProfile"]):
    def visible_to(self, user: Any) -> "ReviewerProfileQuerySet":
        """The agency sees all of them, a reviewer their own."""
        return self if user.is_agency else self.filter(user_id=user.pk)


class ReviewerProfile(models.Model):
    """Fields of expertise, how much somebody takes on, and whether they can be asked now."""

    public_id = PublicIdField(prefix="rev")
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="reviewer_profile")
    purposes = ArrayField(
        models.CharField(max_length=20, choices=Proposal.Purpose.choices),
        verbose_name=_("kinds of work"),
        default=list,
        blank=True,
    )
    topics = ArrayField(
        models.CharField(max_length=40),
        verbose_name=_("topics"),
        default=list,
        blank=True,
        help_text="words that are looked for in titles and plans",
    )
    affiliation = models.CharField(_("affiliation"), max_length=120, blank=True)
    load_limit = models.PositiveSmallIntegerField(_("most reviews at a time"), default=10)
    is_available = models.BooleanField(_("can be asked"), default=True)
    revision = models.PositiveIntegerField(default=1, help_text="counts savings")

    objects = ReviewerProfileQuerySet.as_manager()

    class Meta:
        ordering = ["user__name", "pk"]

    def __str__(self) -> str:
        return str(self.user)

    def get_absolute_url(self) -> str:
        return reverse("proposals:reviewer", args=[self.public_id])


class FormerEmployer(models.Model):
    """Where a reviewer worked. `organisation` where it is one that the portal knows."""

    profile = models.ForeignKey(ReviewerProfile, on_delete=models.CASCADE, related_name="former_employers")
    name = models.CharField(_("employer"), max_length=120)
    until = models.DateField(_("until"), help_text=_("The last day counts."))
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-until", "pk"]

    def __str__(self) -> str:
        return f"{self.name} ({self.until})"


class ReviewerInvitation(models.Model):
    """An invitation to the pool of reviewers by mail; the token is kept hashed and dies after its use or two weeks."""

    public_id = PublicIdField(prefix="rinv")
    email = models.EmailField(_("e-mail address"))
    purposes = ArrayField(models.CharField(max_length=20, choices=Proposal.Purpose.choices), default=list, blank=True)
    topics = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    load_limit = models.PositiveSmallIntegerField(default=10)
    token_hash = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.email

    def get_absolute_url(self) -> str:
        """The page that lists those that are open."""
        return reverse("proposals:reviewers")

    @property
    def is_open(self) -> bool:
        """Whether it can still be accepted."""
        return self.accepted_at is None and self.revoked_at is None and self.expires_at > timezone.now()
