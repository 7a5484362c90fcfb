"""The forms of what a partner owes."""

from django import forms
from django.utils.translation import gettext_lazy as _

from common.forms import Form
from partners.forms.fields import DateField
from partners.models import Obligation


class ObligationForm(Form):
    """What is owed, and by when."""

    kind = forms.ChoiceField(label=_("Kind"), choices=Obligation.Kind.choices)
    text = forms.CharField(label=_("What is owed"), max_length=500)
    due_on = DateField(label=_("Due on"), required=False, help_text=_("A report has a day; a credit line has none."))


class FulfilForm(Form):
    """That it was done."""

    done_on = DateField(label=_("Done on"))
    note = forms.CharField(
        label=_("How"),
        max_length=500,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Where the report is, or where the credit line stands."),
    )
