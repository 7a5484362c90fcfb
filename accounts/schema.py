"""How the OpenAPI schema describes the two ways to sign in; importing this module registers them."""

from typing import Any

from drf_spectacular.authentication import SessionScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension


class ApiTokenScheme(OpenApiAuthenticationExtension):
    """A bearer token."""

    target_class = "accounts.authentication.ApiTokenAuthentication"
    name = "bearerToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class MfaSessionScheme(SessionScheme):
    """The browser's session."""

    target_class = "accounts.authentication.MfaSessionAuthentication"
    name = "session"
