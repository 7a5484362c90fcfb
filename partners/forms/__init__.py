"""Shapes of the forms about organisations, members and agreements."""

from partners.forms.agreements import AgreementForm, AmendmentForm, ReasonForm, initial_terms
from partners.forms.fields import DateField, DateInput
from partners.forms.obligations import FulfilForm, ObligationForm
from partners.forms.organisations import InviteForm, OrganisationForm, TransferForm
from partners.forms.signing import PaperSignatureForm, SignForm

__all__ = [
    "AgreementForm",
    "AmendmentForm",
    "DateField",
    "DateInput",
    "FulfilForm",
    "InviteForm",
    "ObligationForm",
    "OrganisationForm",
    "PaperSignatureForm",
    "ReasonForm",
    "SignForm",
    "TransferForm",
    "initial_terms",
]
