"""Shapes of the forms about one's own account."""

from allauth.account.forms import SignupForm as AllauthSignupForm
from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts.adapter import INVITED_EMAIL
from accounts.models import check_time_zone


class SignupForm(AllauthSignupForm):
    """Sign-up by invitation: the address is the invited one and cannot be changed."""

    name = forms.CharField(label=_("Name"), max_length=80)
    field_order = ["email", "name", "password1", "password2"]

    def clean_email(self) -> str:
        email = super().clean_email()
        invited = self.request.session.get(INVITED_EMAIL, "") if getattr(self, "request", None) else ""
        if invited and email.lower() != invited.lower():
            raise forms.ValidationError(
                _("Please sign up with the invited address %(email)s.") % {"email": invited}, code="not_invited"
            )
        return email


class SshKeyForm(forms.Form):
    """Name and public half of a key."""

    name = forms.CharField(label=_("Name"), max_length=60)
    public_key = forms.CharField(
        label=_("Public key"), max_length=2000, widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"})
    )


class ApiTokenForm(forms.Form):
    """What a token is for and how long it lives."""

    name = forms.CharField(label=_("Name"), max_length=60)
    days = forms.IntegerField(label=_("Valid for (days)"), min_value=1, max_value=365, initial=90)


class ProfileForm(forms.Form):
    """How the portal speaks to this person."""

    name = forms.CharField(label=_("Name"), max_length=80)
    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES)
    time_zone = forms.CharField(label=_("Time zone"), max_length=60, validators=[check_time_zone])
