"""What sums of use are asked by, and over which days."""

from datetime import date, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from common.forms import Form
from common.moments import FIRST_YEAR, LAST_YEAR, agency_day

OWN = (
    ("project", _("Project")),
    ("allocation", _("Allocation")),
    ("lease", _("Reservation")),
    ("person", _("Booked by")),
    ("pool", _("Pool")),
    ("gpu_class", _("GPU class")),
)
AGENCY = (("organisation", _("Organisation")), ("call", _("Call")), *OWN)


class PeriodForm(Form):
    """From which day to which, both included. Nothing said: the last thirty days."""

    since = forms.DateField(
        label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    until = forms.DateField(
        label=_("Until"), required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )

    def clean(self) -> dict[str, Any]:
        """The first day is not after the last, and both lie in years that something of ours may lie in."""
        said = super().clean() or {}
        for name in ("since", "until"):
            day = said.get(name)
            if day is not None and not FIRST_YEAR <= day.year <= LAST_YEAR:
                self.add_error(name, _("Please give a real day."))
        if said.get("since") and said.get("until") and said["since"] > said["until"]:
            self.add_error("until", _("The last day lies before the first."))
        return said

    def days(self) -> tuple[date, date]:
        """(first day, last day); what makes no sense counts as not said."""
        said = self.cleaned_data if self.is_valid() else {}
        until: date = said.get("until") or max(agency_day(timezone.now()), said.get("since") or date.min)
        return said.get("since") or self.beginning(until), until

    def beginning(self, until: date) -> date:
        """The first day where none is said."""
        return until - timedelta(days=29)


class SumsForm(PeriodForm):
    """By what, and over which days."""

    by = forms.ChoiceField(label=pgettext_lazy("sums", "By"), required=False)
    field_order = ("by", "since", "until")

    def __init__(self, *args: Any, agency: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = AGENCY if agency else OWN
        field: Any = self.fields["by"]
        field.choices, self.otherwise = choices, choices[0][0]

    def asked(self) -> tuple[str, date, date]:
        """(by what, first day, last day); what makes no sense counts as not said."""
        since, until = self.days()
        said = self.cleaned_data if self.is_valid() else {}
        return said.get("by") or self.otherwise, since, until
