"""Shapes of the forms about proposals."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.db.models import Q
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from allocations.forms import MomentField
from cluster.models import Pool
from common.errors import RuleBroken
from common.quantities import hours_to_seconds, seconds_to_hours
from partners.forms import DateField
from partners.models import Agreement
from partners.selectors import managed_agreements
from proposals.asks import MAX_GPUS, MAX_HOURS, MAX_LINES, AskLine, agency_today, check_line
from proposals.awards import AwardAsk
from proposals.models import Call, Proposal, RequestLine
from proposals.selectors import gpu_classes_of, window_of
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


class ProposalForm(forms.Form):
    """What the project is about."""

    agreement = forms.ModelChoiceField(
        label=_("Agreement"),
        queryset=Agreement.objects.none(),
        to_field_name="public_id",
        empty_label=None,
        help_text=_("The agreement (MOU) under which you ask. Its ceilings apply."),
    )
    title = forms.CharField(label=_("Title"), max_length=200)
    purposes = forms.MultipleChoiceField(
        label=_("Purpose"), choices=Proposal.Purpose.choices, widget=forms.CheckboxSelectMultiple, required=False
    )
    plan = forms.CharField(
        label=_("Plan"),
        max_length=20_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text=_("What will be done in which steps, and why so many GPUs for so long. Needed to submit."),
    )
    data = forms.CharField(  # type: ignore[assignment]
        label=_("Data"),
        max_length=5_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("Which data is used, where it comes from, and whether it holds personal data."),
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


class LineForm(forms.Form):
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


def initial_lines(rows: Iterable[RequestLine]) -> list[dict[str, Any]]:
    """Rows as the formset's initial values."""
    names = ("gpus", "smallest_gpus", "hours", "window_from", "window_until")
    return [{"gpu_class": row.gpu_class.code, **{name: getattr(row, name) for name in names}} for row in rows]


def typed_lines(data: QueryDict) -> list[dict[str, str]]:
    """What stands in the line fields of a request, unchecked, so that it can be shown again."""
    try:
        count = int(data.get("lines-TOTAL_FORMS", "1"))
    except ValueError:
        count = 1
    places = range(min(max(count, 0), MAX_LINES))
    return [{name: data.get(f"lines-{place}-{name}", "") for name in LINE_FIELDS} for place in places]


class AwardLineForm(forms.Form):
    """What is given on one request line; prefilled with the ask."""

    pool = forms.TypedChoiceField(label=_("Pool"))
    gpus = forms.IntegerField(
        label=_("GPUs at once"), min_value=0, max_value=MAX_GPUS, help_text=_("0: nothing on this line.")
    )
    guaranteed_gpus = forms.IntegerField(
        label=_("Of these guaranteed"),
        min_value=0,
        max_value=MAX_GPUS,
        required=False,
        help_text=_(
            "Held for this award at every moment; the others when they are free. Empty: what it needs on average, or "
            "none where a node is lent to one organisation at a time, because one GPU would then keep its whole node."
        ),
    )
    gpu_hours = forms.DecimalField(label=_("GPU-hours"), min_value=0, max_digits=14, decimal_places=2)
    window_from = DateField(label=_("From"))
    window_until = DateField(label=_("Until"), help_text=_("The last day counts."))

    def __init__(self, *args: Any, line: RequestLine, pools: list[Pool], **kwargs: Any) -> None:
        self.line, self.pools = line, pools
        kwargs["initial"] = {
            "pool": pools[0].public_id if pools else None,
            "gpus": line.gpus,
            "gpu_hours": seconds_to_hours(line.gpu_seconds),
            "window_from": max(line.window_from, agency_today()),
            "window_until": line.window_until,
        }
        super().__init__(*args, **kwargs)
        field: Any = self.fields["pool"]  # the pools are read once for all lines, not once a line
        field.choices = [(pool.public_id, str(pool)) for pool in pools]
        field.coerce = {pool.public_id: pool for pool in pools}.__getitem__

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        first, last = data.get("window_from"), data.get("window_until")
        if first and last and last < first:
            self.add_error("window_until", _("The window ends before it begins."))
        return data

    @property
    def ask(self) -> AwardAsk | None:
        """The award on this line; None where nothing is given."""
        data = self.cleaned_data
        if not data["gpus"]:
            return None
        start, end = window_of(data["window_from"], data["window_until"])
        seconds, kept = hours_to_seconds(data["gpu_hours"]), data["guaranteed_gpus"]
        return AwardAsk(self.line, data["pool"], data["gpus"], seconds, start, end, kept)


class AwardReasonForm(forms.Form):
    """Why the award is what it is."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=4_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("Needed where less is awarded than asked for. The partner reads it."),
    )
