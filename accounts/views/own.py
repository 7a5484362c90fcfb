"""Pages about one's own account: profile, SSH keys, API tokens, language."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext, override
from django.utils.translation import gettext_lazy as _
from django.views import i18n
from django.views.decorators.http import require_POST

from accounts import services
from accounts.forms import ApiTokenForm, ProfileForm, SshKeyForm
from accounts.models import ApiToken, SshKey
from common.form_pages import FormPage
from common.web import ServicePage, VerbView


class Profile(FormPage):
    """Name, language and time zone."""

    form_class = ProfileForm
    title = _("Profile")
    intro = _("How the portal speaks to you: pages and mails come in this language, times in this zone.")

    def cancel_url(self) -> str:
        return reverse("home")

    def get_initial(self) -> dict[str, Any]:
        user = self.request.user
        return {"name": user.name, "language": user.language, "time_zone": user.time_zone}

    def perform(self, form: BaseForm) -> str:
        user = services.update_profile(actor=self.request.user, **form.cleaned_data)
        with override(user.language):
            messages.success(self.request, gettext("Your profile is saved."))
        return reverse("accounts:profile")


class SshKeys(ServicePage):
    """One's keys, and the form for another."""

    form_class = SshKeyForm
    template_name = "accounts/keys.html"
    success_message = _("The key is added. New certificates can be made for it.")

    def perform(self, form: BaseForm) -> str:
        services.add_ssh_key(actor=self.request.user, **form.cleaned_data)
        return reverse("accounts:keys")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        keys = SshKey.objects.all().visible_to(self.request.user)
        return super().get_context_data(keys=keys, most=services.MAX_SSH_KEYS, **kwargs)


class SshKeyRemove(VerbView):
    """Forget a key."""

    model = SshKey
    success_message = _("The key is removed.")

    def perform(self) -> str:
        services.remove_ssh_key(actor=self.request.user, key=self.object)
        return reverse("accounts:keys")


class ApiTokens(ServicePage):
    """One's tokens, and the form for another. The answer to the form is the only page that ever shows the secret."""

    form_class = ApiTokenForm
    template_name = "accounts/tokens.html"
    secret = ""
    token: ApiToken | None = None

    def perform(self, form: BaseForm) -> str:
        self.token, self.secret = services.create_api_token(actor=self.request.user, **form.cleaned_data)
        return reverse("accounts:tokens")

    def form_valid(self, form: BaseForm) -> HttpResponse:
        # Shown in the answer itself: a redirect would have to keep the secret somewhere. A reload sends the same
        # submission key again and is led to the list.
        response = super().form_valid(form)
        if not self.secret:
            return response
        context = {"token": self.token, "secret": self.secret}
        shown = self.response_class(
            request=self.request, template=["accounts/token_made.html"], context=context, using=self.template_engine
        )
        add_never_cache_headers(shown)
        return shown

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(tokens=ApiToken.objects.filter(user=self.request.user), **kwargs)


class ApiTokenRevoke(VerbView):
    """End a token."""

    model = ApiToken
    success_message = _("The token is revoked. It stops working at once.")

    def get_queryset(self) -> QuerySet[ApiToken]:
        return ApiToken.objects.filter(user=self.request.user)

    def perform(self) -> str:
        services.revoke_api_token(actor=self.request.user, token=self.object)
        return reverse("accounts:tokens")


@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    """Switch the language (POST language=ko|en, next); a signed-in person's choice is kept with the account."""
    user, language = request.user, request.POST.get("language", "")
    if user.is_authenticated and language in dict(settings.LANGUAGES):
        services.update_profile(actor=user, name=user.name, language=language, time_zone=user.time_zone)
    response: HttpResponse = i18n.set_language(request)
    return response
