"""Looking only."""

from django.contrib import admin

from common.read_only_admin import ReadOnlyAdmin
from partners.models import Agreement, Invitation, Membership, Organisation


@admin.register(Organisation)
class OrganisationAdmin(ReadOnlyAdmin):
    list_display = ("public_id", "name_ko", "name_en", "registration_number", "kind")
    search_fields = ("public_id", "name_ko", "name_en", "registration_number")


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    list_display = ("organisation", "user", "role", "joined_at")
    list_select_related = ("organisation", "user")


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    list_display = ("public_id", "organisation", "email", "role", "expires_at", "accepted_at", "revoked_at")
    list_select_related = ("organisation",)
    exclude = ("token_hash",)


@admin.register(Agreement)
class AgreementAdmin(ReadOnlyAdmin):
    list_display = ("public_id", "number", "organisation", "valid_from", "valid_until", "state")
    list_filter = ("state",)
    list_select_related = ("organisation",)
    search_fields = ("public_id", "number", "title")
