"""Looking only."""

from django.contrib import admin

from common.read_only_admin import ReadOnlyAdmin
from projects.models import Project, ProjectMember


@admin.register(Project)
class ProjectAdmin(ReadOnlyAdmin):
    list_display = ("public_id", "title", "organisation", "agreement", "created_at")
    list_select_related = ("organisation", "agreement")
    search_fields = ("public_id", "title")


@admin.register(ProjectMember)
class ProjectMemberAdmin(ReadOnlyAdmin):
    list_display = ("project", "user", "is_lead", "joined_at")
    list_select_related = ("project", "user")
