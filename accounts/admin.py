"""Looking only. What is secret (password hash, tokens, second factors) is not even shown."""

from django.contrib import admin

from accounts.models import RoleGrant, SshKey, User
from common.read_only_admin import ReadOnlyAdmin


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    list_display = ("public_id", "email", "name", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser")
    search_fields = ("public_id", "email", "name")
    fields = (
        "public_id",
        "email",
        "name",
        "language",
        "time_zone",
        "is_active",
        "is_superuser",
        "date_joined",
        "last_login",
    )


@admin.register(RoleGrant)
class RoleGrantAdmin(ReadOnlyAdmin):
    list_display = ("user", "role", "granted_at")
    list_filter = ("role",)
    list_select_related = ("user",)
    search_fields = ("user__email",)


@admin.register(SshKey)
class SshKeyAdmin(ReadOnlyAdmin):
    list_display = ("public_id", "user", "name", "fingerprint", "created_at")
    list_select_related = ("user",)
    search_fields = ("public_id", "user__email", "fingerprint")
