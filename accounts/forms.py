"""Shapes of the forms about one's own account."""

from typing import Any
from zoneinfo import available_timezones

from allauth.account import forms as allauth_forms
from allauth.account.forms import SignupForm as AllauthSignupForm
from allauth.core import context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm as AllauthAuthenticateForm
from allauth.mfa.base.forms import ReauthenticateForm as AllauthReauthenticateForm
from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts import second_factor
from accounts.adapter import INVITED_EMAIL
from accounts.models import AgencyRole, User, check_time_zone
from accounts.services import MAX_LABEL, MAX_NAME, clean_name
from common.errors import RuleBroken
from common.forms import Form, NamesWhatIsEmpty


class SignupForm(NamesWhatIsEmpty, AllauthSignupForm):
    """Sign-up by invitation: the address is the invited one and cannot be changed."""

    name = forms.CharField(label=_("Name"), max_length=MAX_NAME)
    field_order = ["email", "name", "password1", "password2"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The page hands no request to its form: allauth keeps the one that is answered.
        self.invited = context.request.session.get(INVITED_EMAIL, "") if context.request else ""
        self.fields["email"].initial = self.invited
        self.fields["email"].widget.attrs["readonly"] = bool(self.invited)

    def clean_name(self) -> str:
        try:
            return clean_name(self.cleaned_data["name"])
        except RuleBroken as refusal:
            raise forms.ValidationError(str(refusal), code=refusal.code) from None

    def clean_email(self) -> str:
        email = super().clean_email()
        invited = self.invited
        if invited and email.lower() != invited.lower():
            raise forms.ValidationError(
                _("Please sign up with the invited address %(email)s.") % {"email": invited}, code="not_invited"
            )
        return email


class LoginForm(NamesWhatIsEmpty, allauth_forms.LoginForm):
    """Signing in."""


class AddEmailForm(NamesWhatIsEmpty, allauth_forms.AddEmailForm):
    """Another address."""


class ChangePasswordForm(NamesWhatIsEmpty, allauth_forms.ChangePasswordForm):
    """A new password for who knows the old one."""


class ResetPasswordForm(NamesWhatIsEmpty, allauth_forms.ResetPasswordForm):
    """Asking for the mail that lets one choose a new password."""


class ResetPasswordKeyForm(NamesWhatIsEmpty, allauth_forms.ResetPasswordKeyForm):
    """A new password by that mail."""


class _SpendsCode(NamesWhatIsEmpty):
    """A code that was taken here signs nothing and opens nothing any more."""

    def clean_code(self) -> str:
        code = super().clean_code()  # type: ignore[misc]
        if not second_factor.spend(self.authenticator, code):  # type: ignore[attr-defined]
            raise get_adapter().validation_error("incorrect_code")
        return str(code)


class AuthenticateForm(_SpendsCode, AllauthAuthenticateForm):
    """The second factor at sign-in."""


class ReauthenticateForm(_SpendsCode, AllauthReauthenticateForm):
    """The second factor before something delicate is done with one's own account."""


class SshKeyForm(Form):
    """Name and public half of a key."""

    name = forms.CharField(label=_("Name"), max_length=MAX_LABEL)
    public_key = forms.CharField(
        label=_("Public key"), max_length=2000, widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"})
    )


class ApiTokenForm(Form):
    """What a token is for and how long it lives."""

    name = forms.CharField(label=_("Name"), max_length=MAX_LABEL)
    days = forms.IntegerField(label=_("Valid for (days)"), min_value=1, max_value=365, initial=90)


def time_zones() -> list[tuple[str, str]]:
    """Every zone of the IANA database, Seoul first."""
    return [(name, name) for name in sorted(available_timezones(), key=lambda name: (name != "Asia/Seoul", name))]


class ProfileForm(Form):
    """How the portal speaks to this person."""

    name = forms.CharField(label=_("Name"), max_length=MAX_NAME)
    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES)
    time_zone = forms.ChoiceField(label=_("Time zone"), choices=time_zones, validators=[check_time_zone])


class RoleGrantForm(Form):
    """Which account gets which role; `email` is cleaned to the User."""

    email = forms.EmailField(label=_("E-mail address"), max_length=254)
    role = forms.ChoiceField(label=_("Role"), choices=AgencyRole.choices)

    def clean_email(self) -> User:
        person = User.objects.filter(email=self.cleaned_data["email"].lower(), is_active=True).first()
        if person is None:
            raise forms.ValidationError(_("Nobody has an account with this address."), code="unknown_person")
        return person


class RoleRevokeForm(Form):
    """Which of a person's roles goes."""

    role = forms.ChoiceField(label=_("Role"))

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        held = set(person.role_grants.values_list("role", flat=True))
        self.fields["role"].choices = [choice for choice in AgencyRole.choices if choice[0] in held]  # type: ignore[attr-defined]
