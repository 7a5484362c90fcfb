"""The statement of an allocation, on paper too: what was there, every line, what is there."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.generic import TemplateView

from allocations.charging import NORMAL
from allocations.forms.books import PeriodForm
from allocations.models import Allocation, LedgerEntry
from allocations.selectors.statement import Statement, statement
from common.downloads import csv_file
from common.quantities import seconds_to_hours
from common.tables import csv_rows
from common.web import ObjectMixin

A_PAGE = 50
ON_PAPER = 5_000
"""Lines that are shown at once for printing."""


class StatementPage(ObjectMixin, TemplateView):
    """A period of the reader's choice, paged; `print` shows all of it, `format=csv` is the file."""

    model = Allocation
    object_name = "allocation"
    template_name = "allocations/statement.html"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("project__organisation", "pool")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.form = PeriodForm(request.GET)
        self.statement = statement(self.object, *self.form.span())
        if request.GET.get("format") == "csv":
            return csv_file(csv_rows(_header(), _rows(self.statement)), f"statement-{self.object.public_id}")
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        printing = "print" in self.request.GET
        found = Paginator(self.statement.lines, ON_PAPER if printing else A_PAGE)
        page = found.get_page(self.request.GET.get("page"))
        query = self.request.GET.copy()
        for key in ("page", "format", "print"):
            query.pop(key, None)
        return super().get_context_data(
            form=self.form,
            statement=self.statement,
            page_obj=page,
            lines=page.object_list,
            printing=printing,
            printed_at=timezone.now(),
            query=query.urlencode(),
            **kwargs,
        )


def _header() -> list[str]:
    return [
        _("Time"),
        _("Kind"),
        _("Reservation"),
        _("Reason"),
        _("Weight"),
        _("GPU-hours"),
        _("Balance, GPU-hours"),
        _("By"),
        _("Device-seconds"),
    ]


def _rows(found: Statement) -> Iterator[list[Any]]:
    """The lines between an opening and a closing one."""
    yield _end_row(_("Opening balance"), found.since, found.opening)
    for line in found.lines.iterator(chunk_size=500):
        yield _row(line)
    yield _end_row(_("Closing balance"), found.until, found.closing)


def _row(line: LedgerEntry) -> list[Any]:
    return [
        line.at.isoformat(),
        line.get_kind_display(),
        line.lease.public_id if line.lease else "",
        line.why,
        "" if line.weight is None else Decimal(line.weight) / NORMAL,
        seconds_to_hours(line.device_seconds),
        seconds_to_hours(line.balance),  # type: ignore[attr-defined]
        line.by,
        line.device_seconds,
    ]


def _end_row(words: str, at: Any, balance: int) -> list[Any]:
    return [at.isoformat() if at else "", words, "", "", "", "", seconds_to_hours(balance), "", ""]
