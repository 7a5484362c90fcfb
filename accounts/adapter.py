"""allauth's hooks: sign-up is by invitation only."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.internal.httpkit import get_client_ip
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest
from django.utils import translation
from django.utils.module_loading import import_string

INVITED_EMAIL = "invited_email"  # session key, written by the page that opens an invitation


def client_address(request: HttpRequest) -> str:
    """Who asks, for limits by address: behind our proxy what it says, else the peer. Else all visitors were one."""
    return get_client_ip(request) or "0.0.0.0"  # noqa: S104 - no address to listen on: whoever has none shares one limit


class AccountAdapter(DefaultAccountAdapter):
    """Only somebody who came by an invitation may sign up, and only with the invited address."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return bool(request.session.get(INVITED_EMAIL))

    def clean_email(self, email: str) -> str:
        return super().clean_email(email).lower()

    def is_email_verified(self, request: HttpRequest, email: str) -> bool:
        # The invitation went to this address and was opened from it: that is the proof.
        return request.session.get(INVITED_EMAIL, "").lower() == email.lower()

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> Any:
        response = super().post_login(request, user, **kwargs)
        with translation.override(user.language):  # this request was still a stranger's, in the browser's language
            for note in import_string(settings.SIGN_IN_NOTES)(user):
                messages.warning(request, note)
        return response

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """In the language of whoever has the address: a stranger asks for it, in a browser that may speak another."""
        user = context.get("user")
        with translation.override(getattr(user, "language", None) or translation.get_language()):
            super().send_mail(template_prefix, email, context)

    def save_user(self, request: HttpRequest, user: Any, form: Any, commit: bool = True) -> Any:
        user.name = form.cleaned_data.get("name", "")
        user.language = getattr(request, "LANGUAGE_CODE", "ko")[:2]
        return super().save_user(request, user, form, commit)
