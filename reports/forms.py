"""Forms of the machine pages."""

from django import forms
from django.utils.translation import gettext_lazy as _


class ReasonForm(forms.Form):
    """Why; it goes into the audit log."""

    reason = forms.CharField(
        label=_("Reason"), max_length=200, help_text=_("Stands in the audit log and on the node's page.")
    )
