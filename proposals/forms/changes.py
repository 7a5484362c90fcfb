"""The form of a change to what was awarded."""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from allocations.models import Allocation
from cluster.models import Pool
from common.forms import Form
from common.quantities import hours_to_seconds
from partners.forms import DateField
from proposals.models import ChangeRequest
from proposals.selectors import window_of
from proposals.selectors.choices import other_leads, other_pools
from proposals.services.change_checks import Wish

FIELD = {
    ChangeRequest.Kind.HOURS: "hours",
    ChangeRequest.Kind.TERM: "valid_until",
    ChangeRequest.Kind.POOL: "pool",
    ChangeRequest.Kind.LEAD: "lead",
}
"""By kind the one field that says what it is to become."""


class ChangeForm(Form):
    """What it is to become, and what for: of one kind, which the address names."""

    hours = forms.DecimalField(
        label=_("How many GPU-hours more"), min_value=Decimal("0.01"), max_digits=12, decimal_places=2
    )
    valid_until = DateField(label=_("The new last day"))
    pool = forms.ModelChoiceField(
        label=_("The new pool"),
        queryset=Pool.objects.none(),
        to_field_name="public_id",
        empty_label=_("Choose a pool"),
        help_text=_("What is left moves there. Reservations that are still open have to end first."),
    )
    lead = forms.ModelChoiceField(
        label=_("Who leads the project then"),
        queryset=User.objects.none(),
        to_field_name="public_id",
        empty_label=_("Choose a person"),
    )
    reason = forms.CharField(
        label=_("Reason"), max_length=4_000, widget=forms.Textarea(attrs={"rows": 4}), help_text=_("What is it for?")
    )

    def __init__(self, *args: Any, kind: str, allocation: Allocation, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kind = ChangeRequest.Kind(kind)
        fields: Any = self.fields
        fields["pool"].queryset = other_pools(allocation, user)
        fields["pool"].label_from_instance = lambda pool: f"{pool.name} ({pool.gpu_class.name})"
        fields["lead"].queryset = other_leads(allocation)
        for other in set(FIELD.values()) - {FIELD[self.kind]}:
            del self.fields[other]

    def wish(self) -> Wish:
        """What the service is told."""
        said = self.cleaned_data[FIELD[self.kind]]
        if self.kind == ChangeRequest.Kind.HOURS:
            return Wish(self.kind, gpu_seconds=hours_to_seconds(said))
        if self.kind == ChangeRequest.Kind.TERM:
            return Wish(self.kind, valid_until=window_of(said, said)[1])
        return Wish(self.kind, **{FIELD[self.kind]: said})
