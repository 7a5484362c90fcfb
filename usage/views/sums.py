"""What was made of what is held, by whatever one asks for."""

from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.generic import TemplateView

from allocations.usage_classes import UsageClass
from common.downloads import csv_file
from common.tables import csv_rows
from usage.forms.sums import SumsForm
from usage.lines import cells, heads
from usage.selectors.sums import SumsRow, usage_by

ON_A_PAGE = 200
"""Lines that are shown; the file has all."""


class UsagePage(LoginRequiredMixin, TemplateView):
    """Sums over days; `?format=csv` gives all lines as a file."""

    template_name = "usage/sums.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.form = SumsForm(request.GET, agency=request.user.is_agency)  # type: ignore[union-attr]
        self.answer = usage_by(request.user, *self.form.asked())
        if request.GET.get("format") == "csv":
            return csv_file(
                csv_rows([_("Number"), _("Name"), *heads()], map(_line, self.answer.rows)), f"usage-{self.answer.by}"
            )
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        query = self.request.GET.copy()
        query.pop("format", None)
        word = dict(self.form.fields["by"].choices)[self.answer.by]  # type: ignore[attr-defined]
        return super().get_context_data(
            form=self.form,
            answer=self.answer,
            rows=self.answer.rows[:ON_A_PAGE],
            cut=max(0, len(self.answer.rows) - ON_A_PAGE),
            classes=list(UsageClass),
            word=word,
            query=query.urlencode(),
            **kwargs,
        )


def _line(row: SumsRow) -> list[Any]:
    return [row.sums_of, row.name, *cells(row.sums)]
