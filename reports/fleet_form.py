"""What is asked of the fleet's screen, by page and API alike: shape only."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.validators import slug_re
from django.utils.translation import gettext_lazy as _

from allocations.forms import MomentField
from common.forms import Form
from common.widgets import LongSelect
from reports.selectors.fleet_metrics import DEFAULT_METRIC, METRICS
from reports.selectors.fleet_parts import Part
from reports.selectors.fleet_screen import choices
from reports.selectors.fleet_sql import Narrowed

STEPS = 144
"""Of the slider: of a day ten minutes each."""
SPANS = {"24h": 1, "7d": 7, "30d": 30, "90d": 90, "1y": 365, "3y": 1095}
"""How many days the slider reaches back."""
_SPAN_NAMES = (
    ("24h", _("24 hours")),
    ("7d", _("7 days")),
    ("30d", _("30 days")),
    ("90d", _("90 days")),
    ("1y", _("1 year")),
    ("3y", _("3 years")),
)
DEFAULT_SPAN = "24h"
LAST_PAGE = 10**8


class FleetForm(Form):
    """Which GPUs, coloured by what, at which moment: an exact one, or so many steps of the slider before now."""

    pool = forms.ChoiceField(label=_("Pool"), required=False)
    gpu_class = forms.ChoiceField(label=_("GPU class"), required=False)
    organisation = forms.ChoiceField(label=_("Held by"), required=False, widget=LongSelect)
    call = forms.ChoiceField(label=_("Call"), required=False)
    metric = forms.ChoiceField(
        label=_("Coloured by"), choices=[(each.key, each.label) for each in METRICS.values()], required=False
    )
    at = MomentField(label=_("At this moment"), required=False)
    span = forms.ChoiceField(label=_("Reach of the slider"), choices=_SPAN_NAMES, required=False)
    back = forms.IntegerField(
        label=_("Back in time"),
        min_value=0,
        max_value=STEPS,
        required=False,
        widget=forms.NumberInput(attrs={"type": "range", "min": 0, "max": STEPS, "step": 1}),
    )
    part = forms.ChoiceField(label=_("Only these"), choices=[("", _("All")), *Part.choices], required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        found = choices()
        for name in ("pool", "gpu_class", "organisation", "call"):
            self.fields[name].choices = [("", _("All")), *found.get(name, [])]  # type: ignore[attr-defined]

    def said(self, name: str) -> Any:
        """A field that is right, else nothing."""
        return getattr(self, "cleaned_data", {}).get(name)

    @property
    def which(self) -> Narrowed:
        """The filters."""
        return Narrowed(*(self.said(name) or "" for name in ("pool", "gpu_class", "organisation", "call")))

    @property
    def metric_key(self) -> str:
        """What it is coloured by."""
        return self.said("metric") or DEFAULT_METRIC

    @property
    def span_key(self) -> str:
        """How far the slider reaches."""
        return self.said("span") or DEFAULT_SPAN

    def moment(self, now: datetime) -> datetime | None:
        """What is asked for; None: now."""
        exact: datetime | None = self.said("at")
        back = self.said("back")
        if exact or not back:
            return exact
        return now - timedelta(days=SPANS[self.span_key]) * (back / STEPS)

    def step_of(self, moment: datetime | None, now: datetime) -> int:
        """Where the slider stands for a moment."""
        if moment is None:
            return 0
        return max(0, min(STEPS, round((now - moment) / timedelta(days=SPANS[self.span_key]) * STEPS)))


def page_number(said: str) -> int:
    """The page that was asked for: the first where it is no number; below the first, or for `last`, the last."""
    if said == "last":
        return LAST_PAGE
    if not said.lstrip("-").isdecimal():
        return 1
    number = int(said[:9])
    return number if number > 0 else LAST_PAGE


def node_said(said: str) -> str:
    """The public id of a node, as it was asked for; what can be none gives one that nobody has."""
    return said if not said or slug_re.match(said) else "-"
