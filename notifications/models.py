"""What was said to whom."""

from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from common.ids import PublicIdField


class NotificationQuerySet(models.QuerySet["Notification"]):
    def visible_to(self, user: Any) -> "NotificationQuerySet":
        """One's own only."""
        return self.filter(recipient=user)


class Notification(models.Model):
    """One line in a person's inbox, already in that person's language."""

    public_id = PublicIdField(prefix="note")
    recipient = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications")
    event = models.CharField(max_length=60)
    subject = models.CharField(_("subject"), max_length=200)
    body = models.TextField(_("message"))
    url = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(_("time"), auto_now_add=True)
    read_at = models.DateTimeField(null=True, blank=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["recipient", "-id"])]

    def __str__(self) -> str:
        return self.subject

    def get_absolute_url(self) -> str:
        """Opening it marks it as read."""
        return reverse("notifications:open", args=[self.public_id])


class Mail(models.Model):
    """A mail that waits to be sent: a row first, so that a dead broker or mail server loses nothing."""

    address = models.EmailField()
    subject = models.CharField(max_length=200)
    body = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["created_at"], condition=models.Q(sent_at=None), name="mail_waiting")]

    def __str__(self) -> str:
        return f"{self.address}: {self.subject}"
