"""The forms of an agreement."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common.quantities import hours_to_seconds
from partners.figures import gpu_class_choices
from partners.forms.fields import DateField
from partners.models import Agreement
from partners.services.agreements import AgreementTerms


class ReasonForm(forms.Form):
    """A decision that needs a reason."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=4_000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("Both sides can read it."),
    )


class AgreementForm(forms.Form):
    """What stands in the MOU."""

    number = forms.CharField(label=_("Number"), max_length=40)
    title = forms.CharField(label=_("Title"), max_length=200)
    signed_on = DateField(label=_("Signed on"))
    valid_from = DateField(label=_("Valid from"))
    valid_until = DateField(label=_("Valid until"), help_text=_("The last day counts."))
    agency_signatory = forms.CharField(label=_("Signatory of the agency"), max_length=120)
    partner_signatory = forms.CharField(label=_("Signatory of the partner"), max_length=120)
    cooperation = forms.MultipleChoiceField(
        label=_("Areas of cooperation"),
        choices=Agreement.Cooperation.choices,
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    ceiling_gpu_hours = forms.DecimalField(
        label=_("Ceiling: GPU-hours in all"), min_value=1, max_value=10**9, max_digits=12, decimal_places=2
    )
    ceiling_concurrent_gpus = forms.IntegerField(label=_("Ceiling: GPUs at once"), min_value=1, max_value=1_000_000)
    gpu_classes = forms.MultipleChoiceField(label=_("GPU classes"), widget=forms.CheckboxSelectMultiple)
    document = forms.FileField(
        label=_("Signed document (PDF)"),
        required=False,
        max_length=200,
        widget=forms.FileInput(attrs={"accept": "application/pdf"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["gpu_classes"]
        field.choices = gpu_class_choices()

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        first, last = data.get("valid_from"), data.get("valid_until")
        if first and last and last < first:
            self.add_error("valid_until", _("The term ends before it begins. Please check both days."))
        return data

    def terms(self) -> AgreementTerms:
        """The cleaned form as what the service takes."""
        data = {name: value for name, value in self.cleaned_data.items() if name != "document"}
        data["ceiling_gpu_seconds"] = hours_to_seconds(data.pop("ceiling_gpu_hours"))
        return AgreementTerms(**data)
