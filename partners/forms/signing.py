"""The forms with which an agreement or an amendment is signed."""

from django import forms
from django.utils.translation import gettext_lazy as _

from common.forms import Form
from partners.forms.agreements import document_field
from partners.forms.fields import DateField
from partners.models import AgreementSignature


class SignForm(Form):
    """In the portal: what was shown, that it was read, and the second factor once more."""

    sha256 = forms.CharField(max_length=64, widget=forms.HiddenInput)
    read = forms.BooleanField(label=_("I have read this document and sign it for my side"))
    code = forms.CharField(
        label=_("Code of your second factor"),
        max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
        help_text=_("The code that your authenticator app shows now, or a recovery code."),
    )


class PaperSignatureForm(Form):
    """On paper: who, for which side, when; the scan where it is another document than the one that is there."""

    side = forms.ChoiceField(label=_("For"), choices=AgreementSignature.Side.choices)
    signatory = forms.CharField(label=_("Signatory"), max_length=120)
    signed_on = DateField(label=_("Signed on"))
    document = document_field(_("Signed document (PDF)"))
