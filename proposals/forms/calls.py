"""The forms of a call."""

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from allocations.forms import MomentField
from cluster.models import Pool
from proposals.models import Call
from proposals.services.calls import MAX_TEXT, MAX_TITLE, CallTerms, is_published


class CallForm(forms.Form):
    """What a call says. Of an open call the pools are shown and stand."""

    title_ko = forms.CharField(label=_("Title in Korean"), max_length=MAX_TITLE)
    title_en = forms.CharField(label=_("Title in English"), max_length=MAX_TITLE)
    text_ko = forms.CharField(
        label=_("Text in Korean"), max_length=MAX_TEXT, widget=forms.Textarea(attrs={"rows": 8, "lang": "ko"})
    )
    text_en = forms.CharField(
        label=_("Text in English"), max_length=MAX_TEXT, widget=forms.Textarea(attrs={"rows": 8, "lang": "en"})
    )
    closes_at = MomentField(
        label=_("Closes"),
        required=False,
        help_text=_("Empty: rolling, proposals are taken at any time. Of an open call it is only ever moved later."),
    )
    pools = forms.ModelMultipleChoiceField(
        label=_("Pools"),
        queryset=Pool.objects.order_by("name"),
        to_field_name="public_id",
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, call: Call, **kwargs: Any) -> None:
        self.call = call
        super().__init__(*args, **kwargs)
        if is_published(call, timezone.now()):
            field: Any = self.fields["pools"]
            field.disabled = True
            field.help_text = _("This call is open: what it offers stands.")

    def terms(self) -> CallTerms:
        """The cleaned form as what the service takes. A browser sends no seconds: the same cut-off keeps its own."""
        data = dict(self.cleaned_data)
        old = self.call.closes_at
        if old is not None and data["closes_at"] == old.replace(second=0, microsecond=0):
            data["closes_at"] = old
        return CallTerms(**{**data, "pools": tuple(data["pools"])})
