"""The smaller forms of a call: begin one, publish it, put a file to it."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from allocations.forms import MomentField
from common.forms import Form
from proposals.call_choice import ToldApart
from proposals.call_words import LABELS
from proposals.models import Call
from proposals.terms import MAX_TITLE


class CallField(ToldApart, forms.ModelChoiceField):
    """One of the calls that the form sets as its queryset."""

    def __init__(self, **kwargs: Any) -> None:
        said = {"label": _("Call"), "queryset": Call.objects.none(), "to_field_name": "public_id", "empty_label": None}
        super().__init__(**{**said, **kwargs})


class NewCallForm(Form):
    """A draft needs no more than a name."""

    title_ko = forms.CharField(label=LABELS["title_ko"], max_length=MAX_TITLE)
    title_en = forms.CharField(label=LABELS["title_en"], max_length=MAX_TITLE)


class PublishForm(Form):
    """Now, or from a later moment on."""

    at = MomentField(label=_("Publish from"), required=False, help_text=_("Empty: now."))


class CallDocumentForm(Form):
    """A file for everybody who reads the call."""

    document = forms.FileField(label=_("File"), max_length=200)
