"""The page behind the link of an invitation."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.cache import never_cache

from accounts.adapter import INVITED_EMAIL
from accounts.models import User
from common.errors import DomainError
from partners.models import Invitation
from partners.services.invitations import accept, find, is_open

ACCEPTED = "invitation_accepted"  # session key: this visitor pressed "Accept" before signing in


@method_decorator(never_cache, name="dispatch")
class InvitationPage(View):
    """Open to everybody who has the link. The link is the proof that the mail was read."""

    http_method_names = ["get", "post"]

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        invitation = find(token)
        if self._invited_is_here(invitation) and request.session.get(ACCEPTED) == invitation.public_id:  # type: ignore[union-attr]
            return self._join(invitation, token)
        return self._page(invitation)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        invitation = find(token)
        if invitation is None or not is_open(invitation, timezone.now()):
            return self._page(invitation)
        if self._invited_is_here(invitation):
            return self._join(invitation, token)
        if request.user.is_authenticated:
            return self._page(invitation)
        request.session[INVITED_EMAIL] = invitation.email
        request.session[ACCEPTED] = invitation.public_id
        known = User.objects.filter(email=invitation.email).exists()
        door = reverse("account_login" if known else "account_signup")
        query = {"next": reverse("partners:invitation", args=[token])}
        return HttpResponseRedirect(f"{door}?{urlencode(query)}")

    def _invited_is_here(self, invitation: Invitation | None) -> bool:
        user: Any = self.request.user
        return bool(invitation and user.is_authenticated and user.email.lower() == invitation.email)

    def _join(self, invitation: Any, token: str) -> HttpResponse:
        try:
            membership = accept(actor=self.request.user, invitation=invitation)  # type: ignore[arg-type]
        except DomainError as error:
            messages.error(self.request, str(error))
            return self._page(invitation)
        for key in (INVITED_EMAIL, ACCEPTED):
            self.request.session.pop(key, None)
        messages.success(
            self.request,
            _("Welcome. You now belong to %(organisation)s.") % {"organisation": membership.organisation.name},
        )
        return HttpResponseRedirect(membership.organisation.get_absolute_url())

    def _page(self, invitation: Invitation | None) -> HttpResponse:
        user: Any = self.request.user
        alive = invitation is not None and is_open(invitation, timezone.now())
        context = {
            "invitation": invitation if alive else None,
            "other_account": alive and user.is_authenticated and not self._invited_is_here(invitation),
        }
        return render(self.request, "partners/invitation.html", context, status=200 if alive else 410)
