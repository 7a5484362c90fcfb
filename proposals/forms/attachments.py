"""The form that adds a file to a proposal."""

from django import forms
from django.utils.translation import gettext_lazy as _

from common.forms import Form
from proposals.services.sniffing import SUFFIXES


class AttachmentForm(Form):
    """One file; what it is, its bytes say."""

    file = forms.FileField(
        label=_("File"),
        max_length=200,
        allow_empty_file=True,  # refused with a reason by the service
        widget=forms.FileInput(attrs={"accept": ",".join(f".{suffix}" for suffix in SUFFIXES)}),
        help_text=_("PDF, Hangul (HWP, HWPX), Word, Excel, PowerPoint, PNG or JPEG."),
    )
