"""What somebody asks the policy."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common.forms import Form
from common.quantities import hours_to_seconds
from partners.choices import gpu_class_choices, pool_choices
from partners.forms.fields import DateField
from partners.policy import Wish

DOING = (
    ("propose", _("propose")),
    ("award", _("be awarded")),
    ("book", _("reserve")),
    ("extend", _("extend a reservation")),
)


class WishForm(Form):
    """What is to be done, from when to when; the rest is asked about where it is given."""

    doing = forms.ChoiceField(label=_("May we"), choices=DOING)
    first = DateField(label=_("From"))
    last = DateField(label=_("Until"), help_text=_("The last day counts."))
    gpus = forms.IntegerField(label=_("GPUs at once"), min_value=0, max_value=1_000_000, required=False)
    gpu_hours = forms.DecimalField(
        label=_("GPU-hours"), min_value=0, max_value=10**9, max_digits=12, decimal_places=2, required=False
    )
    gpu_class = forms.ChoiceField(label=_("GPU class"), required=False)
    pool = forms.ChoiceField(label=_("Pool"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        classes: Any = self.fields["gpu_class"]
        classes.choices = [("", _("any")), *gpu_class_choices()]
        pools: Any = self.fields["pool"]
        pools.choices = [("", _("any")), *((pool, name) for pool, name, _code in pool_choices())]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("first") and data.get("last") and data["last"] < data["first"]:
            self.add_error("last", _("The window ends before it begins."))
        return data

    def wish(self) -> Wish:
        """The cleaned form as what the policy takes."""
        data = self.cleaned_data
        return Wish(
            data["doing"],
            data["first"],
            data["last"],
            gpus=data["gpus"] or 0,
            gpu_seconds=hours_to_seconds(data["gpu_hours"] or 0),
            gpu_class=data["gpu_class"],
            pool=data["pool"],
        )
