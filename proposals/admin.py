"""Looking only."""

from django.contrib import admin

from common.read_only_admin import ReadOnlyAdmin
from proposals.models import Call, Decision, Proposal


@admin.register(Call)
class CallAdmin(ReadOnlyAdmin):
    list_display = ("public_id", "title_en", "published_at", "closes_at")


@admin.register(Proposal)
class ProposalAdmin(ReadOnlyAdmin):
    list_display = ("public_id", "number", "title", "organisation", "state", "submitted_at")
    list_filter = ("state",)
    list_select_related = ("organisation",)
    search_fields = ("public_id", "number", "title")


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin):
    list_display = ("proposal", "kind", "decided_by", "decided_at")
    list_select_related = ("proposal", "decided_by")
