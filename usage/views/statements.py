"""Monthly statements: the list, the page (also for print, in either language), the signed file, the CSV."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import View

from allocations.selectors.usage import UsageSums
from allocations.usage_classes import UsageClass
from cluster.services.evidence import seal
from common.downloads import csv_file, json_file
from common.quantities import seconds_to_hours
from common.signatures import Purpose
from common.tables import Column, csv_rows
from common.templatetags.bitgoeul import hours, moment
from common.web import ListPage, ObjectMixin, ObjectPage
from usage.filters import StatementFilter
from usage.lines import cells, heads
from usage.models import Statement


class StatementList(ListPage):
    """Closed months that one may see: the agency all, partners their own."""

    model = Statement
    filterset_class = StatementFilter
    title = gettext_lazy("Monthly statements")
    empty_text = gettext_lazy("No month is closed yet. A month is closed one day after its end.")
    export_name = "statements"
    default_order = "-month"
    columns = (
        Column(
            "number",
            gettext_lazy("Number"),
            lambda row: row.number,
            link=lambda row: row.get_absolute_url(),
            sort="number",
        ),
        Column("month", gettext_lazy("Month"), lambda row: f"{row.month:%Y-%m}", sort="month"),
        Column(
            "organisation",
            gettext_lazy("Organisation"),
            lambda row: row.organisation.name,
            sort="organisation__name_ko",
        ),
        Column(
            "held",
            gettext_lazy("Held, GPU-hours"),
            lambda row: seconds_to_hours(row.held_seconds),
            cell=lambda row: hours(row.held_seconds),
            sort="held_seconds",
            numeric=True,
        ),
        Column(
            "used",
            gettext_lazy("Used, GPU-hours"),
            lambda row: seconds_to_hours(row.used_seconds),
            cell=lambda row: hours(row.used_seconds),
            sort="used_seconds",
            numeric=True,
        ),
        Column(
            "idle",
            gettext_lazy("Idle, GPU-hours"),
            lambda row: seconds_to_hours(row.idle_seconds),
            cell=lambda row: hours(row.idle_seconds),
            sort="idle_seconds",
            numeric=True,
        ),
        Column(
            "closed",
            gettext_lazy("Closed"),
            lambda row: row.closed_at.isoformat(),
            cell=lambda row: moment(row.closed_at),
            sort="closed_at",
        ),
    )

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("organisation").defer("text")


class StatementPage(ObjectPage):
    """What was closed, as it was signed; `?language=ko|en` prints it in that language, `?format=csv` is the file."""

    model = Statement
    object_name = "statement"
    template_name = "usage/statement.html"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("organisation")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.GET.get("format") == "csv":
            return csv_file(csv_rows(_header(), _rows(self.object.document)), self.object.number)
        asked = request.GET.get("language", "")
        known = asked if asked in dict(settings.LANGUAGES) else translation.get_language()
        with translation.override(known):
            page: Any = super().get(request, *args, **kwargs)
            return page.render() if hasattr(page, "render") else page  # type: ignore[no-any-return]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        said = self.object.document
        return super().get_context_data(
            said=said,
            sums=UsageSums.of(said["totals"]),
            classes=list(UsageClass),
            parts=[(_("Projects"), _named(said["projects"], "title")), (_("Days"), _named(said["days"], "id"))],
            leases=_named(said["leases"], "id"),
            **kwargs,
        )


class StatementFile(ObjectMixin, View):
    """The document with the portal's signature over it."""

    model = Statement

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        row = self.object
        signed = seal(Purpose.STATEMENT, row.public_key, row.signature)
        body = {"document": row.document, "sha256": row.sha256, "signature": signed}
        return json_file(body, row.number)


def _named(rows: list[dict[str, Any]], name: str) -> list[tuple[str, dict[str, Any], UsageSums]]:
    return [(row[name], row, UsageSums.of(row)) for row in rows]


def _header() -> list[str]:
    return [_("Of"), _("Name"), *heads()]


def _rows(said: dict[str, Any]) -> Iterator[list[Any]]:
    yield [_("total"), said["number"], *cells(UsageSums.of(said["totals"]))]
    for word, key in ((_("project"), "projects"), (_("reservation"), "leases"), (_("day"), "days")):
        for row in said[key]:
            yield [word, row["id"], *cells(UsageSums.of(row))]
