"""How many GPUs, how they lie together, and when: shape only; the rules are asked in the services."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from allocations.forms.moments import MomentField
from allocations.models import Lease
from allocations.shapes import Shape
from common.forms import Form

JUST_PAST = timedelta(minutes=2)
"""A browser's minute that has begun still means now."""

NO_LENGTH = ""

LENGTHS = [
    ("3600", _("1 hour")),
    ("14400", _("4 hours")),
    ("28800", _("8 hours")),
    ("86400", _("1 day")),
    ("259200", _("3 days")),
    ("604800", _("7 days")),
    ("1209600", _("14 days")),
    (NO_LENGTH, _("until the time below")),
]


class ShapeForm(Form):
    """How many GPUs, or MIG instances where a pool has some, and how they lie together."""

    profile = forms.ChoiceField(label=_("What"), required=False)
    device_count = forms.IntegerField(label=_("GPUs"), min_value=1, max_value=10_000)
    shape = forms.ChoiceField(
        label=_("How they lie together"), choices=Lease.Shape.choices, required=False, initial=Lease.Shape.ANY
    )
    shape_nodes = forms.IntegerField(
        label=_("Number of nodes"),
        min_value=1,
        max_value=1_000,
        required=False,
        help_text=_("Only for as many GPUs on each of several nodes."),
    )

    def __init__(self, *args: Any, profiles: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [(name, _("MIG instances of %(profile)s") % {"profile": name}) for name in profiles]
        if names:
            self.fields["profile"].choices = [("", _("whole GPUs")), *names]  # type: ignore[attr-defined]
            self.fields["device_count"].label = _("How many")
        else:
            del self.fields["profile"]

    def clean(self) -> dict[str, Any]:
        """`shape` is a Shape afterwards, and `profile` is there."""
        cleaned = super().clean() or {}
        cleaned["profile"] = cleaned.get("profile") or ""
        kind: Any = cleaned.get("shape") or "any"
        nodes = cleaned.get("shape_nodes")
        if kind == "nodes" and "shape_nodes" not in self.errors and not nodes:
            self.add_error("shape_nodes", _("Please say over how many nodes the GPUs are to be spread."))
        if "shape" not in self.errors:
            cleaned["shape"] = Shape(kind, nodes if kind == "nodes" and nodes else 1)
        return cleaned


class FewestForm(ShapeForm):
    """The same, with how many still help where not all are free."""

    smallest = forms.IntegerField(
        label=_("Fewest GPUs that still help"),
        min_value=1,
        max_value=10_000,
        required=False,
        help_text=_("Leave it empty when only the full number helps."),
    )


class BookForm(FewestForm):
    """How many GPUs, from when, for how long."""

    field_order = (
        *("profile", "device_count", "smallest", "starts_at", "length", "ends_at", "shape", "shape_nodes", "note"),
    )
    starts_at = MomentField(label=_("Start"), required=False, help_text=_("Leave it empty to start now."))
    length = forms.ChoiceField(label=_("Length"), choices=LENGTHS, required=False)
    ends_at = MomentField(
        label=_("End"), required=False, help_text=_("Counts only where the length says “until the time below”.")
    )
    note = forms.CharField(
        label=_("What for"), max_length=200, required=False, help_text=_("For your team; you may leave it empty.")
    )

    def clean(self) -> dict[str, Any]:
        """`starts_at` and `ends_at` are always moments afterwards."""
        cleaned = super().clean() or {}
        now = timezone.now().replace(microsecond=0) + timedelta(seconds=1)  # so that what is held is whole hours
        if "starts_at" not in self.errors:
            starts_at = cleaned.get("starts_at") or now
            if starts_at < now - JUST_PAST:
                self.add_error("starts_at", _("This start has passed. Leave it empty to start now."))
            cleaned["starts_at"] = max(starts_at, now)
        length = cleaned.get("length")
        if length and cleaned.get("starts_at"):
            cleaned["ends_at"] = cleaned["starts_at"] + timedelta(seconds=int(length))
        elif not length and "length" not in self.errors and "ends_at" not in self.errors:
            self._check_end(cleaned)
        return cleaned

    def _check_end(self, cleaned: dict[str, Any]) -> None:
        if not cleaned.get("ends_at"):
            self.add_error("ends_at", _("Please choose a length, or say when the reservation ends."))
        elif cleaned.get("starts_at") and cleaned["ends_at"] <= cleaned["starts_at"]:
            self.add_error("ends_at", _("The end must be later than the start."))


class ChangeForm(ShapeForm):
    """What a reservation that has not begun is to become."""

    starts_at = MomentField(label=_("Start"))
    ends_at = MomentField(label=_("End"))
    field_order = ("profile", "device_count", "starts_at", "ends_at", "shape", "shape_nodes")

    def clean(self) -> dict[str, Any]:
        """The end comes after the start."""
        cleaned = super().clean()
        if cleaned.get("starts_at") and cleaned.get("ends_at") and cleaned["ends_at"] <= cleaned["starts_at"]:
            self.add_error("ends_at", _("The end must be later than the start."))
        return cleaned
