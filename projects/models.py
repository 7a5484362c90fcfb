"""A project: the frame in which awarded GPUs are used."""

from datetime import date
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from common.ids import PublicIdField
from partners.models import Agreement, Organisation, organisation_ids_of
from partners.policy import agency_day
from projects.lifecycle import PROGRESS_REPORT


class ProjectQuerySet(models.QuerySet["Project"]):
    def visible_to(self, user: Any) -> "ProjectQuerySet":
        """Agency staff see all, others those of their organisations."""
        return self if user.is_agency else self.filter(organisation_id__in=organisation_ids_of(user))


class Project(models.Model):
    """What an awarded proposal becomes."""

    public_id = PublicIdField(prefix="proj")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="projects")
    agreement = models.ForeignKey(Agreement, on_delete=models.PROTECT, related_name="projects")
    title = models.CharField(_("title"), max_length=200)
    summary = models.TextField(_("summary"), blank=True)
    proposal_ref = models.CharField(
        max_length=40, unique=True, help_text=_("public id of the proposal that it came from")
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.title

    @property
    def began_on(self) -> date:
        """The day on which its award was accepted, in the agency's zone."""
        return agency_day(self.created_at)

    def get_absolute_url(self) -> str:
        return reverse("projects:project", args=[self.public_id])


class ProjectMember(models.Model):
    """Somebody of the organisation who works on the project and may get into its reservations."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="team")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="project_memberships")
    is_lead = models.BooleanField(default=False)
    joined_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-is_lead", "joined_at"]
        constraints = [models.UniqueConstraint(fields=["project", "user"], name="project_member_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.project}"


class ProgressReportQuerySet(models.QuerySet["ProgressReport"]):
    def visible_to(self, user: Any) -> "ProgressReportQuerySet":
        """Agency staff see all, others those of their organisations."""
        return self if user.is_agency else self.filter(project__organisation_id__in=organisation_ids_of(user))


class ProgressReport(models.Model):
    """What a project has done so far; an accepted one frees what its awards hold back."""

    public_id = PublicIdField(prefix="rep")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="progress_reports")
    period_from = models.DateField(_("from"))
    period_until = models.DateField(_("until (the last day counts)"))
    achieved = models.TextField(_("what was done"), max_length=20_000)
    difficulties = models.TextField(_("difficulties"), max_length=10_000, blank=True)
    next_steps = models.TextField(_("next steps"), max_length=10_000, blank=True)
    state = models.CharField(
        _("state"), max_length=20, choices=PROGRESS_REPORT.choices(), default=PROGRESS_REPORT.initial
    )
    written_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    submitted_at = models.DateTimeField(_("submitted"))
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    answer = models.TextField(_("reason"), max_length=4_000, blank=True, help_text="why it was sent back")

    objects = ProgressReportQuerySet.as_manager()

    class Meta:
        ordering = ["-submitted_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["project"], condition=models.Q(state__in=("submitted", "returned")), name="one_open_report"
            ),
            models.CheckConstraint(
                condition=models.Q(period_until__gte=models.F("period_from")), name="report_period_in_order"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project} {self.period_from} – {self.period_until}"

    def get_absolute_url(self) -> str:
        return reverse("projects:progress", args=[self.public_id])
