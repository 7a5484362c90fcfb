"""Forms of the weights and of the adjustments: shape only."""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from allocations.books import HEAVIEST
from allocations.charging import NORMAL
from allocations.forms import MomentField
from cluster.models import Pool
from common.quantities import hours_to_seconds

MOST_HOURS = 10**9


def per_mille(weight: Decimal) -> int:
    """A weight as people write it (1.5) as it is stored (1500)."""
    return int(weight * NORMAL)


class WeightForm(forms.Form):
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


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(label=_("Reason"), max_length=200)


class AdjustForm(forms.Form):
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
