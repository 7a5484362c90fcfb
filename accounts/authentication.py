"""How the API knows who asks: a bearer token, or the browser's session."""

from typing import Any

from allauth.mfa.utils import is_mfa_enabled
from django.utils.translation import gettext_lazy as _
from knox.auth import TokenAuthentication
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request


def _require_mfa(user: Any) -> None:
    if user.needs_mfa and not is_mfa_enabled(user):
        raise PermissionDenied(_("Accounts of the agency need a second factor. Set it up on the portal first."))


class ApiTokenAuthentication(TokenAuthentication):
    """`Authorization: Bearer …`"""

    def authenticate(self, request: Request) -> Any:
        result = super().authenticate(request)
        if result:
            _require_mfa(result[0])
        return result


class MfaSessionAuthentication(SessionAuthentication):
    """The browser's session, with CSRF protection, for people whose second factor is in order."""

    def authenticate(self, request: Request) -> Any:
        result = super().authenticate(request)
        if result:
            _require_mfa(result[0])
        return result
