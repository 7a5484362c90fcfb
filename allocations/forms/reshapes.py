"""Forms over the GPUs of a running reservation; the rules are asked in the services."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from allocations.selectors.reshapes import Candidate
from common.forms import Form
from common.templatetags.bitgoeul import number


class ShrinkForm(Form):
    """Which GPUs, or how many."""

    devices = forms.MultipleChoiceField(
        label=_("GPUs to give back, the least used first"),
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=_("What runs on them is ended. Everything else, your files and open sessions included, stays."),
    )
    device_count = forms.IntegerField(
        label=_("Or only how many"),
        min_value=1,
        max_value=100_000,
        required=False,
        help_text=_("The portal then chooses: ill ones first, then whole nodes, then the least used."),
    )

    def __init__(self, *args: Any, rows: list[Candidate], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = {row.device.public_id: row.device for row in rows}
        self.fields["devices"].choices = [(row.device.public_id, label(row)) for row in rows]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """One of the two; `devices` are rows afterwards."""
        cleaned = super().clean() or {}
        named, count = cleaned.get("devices") or [], cleaned.get("device_count")
        if not self.errors and bool(named) == bool(count):
            self.add_error("devices", _("Please tick the GPUs, or say how many, and not both."))
        return {"devices": [self.rows[name] for name in named if name in self.rows], "device_count": count or 0}


class SwapForm(Form):
    """Which GPU, and why."""

    device = forms.ChoiceField(label=_("GPU to replace"), widget=forms.RadioSelect)
    reason = forms.CharField(label=_("Reason"), max_length=300, required=False)

    def __init__(self, *args: Any, rows: list[Candidate], needs_reason: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = {row.device.public_id: row.device for row in rows}
        self.fields["device"].choices = [(row.device.public_id, label(row)) for row in rows]  # type: ignore[attr-defined]
        self.fields["reason"].required = needs_reason
        if len(rows) == 1:
            self.initial["device"] = rows[0].device.public_id

    def clean_device(self) -> Any:
        """The row."""
        return self.rows[self.cleaned_data["device"]]


def label(row: Candidate) -> str:
    """A GPU as people call it, what it did in the last hour, and whether it is ill."""
    name = {"name": f"{row.device.node.name} / {row.device.index}"}
    if row.percent is None:
        said = _("%(name)s, nothing measured in the last hour") % name
    else:
        said = _("%(name)s, %(percent)s %% used in the last hour") % {**name, "percent": number(round(row.percent))}
    return str(_("%(gpu)s, ill") % {"gpu": said} if row.ill else said)
