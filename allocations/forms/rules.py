"""Forms of the rules of booking: shape only; what may be said is asked in the service."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from allocations.forms.moments import MomentField
from allocations.rule_words import NAMES, value_text
from allocations.rulebook import DAY_SECONDS, RULES, Rulebook
from cluster.models import Pool
from common.forms import Form

_HOUR, _DAY = 3600, DAY_SECONDS
MOST_TYPED = 100_000_000


class SpanField(forms.DecimalField):
    """A length of time, typed in hours or days, kept in seconds."""

    def __init__(self, *, unit_seconds: int, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=MOST_TYPED // unit_seconds, decimal_places=6, **kwargs)
        self.unit_seconds = unit_seconds

    def clean(self, value: Any) -> int | None:
        """Whole seconds."""
        typed = super().clean(value)
        if typed is None:
            return None
        return int((typed * self.unit_seconds).to_integral_value(rounding=ROUND_HALF_UP))

    def prepare_value(self, value: Any) -> Any:
        """Seconds as they are typed: 5400 is 1.5 hours; what was typed stays as it is."""
        if not isinstance(value, int):
            return value
        exact = (Decimal(value) / self.unit_seconds).quantize(Decimal("0.000001")).normalize()
        return f"{exact:f}"


_DAYS = {"longest_seconds": _("in days"), "ahead_seconds": _("in days")}
_COUNTS = ("future_leases", "extensions", "concurrent_gpus", "early_return_percent")
_NOTES = {
    "future_leases": _("how many may wait for their beginning, each allocation by itself"),
    "extensions": _("how often one may be extended once it has begun"),
    "release_notice_seconds": _("in hours; what lies within it is charged, used or not"),
    "concurrent_gpus": _("each allocation by itself; its own ceiling and the agreement's hold as well"),
    "no_show_seconds": _("in hours; 0 switches the rule off"),
    "early_return_percent": _("in per cent of what is left of the window"),
}


def _field(name: str) -> forms.Field:
    if name in _COUNTS:
        return forms.IntegerField(label=NAMES[name], min_value=0, max_value=1_000_000, required=False)
    return SpanField(label=NAMES[name], unit_seconds=_DAY if name in _DAYS else _HOUR, required=False)


class RulesForm(Form):
    """What a pool, an agreement or an allocation says: every field may stay empty, and says then what holds instead."""

    reason = forms.CharField(label=_("Reason"), max_length=200, help_text=_("Stands in the audit log."))
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)

    def __init__(self, *args: Any, inherited: Rulebook, scope: str, sources: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in RULES:
            field = _field(name)
            said = getattr(inherited, name)
            note = _NOTES.get(name) or _DAYS.get(name) or _("in hours")
            value = {"value": value_text(name, said.value), "source": sources[said.scope]}
            empty = (
                gettext("Empty: what the pool says, else %(value)s (%(source)s).")
                if scope == "agreement"
                else gettext("Empty: %(value)s (%(source)s).")
            )
            field.help_text = f"{note}. {empty % value}"
            self.fields[name] = field
        self.order_fields((*RULES, "reason", "version"))

    @property
    def values(self) -> dict[str, int | None]:
        """The rules as the service takes them."""
        return {name: self.cleaned_data[name] for name in RULES}


class BlackoutForm(Form):
    """When nothing may be booked, where, and why."""

    pool = forms.ModelChoiceField(
        label=_("Pool"),
        queryset=Pool.objects.all(),
        to_field_name="public_id",
        required=False,
        empty_label=_("every pool"),
    )
    starts_at = MomentField(label=_("From"))
    ends_at = MomentField(label=_("Until"))
    reason_ko = forms.CharField(label=_("Reason in Korean"), max_length=200, help_text=_("Partners read it."))
    reason_en = forms.CharField(label=_("Reason in English"), max_length=200, help_text=_("Partners read it."))


class ReasonForm(Form):
    """Why."""

    reason = forms.CharField(label=_("Reason"), max_length=200, help_text=_("Stands in the audit log."))
