"""What a correction of decided minutes asks, and which day of a reservation is looked at."""

from datetime import date
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from allocations.forms.moments import MomentField
from allocations.models import Lease
from allocations.selectors.leases import placements_of
from allocations.usage_classes import UsageClass
from cluster.models import Device
from common.forms import Form


class CorrectUsageForm(Form):
    """From when to when, on which GPU, what it was, and why."""

    device = forms.ModelChoiceField(
        label=_("GPU"),
        queryset=Device.objects.none(),
        to_field_name="public_id",
        required=False,
        empty_label=_("all of the reservation's"),
    )
    starts_at = MomentField(label=_("From"))
    ends_at = MomentField(label=_("Until"))
    to_class = forms.ChoiceField(label=_("What these minutes were"), choices=UsageClass.choices)
    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("The partner reads it."),
    )

    def __init__(self, *args: Any, lease: Lease, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        held = [row.device_id for row in placements_of(lease)]
        field: Any = self.fields["device"]
        field.queryset = Device.objects.filter(pk__in=held).select_related("node")


class DayForm(Form):
    """A day of Seoul; what makes no sense counts as not asked."""

    day = forms.DateField(label=_("Day"), required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def chosen(self, otherwise: date) -> date:
        """The day that was asked for, else this one."""
        found: date | None = self.cleaned_data.get("day") if self.is_valid() else None
        return found or otherwise
