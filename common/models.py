"""Rows that belong to no noun."""

from django.conf import settings
from django.db import models


class Submission(models.Model):
    """A form that was sent, so that sending it twice does the thing once.

    Each form carries a random key; the row is written in the transaction of the verb that the form calls. A second
    submission of the same key waits for the first and is led to its result.
    """

    key = models.UUIDField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    result_url = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="submission_once_per_user")]
        indexes = [models.Index(fields=["created_at"])]

    def __str__(self) -> str:
        return f"{self.key}"


class Heartbeat(models.Model):
    """When a part of the system last said that it lives (`worker`, `reconciler`)."""

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} {self.at:%Y-%m-%d %H:%M:%S}"
