"""Forms of the weights and of the adjustments: shape only."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from allocations import periods
from allocations.books import HEAVIEST
from allocations.charging import NORMAL
from allocations.forms.moments import MomentField
from cluster.models import Pool
from common.forms import Form
from common.moments import FIRST_YEAR, LAST_YEAR
from common.quantities import hours_to_seconds

MOST_HOURS = 10**9


def per_mille(weight: Decimal) -> int:
    """A weight as people write it (1.5) as it is stored (1500)."""
    return int(weight * NORMAL)


class WeightForm(Form):
    """What an hour on a pool's GPUs is charged as, and from when."""

    pool = forms.ModelChoiceField(label=_("Pool"), queryset=Pool.objects.all(), to_field_name="public_id")
    weight = forms.DecimalField(
        label=_("An hour is charged as, GPU-hours"),
        min_value=Decimal("0.001"),
        max_value=Decimal(HEAVIEST // NORMAL),
        decimal_places=3,
        help_text=_("1 is an hour for an hour, 1.5 an hour and a half."),
    )
    valid_from = MomentField(label=_("From"))
    reason = forms.CharField(label=_("Reason"), max_length=200, help_text=_("The partners read it."))

    def said(self) -> dict[str, Any]:
        """What the service is told."""
        return self.cleaned_data | {"weight": per_mille(self.cleaned_data["weight"])}


class ReasonForm(Form):
    """Why."""

    reason = forms.CharField(label=_("Reason"), max_length=200)


class AdjustForm(Form):
    """Hours to add, or negative ones to take."""

    hours = forms.DecimalField(
        label=_("GPU-hours"),
        min_value=Decimal(-MOST_HOURS),
        max_value=Decimal(MOST_HOURS),
        decimal_places=2,
        help_text=_("Negative to take hours away, for example -12.5."),
    )
    reason = forms.CharField(label=_("Reason"), max_length=200, help_text=_("The partner reads it."))

    def said(self) -> dict[str, Any]:
        """What the service is told."""
        return {
            "device_seconds": hours_to_seconds(self.cleaned_data["hours"]),
            "reason": self.cleaned_data["reason"],
        }


class PeriodForm(Form):
    """Which stretch of a statement: a month, or days of the reader's zone, both included."""

    period = forms.ChoiceField(
        label=_("Period"),
        required=False,
        choices=[
            ("", _("from the award until now")),
            ("this_month", _("this month")),
            ("last_month", _("last month")),
            ("days", _("the days below")),
        ],
    )
    until = forms.DateField(
        label=_("Until"), required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        since = forms.DateField(
            label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
        )
        self.fields = {"period": self.fields["period"], "from": since, "until": self.fields["until"]}

    def clean(self) -> dict[str, Any]:
        """The first day is not after the last, and both lie in years that something of ours may lie in."""
        cleaned = super().clean() or {}
        first, last = cleaned.get("from"), cleaned.get("until")
        for name, day in (("from", first), ("until", last)):
            if day and not FIRST_YEAR <= day.year <= LAST_YEAR:
                self.add_error(
                    name,
                    forms.ValidationError(
                        _("Please give a year between %(first)d and %(last)d."),
                        params={"first": FIRST_YEAR, "last": LAST_YEAR},
                    ),
                )
        if first and last and first > last:
            self.add_error("until", _("The last day must not come before the first."))
        return cleaned

    def span(self) -> tuple[datetime | None, datetime | None]:
        """The moments that bound it; None: open. A wrong period is the whole statement, and its field says so."""
        if not self.is_valid():
            return None, None
        asked = self.cleaned_data
        if asked["period"] == "this_month":
            return periods.this_month()
        if asked["period"] == "last_month":
            return periods.last_month()
        first, last = asked["from"], asked["until"]
        return first and periods.midnight(first), last and periods.midnight(last + timedelta(days=1))
