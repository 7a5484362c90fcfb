"""The form of an import."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common.forms import Form
from proposals.forms.calls import CallField
from proposals.models import Call


class ImportForm(Form):
    """Into which call, from which file."""

    call = CallField()
    file = forms.FileField(
        label=_("File"),
        max_length=200,
        allow_empty_file=True,  # refused with a reason by the service
        widget=forms.FileInput(attrs={"accept": ".xlsx,.csv,.txt"}),
        help_text=_("Excel workbook (.xlsx) or CSV in UTF-8 or CP949; at most 5,000 rows."),
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["call"]
        field.queryset = Call.objects.visible_to(user).order_by("-published_at", "-pk")


class ConfirmForm(Form):
    """The token of a file that was looked at."""

    token = forms.CharField(widget=forms.HiddenInput, max_length=1_000)
