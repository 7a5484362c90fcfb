"""Forms of rules about idle GPUs and of the cases under them: shape only."""

from typing import Any

from django import forms
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from allocations.forms.rules import SpanField
from cluster.models import Pool
from common.forms import Form
from partners.models import Agreement
from usage.models import IdleCase, IdleRule
from usage.models.idle_rules import VALUES
from usage.selectors.tryouts import MOST_DAYS
from usage.services.answering import LONGEST_EXEMPTION_DAYS
from usage.services.case_steps import SAID

_HOUR, _MINUTE = 3600, 60
_HELP = {
    "window_seconds": _("in whole hours"),
    "measured_percent": _("What is not measured, maintained or ill never counts as idle."),
    "first_seconds": _("in whole hours"),
    "grace_seconds": _("in hours; at least one"),
    "answer_seconds": _("in hours; if nobody answers by then, the rule goes on"),
    "used_again_seconds": _("in minutes"),
    "takes_part": _("Else only reservations count of which every GPU stands idle."),
}


def _number(name: str, field: Any) -> forms.Field:
    label = field.verbose_name
    if name.endswith("_seconds"):
        unit = _MINUTE if name == "used_again_seconds" else _HOUR
        return SpanField(label=label, unit_seconds=unit, help_text=_HELP[name])
    return forms.IntegerField(label=label, min_value=0, max_value=100, help_text=_HELP.get(name, ""))


class IdleRuleForm(Form):
    """What a rule says; its house values stand in it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in VALUES:
            field: Any = IdleRule._meta.get_field(name)
            if name.startswith(("counts", "takes")):
                made: forms.Field = forms.BooleanField(
                    label=field.verbose_name, required=False, help_text=_HELP.get(name, "")
                )
            elif name == "follows":
                made = forms.ChoiceField(label=field.verbose_name, choices=IdleRule.Follows.choices)
            else:
                made = _number(name, field)
            made.initial = field.default
            self.fields[name] = made
        self.fields["reason"] = forms.CharField(
            label=_("Reason"), max_length=300, help_text=_("Stands in the audit log.")
        )

    @property
    def values(self) -> dict[str, Any]:
        """As the service takes them."""
        return {name: self.cleaned_data[name] for name in VALUES}


class NewIdleRuleForm(IdleRuleForm):
    """The same, and whose rule it is."""

    pool = forms.ModelChoiceField(
        label=_("Pool"),
        queryset=Pool.objects.all(),
        to_field_name="public_id",
        required=False,
        empty_label=_("every pool"),
    )
    agreement = forms.CharField(
        label=_("Agreement"), max_length=60, required=False, help_text=_("its number; its rule goes before any pool's")
    )

    def clean_agreement(self) -> Agreement | None:
        """By number or id."""
        wanted = self.cleaned_data["agreement"].strip()
        if not wanted:
            return None
        found = Agreement.objects.filter(Q(number=wanted) | Q(public_id=wanted)).first()
        if found is None:
            raise forms.ValidationError(_("There is no agreement of this number."))
        return found


def _said(label: Any) -> forms.CharField:
    return forms.CharField(label=label, max_length=SAID, widget=forms.Textarea(attrs={"rows": 4}))


class ReplyForm(Form):
    """What somebody wants the officers to know."""

    text = _said(_("Reply"))


class AppealForm(Form):
    """Why nothing should be taken."""

    reason = _said(_("Reason"))


class DismissForm(Form):
    """Why the appeal is not followed."""

    answer = _said(_("Answer, to be read by the members"))


class _Exempting(Form):
    days = forms.IntegerField(
        label=_("Leave the reservation alone for so many days"),
        min_value=0,
        max_value=LONGEST_EXEMPTION_DAYS,
        initial=7,
    )


class UpholdForm(_Exempting):
    """The appeal is followed."""

    answer = _said(_("Answer, to be read by the members"))
    field_order = ("answer", "days")


class StopForm(_Exempting):
    """The course ends."""

    reason = _said(_("Reason, to be read by the members"))
    field_order = ("reason", "days")


class CarryOutForm(Form):
    """The officer's word to what the rule proposes."""

    reason = forms.CharField(label=_("Note, to be read by the members"), max_length=SAID, required=False)


class TryForm(Form):
    """How far back."""

    days = forms.IntegerField(label=_("Days to look back"), min_value=1, max_value=MOST_DAYS, initial=30)


class ReasonForm(Form):
    """Why."""

    reason = forms.CharField(label=_("Reason"), max_length=300, help_text=_("Stands in the audit log."))


class BreachForm(Form):
    """What was found, on what ground it is ended, and when."""

    kind = forms.ChoiceField(label=_("Kind"), choices=IdleCase.Kind.choices[1:])
    reason = forms.CharField(label=_("What was found"), max_length=300, help_text=_("The members read it."))
    basis = forms.CharField(label=_("On what ground"), max_length=200, help_text=_("clause of the agreement, or rule"))
    grace_seconds = SpanField(
        label=_("Time to save the work"),
        unit_seconds=_HOUR,
        initial=0,
        help_text=_("in hours; 0: at once, for a danger to others only"),
    )
