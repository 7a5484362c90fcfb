"""Per-request rules for people: their language and zone, the second factor, and how fast they may send."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django_ratelimit.core import is_ratelimited

Next = Callable[[HttpRequest], HttpResponse]


class PersonalSettingsMiddleware:
    """Shows the page in the signed-in person's language and time zone."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return self.get_response(request)
        translation.activate(request.user.language)
        request.LANGUAGE_CODE = request.user.language
        with timezone.override(ZoneInfo(request.user.time_zone)):
            return self.get_response(request)


class RequireMfaMiddleware:
    """An account with an agency role can do nothing but set up its second factor until it has one."""

    OPEN = ("/accounts/", "/static/", "/healthz", "/readyz", "/i18n/", "/demo/")

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        open_path = request.path.startswith(self.OPEN) or request.path.startswith("/api/")  # the API answers 403 itself
        if user.is_authenticated and not open_path and user.needs_mfa and not is_mfa_enabled(user):
            messages.warning(request, _("Accounts of the agency need a second factor. Please set it up now."))
            return redirect("mfa_activate_totp")
        return self.get_response(request)


class RateLimitMiddleware:
    """Bounds how many changing requests one person (or address) may send in a minute, and how many pages and files one
    person may read: a file of everything costs seconds of the database, so a loop over one would cost everybody.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith("/api/") and (self._sends_too_fast(request) or self._reads_too_fast(request)):
            return render(request, "429.html", status=429)
        return self.get_response(request)

    def _sends_too_fast(self, request: HttpRequest) -> bool:
        rate, methods = settings.UNSAFE_REQUESTS_PER_MINUTE, ("POST", "PUT", "PATCH", "DELETE")
        return is_ratelimited(request, group="pages", key="user_or_ip", rate=rate, method=methods, increment=True)

    def _reads_too_fast(self, request: HttpRequest) -> bool:
        """Only who is signed in is counted: behind one address may be a hall full of people."""
        rate, methods = settings.READING_REQUESTS_PER_MINUTE, ("GET", "HEAD")
        return request.user.is_authenticated and is_ratelimited(
            request, group="reading", key="user", rate=rate, method=methods, increment=True
        )
