"""Two append-only tables: what happened, and the chain that seals it."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    def visible_to(self, user: Any) -> "AuditEventQuerySet":
        """Auditors and administrators read everything, others what they did themselves."""
        if user.agency_roles & {"auditor", "administrator"}:
            return self
        return self.filter(actor_id=user.public_id)


class AuditEvent(models.Model):
    """One change, written in the transaction that made it. The database refuses UPDATE and DELETE."""

    at = models.DateTimeField(_("time"), auto_now_add=True)
    actor_id = models.CharField(max_length=40, blank=True, help_text="public id of the user; empty for the system")
    actor_label = models.CharField(_("actor"), max_length=254)
    verb = models.CharField(_("what"), max_length=60)
    target_type = models.CharField(max_length=40)
    target_id = models.CharField(_("object"), max_length=60)
    changes = models.JSONField(_("changes"), default=dict)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["target_id", "-id"]),
            models.Index(fields=["actor_id", "-id"]),
            models.Index(fields=["at"]),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor_label} {self.verb} {self.target_id}"


class AuditSeal(models.Model):
    """The position of one event in the hash chain; its hash covers the event and the seal before it."""

    position = models.BigIntegerField(primary_key=True)
    event = models.OneToOneField(AuditEvent, on_delete=models.PROTECT, related_name="seal")
    digest = models.CharField(max_length=64)

    class Meta:
        ordering = ["position"]

    def __str__(self) -> str:
        return f"{self.position} {self.digest[:12]}"
