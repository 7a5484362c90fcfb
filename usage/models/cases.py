"""A reservation whose GPUs stand idle, or that breaks what was agreed: the course from the finding to its end."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from allocations.models import Lease, Reshape
from cluster.models import Device
from common.ids import PublicIdField
from partners.models import organisation_ids_of
from usage.lifecycle import CASE_OPEN, IDLE_CASE
from usage.models.idle_rules import IdleRule


class IdleCaseQuerySet(models.QuerySet["IdleCase"]):
    def visible_to(self, user: Any) -> "IdleCaseQuerySet":
        """Both sides: the agency, and the people of the organisation whose reservation it is."""
        mine = organisation_ids_of(user)
        return self if user.is_agency else self.filter(lease__allocation__project__organisation_id__in=mine)


class IdleCase(models.Model):
    """One course about one running reservation. Nothing is taken before its notice and the time that it names."""

    class Kind(models.TextChoices):
        IDLE = "idle", _("GPUs stand idle")
        SECURITY = "security", _("breach of security")
        AGREEMENT = "agreement", _("breach of the agreement")

    public_id = PublicIdField(prefix="idle")
    kind = models.CharField(_("kind"), max_length=10, choices=Kind, default=Kind.IDLE)
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="idle_cases")
    rule = models.ForeignKey(IdleRule, on_delete=models.PROTECT, related_name="cases", null=True, blank=True)
    state = models.CharField(_("state"), max_length=20, choices=IDLE_CASE.choices(), default=IDLE_CASE.initial)
    whole = models.BooleanField(default=True, help_text="every GPU that the reservation had")
    window_start = models.DateTimeField(null=True, blank=True, help_text="of the evidence")
    window_end = models.DateTimeField(null=True, blank=True)
    idle_seconds = models.BigIntegerField(default=0, help_text="device-seconds that count, in the window")
    measured_seconds = models.BigIntegerField(default=0, help_text="device-seconds measured in the window")
    back_seconds = models.BigIntegerField(default=0, help_text="device-seconds to come back, as the notice said")
    reason = models.CharField(_("reason"), max_length=300, blank=True, help_text="of a breach: what happened")
    basis = models.CharField(_("on what ground"), max_length=200, blank=True, help_text="clause or rule")
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    detected_at = models.DateTimeField(_("found"))
    noticed_at = models.DateTimeField(_("notice"), null=True, blank=True)
    due_at = models.DateTimeField(_("due"), null=True, blank=True)
    appealed_at = models.DateTimeField(_("appeal"), null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True, help_text="when the appeal was answered")
    exempt_until = models.DateTimeField(null=True, blank=True, help_text="no new case of this reservation before")
    acted_at = models.DateTimeField(null=True, blank=True, help_text="when taking back began")
    ended_at = models.DateTimeField(_("over"), null=True, blank=True)
    reshape = models.ForeignKey(Reshape, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    returned_seconds = models.BigIntegerField(default=0, help_text="device-seconds that came back")
    obstacle = models.CharField(max_length=300, blank=True, help_text="why it could not be carried out yet")

    objects = IdleCaseQuerySet.as_manager()

    class Meta:
        ordering = ["-detected_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["lease"], condition=Q(state__in=CASE_OPEN), name="one_idle_case_at_a_time"),
            models.CheckConstraint(
                condition=Q(acted_at=None)
                | Q(noticed_at__isnull=False, due_at__isnull=False)
                & Q(acted_at__gte=F("due_at"))
                & (~Q(kind="idle") | Q(due_at__gt=F("noticed_at"))),
                name="nothing_taken_without_notice",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("executing", "executed")) | Q(acted_at__isnull=False),
                name="idle_case_acts_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(kind="idle", rule__isnull=False) | ~Q(kind="idle") & Q(rule=None) & ~Q(reason=""),
                name="idle_case_has_a_ground",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "due_at"]),
            models.Index(fields=["lease", "exempt_until"], condition=Q(exempt_until__isnull=False), name="case_exempt"),
        ]

    def __str__(self) -> str:
        return self.public_id

    def get_absolute_url(self) -> str:
        return reverse("usage:idle-case", args=[self.public_id])

    @property
    def is_open(self) -> bool:
        """Whether something may still follow."""
        return self.state in CASE_OPEN


class CaseDevice(models.Model):
    """A GPU that a case is about, with its own figures of the window."""

    case = models.ForeignKey(IdleCase, on_delete=models.CASCADE, related_name="devices")
    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="+")
    idle_seconds = models.PositiveIntegerField()
    measured_seconds = models.PositiveIntegerField()
    used_again_at = models.DateTimeField(null=True, blank=True, help_text="it left the case then")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["case", "device"], name="case_names_a_device_once")]

    def __str__(self) -> str:
        return f"{self.case_id}: {self.device_id}"


class CaseStep(models.Model):
    """What happened in a case, when, and who said what. Append-only: both sides read the same lines."""

    class Kind(models.TextChoices):
        DETECTED = "detected", _("found idle")
        OPENED = "opened", _("breach found")
        NOTICED = "noticed", _("notice to the members")
        REPLY = "reply", _("reply")
        APPEAL = "appeal", _("appeal")
        UPHELD = "upheld", _("appeal upheld")
        DISMISSED = "dismissed", _("appeal dismissed")
        USED_AGAIN = "used_again", _("used again")
        DUE = "due", _("the time to answer is over")
        WAITS = "waits", _("could not be carried out yet")
        EXECUTING = "executing", _("taken back")
        EXECUTED = "executed", _("given to the pool")
        RESOLVED = "resolved", _("settled")
        STOPPED = "stopped", _("stopped by the agency")

    case = models.ForeignKey(IdleCase, on_delete=models.PROTECT, related_name="steps")
    kind = models.CharField(max_length=12, choices=Kind)
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    text = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering = ["at", "pk"]

    def __str__(self) -> str:
        return f"{self.case_id}: {self.kind}"
