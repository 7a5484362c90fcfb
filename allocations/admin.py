"""Last resort, read-only: these nouns have lifecycles and move only through their verbs."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from allocations.models import Allocation, Lease, LedgerEntry


class ReadOnlyAdmin(admin.ModelAdmin):
    """Look, touch nothing."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Allocation)
class AllocationAdmin(ReadOnlyAdmin):
    list_display = ("public_id", "project", "pool", "state", "valid_from", "valid_until")
    list_filter = ("state",)
    list_select_related = ("project", "pool")


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    list_display = ("public_id", "allocation", "device_count", "state", "starts_at", "ends_at")
    list_filter = ("state",)
    list_select_related = ("allocation__project", "allocation__pool")


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    list_display = ("at", "allocation", "lease", "kind", "device_seconds")
    list_filter = ("kind",)
    list_select_related = ("allocation__project", "allocation__pool", "lease")
