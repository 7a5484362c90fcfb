"""The forms of an organisation's profile."""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from common.forms import Form
from partners.models import Contact, Relation


class ShareholderForm(Form):
    """Who holds how much."""

    name = forms.CharField(label=_("Name"), max_length=120)
    percent = forms.DecimalField(
        label=_("Share, per cent"), min_value=Decimal("0.01"), max_value=100, max_digits=5, decimal_places=2
    )
    registration_number = forms.CharField(
        label=_("Business registration number"),
        max_length=20,
        required=False,
        help_text=_("Of a company: conflicts of interest are found by it."),
    )


class RelationForm(Form):
    """How this organisation stands to another one."""

    kind = forms.ChoiceField(label=_("This organisation is"))
    other = forms.CharField(
        label=_("Business registration number of the other"),
        max_length=20,
        help_text=_("It must be registered here."),
    )
    note = forms.CharField(label=_("Note"), max_length=200, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds: Any = self.fields["kind"]
        kinds.choices = [
            *Relation.Kind.choices,
            ("subsidiary", pgettext_lazy("relation of organisations", "subsidiary of")),
        ]


class ContactForm(Form):
    """Whom to reach, how, for what."""

    name = forms.CharField(label=_("Name"), max_length=120)
    about = forms.ChoiceField(label=_("To be asked about"), choices=Contact.About.choices)
    position = forms.CharField(label=_("Position"), max_length=120, required=False)
    email = forms.EmailField(label=_("E-mail address"), max_length=254, required=False)
    phone = forms.CharField(
        label=_("Telephone"), max_length=30, required=False, widget=forms.TextInput(attrs={"type": "tel"})
    )


class DepartmentForm(Form):
    """What a part of the organisation is called."""

    name_ko = forms.CharField(label=_("Name in Korean"), max_length=120)
    name_en = forms.CharField(label=_("Name in English"), max_length=120, required=False)
