"""Invitations to propose."""

from typing import Any

from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language

from cluster.models import Pool
from common.ids import PublicIdField


class CallQuerySet(models.QuerySet["Call"]):
    def visible_to(self, user: Any) -> "CallQuerySet":
        """Staff see all; everybody else those that are or were published."""
        return self if user.is_agency else self.filter(published_at__lte=timezone.now())


class Call(models.Model):
    """An invitation to propose: open rolling, or with a cut-off."""

    public_id = PublicIdField(prefix="call")
    title_ko = models.CharField(max_length=200)
    title_en = models.CharField(max_length=200)
    text_ko = models.TextField()
    text_en = models.TextField()
    pools = models.ManyToManyField(Pool, related_name="calls")
    published_at = models.DateTimeField(null=True, blank=True)
    closes_at = models.DateTimeField(null=True, blank=True, help_text="empty: rolling")

    objects = CallQuerySet.as_manager()

    class Meta:
        ordering = ["-published_at"]

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        """In the reader's language."""
        return self.title_en if (get_language() or "ko").startswith("en") else self.title_ko

    @property
    def text(self) -> str:
        """In the reader's language."""
        return self.text_en if (get_language() or "ko").startswith("en") else self.text_ko

    @property
    def is_open(self) -> bool:
        """Whether it takes proposals now."""
        now = timezone.now()
        published = self.published_at is not None and self.published_at <= now
        return published and (self.closes_at is None or self.closes_at > now)

    def get_absolute_url(self) -> str:
        return reverse("proposals:call", args=[self.public_id])
