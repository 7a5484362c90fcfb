"""Looking only."""

from django.contrib import admin

from common.read_only_admin import ReadOnlyAdmin
from projects.models import ProgressReport, Project, ProjectMember


@admin.register(Project)
class ProjectAdmin(ReadOnlyAdmin):
    list_display = ("public_id", "title", "organisation", "agreement", "created_at")
    list_select_related = ("organisation", "agreement")
    search_fields = ("public_id", "title")


@admin.register(ProjectMember)
class ProjectMemberAdmin(ReadOnlyAdmin):
    list_display = ("project", "user", "is_lead", "joined_at")
    list_select_related = ("project", "user")


@admin.register(ProgressReport)
class ProgressReportAdmin(ReadOnlyAdmin):
    list_display = ("public_id", "project", "period_from", "period_until", "state")
    list_select_related = ("project",)
