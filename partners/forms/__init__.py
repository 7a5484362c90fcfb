"""Shapes of the forms about organisations, members and agreements."""

from partners.forms.agreements import AgreementForm, ReasonForm
from partners.forms.fields import DateField, DateInput
from partners.forms.organisations import InviteForm, OrganisationForm, TransferForm

__all__ = ["AgreementForm", "DateField", "DateInput", "InviteForm", "OrganisationForm", "ReasonForm", "TransferForm"]
