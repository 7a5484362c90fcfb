"""The forms of an agreement and of its amendments."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common.forms import Form
from common.quantities import hours_to_seconds, seconds_to_hours
from partners.choices import gpu_class_choices, pool_choices
from partners.forms.fields import DateField
from partners.models import Agreement
from partners.services.agreements import AgreementTerms
from partners.services.amending import AmendmentDraft
from partners.terms import AMENDABLE, MAX_GRACE_DAYS, terms_of

HOURS = {"ceiling_gpu_seconds": "ceiling_gpu_hours", "ceiling_gpu_seconds_a_year": "ceiling_gpu_hours_a_year"}
"""What is stored in seconds and typed in hours."""


class ReasonForm(Form):
    """A decision that needs a reason."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=4_000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("Both sides can read it."),
    )


def document_field(label: Any) -> forms.FileField:
    """A PDF; what it is by its bytes, the service looks."""
    return forms.FileField(
        label=label,
        required=False,
        max_length=200,
        widget=forms.FileInput(attrs={"accept": "application/pdf"}),
    )


class TermsForm(Form):
    """What an amendment may change, too."""

    title = forms.CharField(label=_("Title"), max_length=200)
    valid_until = DateField(label=_("Valid until"), help_text=_("The last day counts."))
    ceiling_gpu_hours = forms.DecimalField(
        label=_("Ceiling: GPU-hours in all"), min_value=1, max_value=10**9, max_digits=12, decimal_places=2
    )
    ceiling_gpu_hours_a_year = forms.DecimalField(
        label=_("Ceiling: GPU-hours a calendar year"),
        min_value=1,
        max_value=10**9,
        max_digits=12,
        decimal_places=2,
        required=False,
        help_text=_("Empty: only the ceiling in all holds."),
    )
    ceiling_concurrent_gpus = forms.IntegerField(label=_("Ceiling: GPUs at once"), min_value=1, max_value=1_000_000)
    gpu_classes = forms.MultipleChoiceField(label=_("GPU classes"), widget=forms.CheckboxSelectMultiple)
    pools = forms.MultipleChoiceField(
        label=_("Pools"),
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=_("None: every pool of the GPU classes."),
    )
    cooperation = forms.MultipleChoiceField(
        label=_("Areas of cooperation"),
        choices=Agreement.Cooperation.choices,
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    data_rules = forms.CharField(
        label=_("Data rules"),
        max_length=4_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("What data may be brought, how it is kept, when it is deleted."),
    )
    credit_line = forms.CharField(
        label=_("Credit line"),
        max_length=300,
        required=False,
        help_text=_("How papers, models and products name the support."),
    )
    ending_rule = forms.ChoiceField(
        label=_("Running reservations when the agreement ends"),
        choices=Agreement.RunOut.choices,
        initial=Agreement.RunOut.OWN_END,
    )
    ending_days = forms.IntegerField(
        label=_("Days of grace at the end"), min_value=0, max_value=MAX_GRACE_DAYS, initial=0, required=False
    )
    suspension_rule = forms.ChoiceField(
        label=_("Running reservations when the agreement is suspended"),
        choices=Agreement.RunOut.choices,
        initial=Agreement.RunOut.OWN_END,
    )
    suspension_days = forms.IntegerField(
        label=_("Days of grace at a suspension"), min_value=0, max_value=MAX_GRACE_DAYS, initial=0, required=False
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        classes: Any = self.fields["gpu_classes"]
        classes.choices = gpu_class_choices()
        pools: Any = self.fields["pools"]
        pools.choices = [(pool, name) for pool, name, _code in pool_choices()]

    def clean_ending_days(self) -> int:
        return self.cleaned_data["ending_days"] or 0

    def clean_suspension_days(self) -> int:
        return self.cleaned_data["suspension_days"] or 0

    def typed_terms(self) -> dict[str, Any]:
        """The cleaned terms by the names of the model's fields; hours as device-seconds."""
        data = {name: self.cleaned_data[HOURS.get(name, name)] for name in AMENDABLE}
        for name in HOURS:
            data[name] = None if data[name] is None else hours_to_seconds(data[name])
        return data


class AgreementForm(TermsForm):
    """What stands in the MOU."""

    field_order = ("number", "title", "valid_from", "valid_until", "agency_signatory", "partner_signatory", "signed_on")

    number = forms.CharField(label=_("Number"), max_length=40)
    valid_from = DateField(label=_("Valid from"))
    agency_signatory = forms.CharField(label=_("Signatory of the agency"), max_length=120)
    partner_signatory = forms.CharField(label=_("Signatory of the partner"), max_length=120)
    signed_on = DateField(
        label=_("Signed on"), required=False, help_text=_("Empty where it is not signed yet: the portal fills it in.")
    )
    document = document_field(_("Document (PDF)"))
    signed_on_paper = forms.BooleanField(
        label=_("Both sides have signed this document on paper, on the day given as “Signed on”"), required=False
    )
    revision = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        first, last = data.get("valid_from"), data.get("valid_until")
        if first and last and last < first:
            self.add_error("valid_until", _("The term ends before it begins. Please check both days."))
        return data

    def terms(self) -> AgreementTerms:
        """The cleaned form as what the service takes."""
        fixed = ("number", "valid_from", "agency_signatory", "partner_signatory", "signed_on")
        return AgreementTerms(**self.typed_terms(), **{name: self.cleaned_data[name] for name in fixed})


class AmendmentForm(TermsForm):
    """The terms as they are to be, why, and from when on."""

    field_order = ("effective_from", "reason")

    effective_from = DateField(label=_("In force from"))
    reason = forms.CharField(
        label=_("Reason"),
        max_length=4_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Both sides can read it."),
    )
    document = document_field(_("Document of the amendment (PDF)"))

    def draft(self, agreement: Agreement) -> AmendmentDraft:
        """The cleaned form as what the service takes; what no amendment changes is the agreement's own."""
        terms = AgreementTerms(**{**terms_of(agreement).as_dict(), **self.typed_terms()})
        return AmendmentDraft(terms, self.cleaned_data["reason"], self.cleaned_data["effective_from"])


def initial_terms(agreement: Agreement, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a form about an agreement begins with, with `changes` by field: hours where the model has seconds."""
    values = {**terms_of(agreement).as_dict(), **(changes or {})}
    for name, shown in HOURS.items():
        seconds = values.pop(name)
        values[shown] = None if seconds is None else seconds_to_hours(seconds)
    return values
