"""The forms of an ask."""

from typing import Any

from django import forms
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from common.errors import RuleBroken
from common.forms import Form
from common.moments import agency_today
from partners.forms import DateField
from partners.models import Agreement
from partners.selectors import managed_agreements
from proposals.asks import MAX_GPUS, MAX_HOURS, MAX_LINES, MAX_TITLE, AskLine, check_line
from proposals.models import Call, Proposal
from proposals.selectors import gpu_classes_of
from proposals.services.parts import MAX_DATA, MAX_PLAN, MAX_REPLY


class AboutForm(Form):
    """Under which agreement, what it is called, what for."""

    agreement = forms.ModelChoiceField(
        label=_("Agreement"),
        queryset=Agreement.objects.none(),
        to_field_name="public_id",
        empty_label=None,
        help_text=_("The agreement (MOU) under which you ask. Its ceilings apply."),
    )
    title = forms.CharField(label=_("Title"), max_length=MAX_TITLE, widget=forms.TextInput(attrs={"dir": "auto"}))
    purposes = forms.MultipleChoiceField(
        label=_("Purpose"), choices=Proposal.Purpose.choices, widget=forms.CheckboxSelectMultiple, required=False
    )

    def __init__(self, *args: Any, user: Any, proposal: Proposal | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["agreement"]
        choices = managed_agreements(user)
        if proposal is not None:
            mine = Q(pk=proposal.agreement_id) | Q(pk__in=choices.filter(organisation=proposal.organisation))
            choices = Agreement.objects.filter(mine).select_related("organisation")
        field.queryset = choices
        field.label_from_instance = lambda row: f"{row.number} · {row.title} ({row.organisation.name})"


class PlanForm(Form):
    """The two long texts."""

    plan = forms.CharField(
        label=_("Plan"),
        max_length=MAX_PLAN,
        required=False,
        widget=forms.Textarea(attrs={"rows": 12, "dir": "auto"}),
        help_text=_("What will be done in which steps, and why so many GPUs for so long. Needed to submit."),
    )
    data = forms.CharField(  # type: ignore[assignment]
        label=_("Data"),
        max_length=MAX_DATA,
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "dir": "auto"}),
        help_text=_("Which data is used, where it comes from, and whether it holds personal data."),
    )


class ReplyForm(Form):
    """What was changed since the return."""

    reply = forms.CharField(
        label=_("What was changed"),
        max_length=MAX_REPLY,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "dir": "auto"}),
        help_text=_("The officer reads this beside the differences, which are shown by themselves."),
    )


class LineForm(Form):
    """One request line. All fields empty: no line."""

    gpu_class = forms.ChoiceField(label=_("GPU class"))
    gpus = forms.IntegerField(label=_("GPUs"), min_value=1, max_value=MAX_GPUS)
    smallest_gpus = forms.IntegerField(
        label=_("Smallest useful"),
        min_value=1,
        max_value=MAX_GPUS,
        required=False,
        help_text=_("Empty: no fewer than asked."),
    )
    hours = forms.IntegerField(label=_("Hours each"), min_value=1, max_value=MAX_HOURS)
    window_from = DateField(label=_("From"))
    window_until = DateField(label=_("Until"), help_text=_("The last day counts."))

    def __init__(self, *args: Any, classes: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.empty_permitted = True  # wherever it stands: an empty row asks for nothing
        field: Any = self.fields["gpu_class"]
        field.choices = [("", _("Choose")), *classes]
        field.error_messages["invalid_choice"] = _("This call does not offer that GPU class.")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors and self.has_changed():
            data["smallest_gpus"] = data.get("smallest_gpus") or data["gpus"]
            try:
                check_line(AskLine(**data), agency_today())
            except RuleBroken as error:
                self.add_error(error.field, str(error))
        return data

    @property
    def line(self) -> AskLine | None:
        """The line, where one was filled in and is in order."""
        return AskLine(**self.cleaned_data) if self.is_bound and self.has_changed() and not self.errors else None


class BaseLineFormSet(forms.BaseFormSet):
    """One to ten lines."""

    def filled(self) -> list[tuple[LineForm, AskLine]]:
        """The forms in which a whole line stands, with it."""
        return [(form, form.line) for form in self.forms if form.line is not None]


LineFormSet = forms.formset_factory(
    LineForm, formset=BaseLineFormSet, extra=0, max_num=MAX_LINES, validate_max=True, absolute_max=MAX_LINES + 1
)


LINE_FIELDS = tuple(LineForm.base_fields)


def line_forms(call: Call, **kwargs: Any) -> Any:
    """The formset of a call, which knows its GPU classes."""
    classes = list(gpu_classes_of(call).values_list("code", "name"))
    return LineFormSet(prefix="lines", form_kwargs={"classes": classes}, **kwargs)
