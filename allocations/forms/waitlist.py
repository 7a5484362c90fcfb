"""Forms of the wait-list: shape only; the rules are asked in the services."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from allocations.forms.finding import UNITS, FindForm
from common.forms import Form

WAIT_UNITS = [("60", _("minutes")), *UNITS]


class JoinForm(FindForm):
    """What somebody waits for: the ask of "Find me a slot", of one award."""

    length = forms.IntegerField(label=_("For how long"), min_value=1, max_value=129_600, initial=8)
    note = forms.CharField(
        label=_("What for"), max_length=200, required=False, help_text=_("For your team; you may leave it empty.")
    )

    def __init__(self, *args: Any, profiles: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, where=[], profiles=profiles, **kwargs)
        del self.fields["where"], self.fields["late"]
        self.fields["unit"].choices = WAIT_UNITS  # type: ignore[attr-defined]
        self.fields["smallest"].help_text = _(
            "An offer may be as small as this. It cannot be changed later, and an offer is taken whole or not at all."
        )
        self.fields["latest"].help_text = _(
            "The reservation must be over by then. The wider the time, the sooner something fits. Empty: thirty days."
        )


class DeclineForm(Form):
    """Stay on the list, or leave it."""

    stay = forms.ChoiceField(
        label=_("And then"),
        choices=[("1", _("stay on the list, at the end of the queue")), ("", _("leave the list"))],
        required=False,
        initial="1",
        widget=forms.RadioSelect,
    )

    def clean_stay(self) -> bool:
        """Yes or no."""
        return bool(self.cleaned_data["stay"])


class RemoveForm(Form):
    """Why."""

    reason = forms.CharField(label=_("Reason"), max_length=300, help_text=_("The partner reads it."))


class PriorityForm(Form):
    """Higher is served first."""

    priority = forms.IntegerField(
        label=_("Priority"), help_text=_("0 unless decided otherwise; from −100 to 100. The partner sees it.")
    )
    reason = forms.CharField(label=_("Reason"), max_length=200, help_text=_("Stands in the audit log."))


class HoldForm(Form):
    """How long an offer is held."""

    minutes = forms.IntegerField(label=_("Minutes"), min_value=1, max_value=100_000)
    reason = forms.CharField(label=_("Reason"), max_length=200, help_text=_("Stands in the audit log."))
