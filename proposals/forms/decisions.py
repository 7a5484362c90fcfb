"""The forms of an answer."""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from cluster.models import Pool
from common.forms import Form
from common.moments import agency_day, agency_today
from common.quantities import hours_to_seconds, seconds_to_hours
from partners.forms import DateField
from proposals.asks import MAX_GPUS
from proposals.awards import AwardAsk
from proposals.models import RequestLine
from proposals.selectors import window_of


class AwardLineForm(Form):
    """What is given on one request line; prefilled with the ask, or with what was prepared (`given`; `blank`: nothing
    was prepared on this line).
    """

    pool = forms.TypedChoiceField(label=_("Pool"))
    gpus = forms.IntegerField(
        label=_("GPUs at once"), min_value=0, max_value=MAX_GPUS, help_text=_("0: nothing on this line.")
    )
    guaranteed_gpus = forms.IntegerField(
        label=_("Of these guaranteed"),
        min_value=0,
        max_value=MAX_GPUS,
        required=False,
        help_text=_(
            "Held for this award at every moment; the others when they are free. Empty: what it needs on average, or "
            "none where a node is lent to one organisation at a time, because one GPU would then keep its whole node."
        ),
    )
    gpu_hours = forms.DecimalField(label=_("GPU-hours"), min_value=0, max_digits=14, decimal_places=2)
    window_from = DateField(label=_("From"))
    window_until = DateField(label=_("Until"), help_text=_("The last day counts."))

    def __init__(
        self, *args: Any, line: RequestLine, pools: list[Pool], given: Any = None, blank: bool = False, **kwargs: Any
    ) -> None:
        self.line, self.pools = line, pools
        kwargs["initial"] = {
            "pool": pools[0].public_id if pools else None,
            "gpus": line.gpus,
            "gpu_hours": seconds_to_hours(line.gpu_seconds),
            "window_from": max(line.window_from, agency_today()),
            "window_until": line.window_until,
        }
        if given is not None:
            kwargs["initial"] = {
                "pool": given.pool.public_id,
                "gpus": given.gpus,
                "guaranteed_gpus": given.guaranteed_gpus,
                "gpu_hours": seconds_to_hours(given.gpu_seconds),
                "window_from": agency_day(given.window_from),
                "window_until": agency_day(given.window_until - timedelta(microseconds=1)),
            }
        elif blank:
            kwargs["initial"]["gpus"] = 0
        super().__init__(*args, **kwargs)
        field: Any = self.fields["pool"]  # the pools are read once for all lines, not once a line
        field.choices = [(pool.public_id, str(pool)) for pool in pools]
        field.coerce = {pool.public_id: pool for pool in pools}.__getitem__

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        first, last = data.get("window_from"), data.get("window_until")
        if first and last and last < first:
            self.add_error("window_until", _("The window ends before it begins."))
        return data

    @property
    def ask(self) -> AwardAsk | None:
        """The award on this line; None where nothing is given."""
        data = self.cleaned_data
        if not data["gpus"]:
            return None
        start, end = window_of(data["window_from"], data["window_until"])
        seconds, kept = hours_to_seconds(data["gpu_hours"]), data["guaranteed_gpus"]
        return AwardAsk(self.line, data["pool"], data["gpus"], seconds, start, end, kept)


class AwardReasonForm(Form):
    """Why the award is what it is."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=4_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("Needed where less is awarded than asked for. The partner reads it."),
    )
