"""/admin/: a window for superusers with a second factor. It shows only what an app registers as read-only."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from common.read_only_admin import ReadOnlyAdmin


class PortalAdminSite(admin.AdminSite):
    """Signing in happens where everybody signs in, so that no second way past the second factor exists."""

    def has_permission(self, request: HttpRequest) -> bool:
        from allauth.mfa.utils import is_mfa_enabled  # a model's module: not before the apps are loaded

        user = request.user
        return bool(user.is_active and user.is_superuser and is_mfa_enabled(user))

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        # Libraries register pages that change their tables or show their secrets (tokens, TOTP seeds); those stay out.
        if admin_class is not None and issubclass(admin_class, ReadOnlyAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """To the sign-in of the portal; to its home for those who are signed in and may not look here."""
        if request.user.is_authenticated:
            return redirect(reverse("home") if not self.has_permission(request) else reverse("admin:index"))
        return redirect(f"{reverse('account_login')}?{urlencode({'next': request.GET.get('next', request.path)})}")
