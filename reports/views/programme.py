"""The programme as a whole, for the agency."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.generic import TemplateView

from allocations.usage_classes import UsageClass
from common.downloads import csv_file
from common.quantities import seconds_to_hours
from common.tables import csv_rows
from reports.programme_form import ProgrammeForm
from reports.selectors.programme import GroupRow, Programme, carbon_of, programme
from reports.views.staff import StaffMixin
from usage.selectors.figures import picture


class ProgrammePage(StaffMixin, TemplateView):
    """Figures over days; `?format=csv` gives the lines as a file, `?print=1` opens every table."""

    template_name = "reports/programme.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.form = ProgrammeForm(request.GET)
        self.programme = programme(request.user, *self.form.days())
        if request.GET.get("format") == "csv":
            return csv_file(csv_rows(_header(), _lines(self.programme)), "programme")
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        said = self.programme
        query = self.request.GET.copy()
        for name in ("format", "print"):
            query.pop(name, None)
        shown = list(said.bars)
        parts = ((_("Call"), "calls", said.calls), (_("Region"), "regions", said.regions))
        return super().get_context_data(
            form=self.form,
            programme=said,
            groups=[
                {"title": title, "key": key, "rows": rows, "chart": json.dumps(_compared(rows)) if rows else ""}
                for title, key, rows in (*parts, (_("Company size"), "sizes", said.sizes))
            ],
            months=[(name, sums, carbon_of(sums)) for name, sums in shown],
            use_chart=json.dumps(picture(shown)),
            share_chart=json.dumps(_shares(said)),
            classes=list(UsageClass),
            open="print" in self.request.GET,
            query=query.urlencode(),
            **kwargs,
        )


def _compared(rows: Iterable[GroupRow]) -> dict[str, Any]:
    rows = list(rows)
    bars = (
        (_("Asked"), "physical", [row.asked for row in rows]),
        (_("Awarded"), "promised", [row.awarded for row in rows]),
        (_("Held"), "bookable", [row.use.held_seconds for row in rows]),
        (_("Used"), "use_used", [row.use.used_seconds for row in rows]),
    )
    series = [
        {"name": name, "kind": "bar", "look": look, "stack": look, "points": [round(each / 3600, 1) for each in points]}
        for name, look, points in bars
    ]
    return {"unit": _("GPU-hours"), "labels": [str(row.name) for row in rows], "series": series}


def _shares(said: Programme) -> dict[str, Any]:
    idle = [None if sums.idle_share is None else round(100 * sums.idle_share, 1) for _name, sums in said.bars]
    used = [None if sums.used_share is None else round(100 * sums.used_share, 1) for _name, sums in said.bars]
    series = [
        {"name": _("Idle of measured"), "kind": "line", "look": "used", "points": idle},
        {"name": _("Used of held"), "kind": "line", "look": "booked", "points": used},
    ]
    return {"unit": "%", "max": 100, "labels": [name for name, _sums in said.bars], "series": series}


def _header() -> list[str]:
    hours = [_("Asked, GPU-hours"), _("Awarded, GPU-hours"), _("Held, GPU-hours"), _("Used, GPU-hours")]
    ends = [_("Idle, GPU-hours"), _("Energy, kWh"), _("CO2 equivalents, kg"), _("Days to the first GPU-hour, median")]
    return [pgettext("sums", "By"), _("Name"), _("Proposals"), _("Awarded"), *hours, *ends]


def _lines(said: Programme) -> Iterator[list[Any]]:
    groups = ((_("All"), (said.whole,)), (_("Call"), said.calls), (_("Region"), said.regions))
    for by, rows in (*groups, (_("Company size"), said.sizes)):
        for row in rows:
            wait = row.median_wait
            hours = (row.asked, row.awarded, row.use.held_seconds, row.use.used_seconds, row.use.unused_seconds)
            energy = [round(row.use.energy_kwh, 3), round(carbon_of(row.use).kilograms, 3)]
            days = "" if wait is None else round(wait.total_seconds() / 86_400, 1)
            yield [by, str(row.name), row.proposals, row.given, *map(seconds_to_hours, hours), *energy, days]
    for name, sums in said.bars:
        made = (sums.held_seconds, sums.used_seconds, sums.unused_seconds)
        energy = [round(sums.energy_kwh, 3), round(carbon_of(sums).kilograms, 3)]
        yield [_("Day or month"), name, "", "", "", "", *map(seconds_to_hours, made), *energy, ""]
