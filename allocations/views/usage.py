"""What was made of a reservation: sums, days, every minute of a day, corrections."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from allocations.forms.usage import CorrectUsageForm, DayForm
from allocations.models import Lease, UsageDay
from allocations.rules import may_correct_usage
from allocations.selectors.leases import placements_of
from allocations.selectors.usage import minutes, use_of
from allocations.selectors.usage.figures import UsageSums
from allocations.services.usage.correcting import correct
from allocations.usage_classes import UsageClass
from allocations.views.agency import Agency
from common.downloads import csv_file
from common.form_pages import ObjectFormPage
from common.moments import agency_day, begin_of, zone_words
from common.permissions import allowed
from common.quantities import seconds_to_hours
from common.tables import csv_rows
from common.web import ObjectPage

_MINUTE = timedelta(minutes=1)
ON_A_PAGE = 400
"""Days that are shown; a longer reservation has them in the file."""


class LeaseUsagePage(ObjectPage):
    """A reservation's use; `?day=` chooses whose minutes are drawn, `?format=csv` gives the days as a file."""

    model = Lease
    object_name = "lease"
    template_name = "allocations/lease_usage.html"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("allocation__project__organisation", "allocation__pool")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.GET.get("format") == "csv":
            rows = self.object.usage_days.order_by("day")
            return csv_file(csv_rows(_header(), map(_row, rows.iterator())), f"usage-{self.object.public_id}")
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        lease, now = self.object, timezone.now()
        form = DayForm(self.request.GET)
        last = min(now, lease.drained_at or lease.ends_at)
        day = form.chosen(agency_day(max(lease.starts_at, last - _MINUTE)))
        return super().get_context_data(
            use=use_of(lease, now),
            days=[(row.day, UsageSums.of(vars(row))) for row in lease.usage_days.order_by("-day")[:ON_A_PAGE]],
            form=form,
            day=day,
            strips=_strips(lease, begin_of(day), now),
            classes=list(UsageClass),
            corrections=lease.usage_corrections.select_related("device__node").order_by("-id")[:100],
            may_correct=allowed(self.request.user, may_correct_usage),
            **kwargs,
        )


def _strips(lease: Lease, begins: datetime, now: datetime) -> list[tuple[Any, list[str]]]:
    """(device, a letter for each of the day's 1,440 minutes), blank where it was not held."""
    ends = min(begins + timedelta(days=1), now)
    letters: dict[int, list[str]] = defaultdict(lambda: [" "] * 1440)
    for row in minutes(lease, begins, ends) if ends > begins else []:
        letters[row.device_id][int((row.minute - begins) / _MINUTE)] = row.code
    devices = {row.device_id: row.device for row in placements_of(lease)}
    return [(device, letters[pk]) for pk, device in devices.items() if pk in letters]


def _header() -> list[str]:
    return [
        _("Day (%(zone)s)") % {"zone": zone_words()},
        _("Held, GPU-hours"),
        *(str(each.label) for each in UsageClass),
        _("Samples"),
        _("Energy, kWh"),
    ]


def _row(row: UsageDay) -> list[Any]:
    sums = UsageSums.of(vars(row))
    parts = [seconds_to_hours(seconds) for _kind, seconds in sums.parts]
    return [row.day.isoformat(), seconds_to_hours(sums.held_seconds), *parts, sums.samples, round(sums.energy_kwh, 3)]


class CorrectUsagePage(Agency, ObjectFormPage):
    """An officer or operator says what decided minutes were, with the reason that the partner reads."""

    model = Lease
    object_name = "lease"
    form_class: Any = CorrectUsageForm
    title = gettext_lazy("Correct what minutes were")
    intro = gettext_lazy(
        "What was decided stays as it is; the correction stands beside it with its reason, and the sums follow."
    )
    submit_label = gettext_lazy("Correct")
    success_message = gettext_lazy("The correction is entered, and the partner is told.")

    def get_queryset(self) -> Any:
        return (
            super().get_queryset().select_related("allocation__project__organisation", "allocation__pool", "booked_by")
        )

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "lease": self.object}

    def perform(self, form: forms.BaseForm) -> Any:
        correct(actor=self.request.user, lease=self.object, **form.cleaned_data)
        return self.object
