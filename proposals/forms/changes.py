"""The form of a change to what was awarded."""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from allocations.models import Allocation
from cluster.models import Pool
from common.quantities import hours_to_seconds
from partners.forms import DateField
from partners.rules import USING
from proposals.models import ChangeRequest
from proposals.selectors import window_of
from proposals.services.changing import Wish


class ChangeForm(forms.Form):
    """What is to change, and what for; of the four the one that was chosen counts."""

    kind = forms.ChoiceField(label=_("What is to change"), choices=ChangeRequest.Kind.choices)
    hours = forms.DecimalField(
        label=_("For more GPU-hours: how many more"),
        required=False,
        min_value=Decimal("0.01"),
        max_digits=12,
        decimal_places=2,
    )
    valid_until = DateField(label=_("For a longer term: the new last day"), required=False)
    pool = forms.ModelChoiceField(
        label=_("For another pool or GPU class: which"),
        queryset=Pool.objects.none(),
        to_field_name="public_id",
        required=False,
        help_text=_("What is left moves there. Reservations that are still open have to end first."),
    )
    lead = forms.ModelChoiceField(
        label=_("To hand over: who leads the project then"),
        queryset=User.objects.none(),
        to_field_name="public_id",
        required=False,
    )
    reason = forms.CharField(
        label=_("Reason"), max_length=4_000, widget=forms.Textarea(attrs={"rows": 4}), help_text=_("What is it for?")
    )

    def __init__(self, *args: Any, allocation: Allocation, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: Any = self.fields
        pools = Pool.objects.visible_to(user).exclude(pk=allocation.pool_id).select_related("gpu_class")
        fields["pool"].queryset = pools.order_by("name")
        members = User.objects.filter(
            memberships__organisation_id=allocation.project.organisation_id, memberships__role__in=USING
        )
        fields["lead"].queryset = members.order_by("name")

    def wish(self) -> Wish:
        """What the service is told; the fields of the other kinds are left alone."""
        said, kind = self.cleaned_data, self.cleaned_data["kind"]
        if kind == ChangeRequest.Kind.HOURS:
            return Wish(kind, gpu_seconds=hours_to_seconds(said["hours"]) if said["hours"] else None)
        if kind == ChangeRequest.Kind.TERM:
            day = said["valid_until"]
            return Wish(kind, valid_until=window_of(day, day)[1] if day else None)
        if kind == ChangeRequest.Kind.POOL:
            return Wish(kind, pool=said["pool"])
        return Wish(kind, lead=said["lead"])
