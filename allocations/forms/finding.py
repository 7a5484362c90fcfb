"""What somebody is after: “Find me a slot”."""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from allocations.forms.booking import FewestForm
from allocations.forms.moments import MomentField
from allocations.selectors.offers import LONGEST_SPAN, Wish

UNITS = [("3600", _("hours")), ("86400", _("days")), ("604800", _("weeks"))]

DEFAULT_SPAN = timedelta(days=30)


class FindForm(FewestForm):
    """What somebody is after; answered by windows that would pass."""

    where = forms.ChoiceField(label=_("Of which award"))
    length = forms.IntegerField(label=_("For how long"), min_value=1, max_value=2_160, initial=8)
    unit = forms.ChoiceField(label=_("Unit"), choices=UNITS, initial="3600")
    earliest = MomentField(label=_("Not before"), required=False, help_text=_("Leave it empty for now."))
    latest = MomentField(label=_("Done by"), required=False, help_text=_("Leave it empty to look thirty days ahead."))
    late = forms.ChoiceField(
        label=_("Which window"),
        choices=[("", _("the first that fits")), ("1", _("the last one that is done in time"))],
        required=False,
    )
    field_order = (
        "where",
        "profile",
        "device_count",
        "smallest",
        "shape",
        "shape_nodes",
        "length",
        "unit",
        "earliest",
        "latest",
        "late",
    )

    def __init__(self, *args: Any, where: list[tuple[str, Any]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["where"].choices = where  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """`wish` is there when nothing is wrong."""
        cleaned = super().clean()
        if self.errors:
            return cleaned
        now = timezone.now()
        earliest = max(cleaned.get("earliest") or now, now)
        latest = cleaned.get("latest") or earliest + DEFAULT_SPAN
        duration = timedelta(seconds=int(cleaned["unit"]) * cleaned["length"])
        smallest = cleaned.get("smallest") or cleaned["device_count"]
        if latest > earliest + LONGEST_SPAN:
            self.add_error("latest", _("Please look 400 days ahead at most."))
        elif latest - earliest < duration:
            self.add_error("latest", _("That is less time than you ask for. Choose a later end or a shorter length."))
        if smallest > cleaned["device_count"]:
            self.add_error("smallest", _("The fewest cannot be more than the GPUs that you ask for."))
        cleaned["wish"] = Wish(
            count=cleaned["device_count"],
            smallest=smallest,
            duration=duration,
            earliest=earliest,
            latest=latest,
            shape=cleaned["shape"],
            late=bool(cleaned.get("late")),
            profile=cleaned["profile"],
        )
        return cleaned
