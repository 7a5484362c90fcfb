"""An organisation's own figures and hints."""

import json
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views import View
from django.views.generic import TemplateView

from allocations.usage_classes import UsageClass
from common.downloads import csv_file
from common.quantities import seconds_to_hours
from common.tables import csv_rows
from partners.models import Organisation
from usage.forms.sums import PeriodForm
from usage.lines import cells, heads
from usage.selectors.figures import Figures, bars, figures, picture

ON_A_PAGE = 100
"""People that are shown; the file has all."""


class OwnFigures(LoginRequiredMixin, View):
    """To the figures of the reader's own organisation; the agency, and who belongs to none, to the sums of all."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """A reader of several organisations finds the others on the page."""
        reader: Any = request.user
        own = Organisation.objects.filter(memberships__user=reader).exclude(kind="agency").first()
        if own is None:
            return redirect("usage:sums")
        return redirect("usage:figures-of", own.public_id)


class FiguresPage(LoginRequiredMixin, TemplateView):
    """Figures over days; `?format=csv` gives all lines as a file."""

    template_name = "usage/figures.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        organisation, self.others = _organisation(request.user, kwargs["public_id"])
        self.form = PeriodForm(request.GET)
        self.figures = figures(request.user, organisation, *self.form.days(), timezone.now())
        if request.GET.get("format") == "csv":
            return csv_file(csv_rows(_header(), _lines(self.figures)), f"figures-{organisation.public_id}")
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        said = self.figures
        query = self.request.GET.copy()
        query.pop("format", None)
        shown = bars(said.days, said.since, said.until)
        return super().get_context_data(
            form=self.form,
            figures=said,
            bars=shown,
            chart=json.dumps(picture(shown)),
            others=self.others,
            people=said.people[:ON_A_PAGE],
            cut=max(0, len(said.people) - ON_A_PAGE),
            classes=list(UsageClass),
            query=query.urlencode(),
            **kwargs,
        )


def _organisation(user: Any, public_id: str) -> tuple[Organisation, list[Organisation]]:
    """The one that is asked for, and the reader's other ones; 404 where it is none of theirs. One query."""
    seen = Organisation.objects.visible_to(user)
    if user.is_agency:
        return get_object_or_404(seen, public_id=public_id), []
    own = list(seen)
    found = next((each for each in own if each.public_id == public_id), None)
    if found is None:
        raise Http404
    return found, [each for each in own if each != found]


def _header() -> list[str]:
    ends = [_("Left, GPU-hours"), _("A day lately, GPU-hours"), _("Runs out"), _("Left over at the end, GPU-hours")]
    return [pgettext("sums", "By"), _("Number"), _("Name"), *heads(samples=False), *ends]


def _lines(said: Figures) -> Iterator[list[Any]]:
    for by, rows in ((_("Project"), said.projects), (_("Booked by"), said.people)):
        for row in rows:
            yield [by, row.sums_of, row.name, *cells(row.sums, samples=False), "", "", "", ""]
    for each in said.outlooks:
        ahead = each.forecast
        ends: list[Any] = [seconds_to_hours(each.balance.left), seconds_to_hours(ahead.pace_seconds_a_day)]
        ends.append(timezone.localtime(ahead.runs_out_at).strftime("%Y-%m-%d %H:%M") if ahead.runs_out_at else "")
        ends.append("" if ahead.unused_seconds is None else seconds_to_hours(ahead.unused_seconds))
        yield [_("Allocation"), each.allocation.public_id, str(each.allocation), *[""] * (len(UsageClass) + 2), *ends]
