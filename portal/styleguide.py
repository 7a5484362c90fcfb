"""`/staff/styleguide/`: the tokens and components that every page is made of, drawn with the pages' own templates."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from allocations.lifecycle import ADJUSTMENT, ALLOCATION, LEASE, RESHAPE, WAIT
from cluster.lifecycle import COMMAND, DEVICE, NODE
from cluster.models import Device
from common.forms import Form
from common.web import Page, staff_only
from partners.lifecycle import AGREEMENT, AMENDMENT
from projects.lifecycle import PROGRESS_REPORT
from proposals.lifecycle import ASSIGNMENT, CHANGE, PREPARED, PROPOSAL, STEP

MOMENT = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
ICONS = ("bell", "download", "filter", "inbox", "moon", "plus", "user")
"""What templates ask the sprite for."""


@dataclass(frozen=True)
class Colour:
    """One colour by the class that paints it and what it may be used for."""

    css: str
    use: Promise


COLOURS = (
    Colour("primary", _("Links, the main action, what is chosen")),
    Colour("green", _("In order, usable, done")),
    Colour("blue", _("In hand: in use, in review")),
    Colour("azure", _("On its way: scheduled, preparing")),
    Colour("orange", _("Wants attention: cleaning, suspended, suspect")),
    Colour("red", _("Wrong: failed, offline, refused, and what destroys")),
    Colour("secondary", _("Over, or of no weight")),
)


class SampleForm(Form):
    """A field of each kind that the portal has."""

    name = forms.CharField(label=_("Name"), max_length=40, help_text=_("At most 40 characters."))
    count = forms.IntegerField(label=_("GPUs"), min_value=1, max_value=8)
    kind = forms.ChoiceField(label=_("GPU class"), choices=[("H100", "H100"), ("H200", "H200"), ("A100", "A100")])
    day = forms.DateField(label=_("First day"), widget=forms.DateInput(attrs={"type": "date"}))
    reason = forms.CharField(label=_("Reason"), widget=forms.Textarea(attrs={"rows": 3}))
    agreed = forms.BooleanField(label=_("I have read the conditions"))


class StyleguidePage(Page):
    """For the agency's own people: who changes a page looks here first."""

    template_name = "portal/styleguide.html"

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if request.user.is_authenticated:
            staff_only(request.user)
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        people = (AGREEMENT, AMENDMENT, PROPOSAL, STEP, ASSIGNMENT, PREPARED, CHANGE, PROGRESS_REPORT)
        lifecycles = (*people, ALLOCATION, LEASE, RESHAPE, WAIT, ADJUSTMENT, DEVICE, NODE, COMMAND)
        return super().get_context_data(
            colours=COLOURS,
            icons=ICONS,
            lifecycles=[(table.noun, table.states) for table in lifecycles],
            healths=Device.Health.values,
            form=SampleForm(),
            wrong_form=SampleForm({"name": "", "count": 0, "kind": "H900", "day": "31/02", "reason": "…"}),
            moment_sample=MOMENT,
            **kwargs,
        )
