"""The capacity board, what if, and what lies behind a cell. GET only: nothing is saved by looking."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView

from common.downloads import csv_file
from common.errors import DomainError
from common.tables import Column, csv_lines
from common.templatetags.bitgoeul import day, moment
from common.web import add_domain_error
from proposals.models import Proposal
from reports.board_form import SIZE, TIME, BoardForm
from reports.capacity import Figures
from reports.scenario import Changes, Scenario
from reports.selectors.board import Bucket, Group, Scope, board
from reports.selectors.board_details import broken_promises, details
from reports.selectors.what_if import clashes, scenario
from reports.views.staff import StaffMixin

ROWS_A_PAGE = 600
OPEN_TABLE = 16
"""Up to so many buckets a row's table stands open below its picture."""
PROPOSALS_SHOWN = 40
PRESETS = ((92, gettext_lazy("3 months")), (183, gettext_lazy("6 months")), (366, gettext_lazy("a year")))


def _figure(name: str, digits: int | None = None) -> Any:
    def value(row: tuple[Group, Bucket]) -> Any:
        found = getattr(row[1].shown, name)
        return "" if found is None else round(found, digits) if digits else found

    return value


COLUMNS = (
    Column("row", gettext_lazy("Pool or class"), lambda row: row[0].name),
    Column("class", gettext_lazy("GPU class"), lambda row: row[0].gpu_class.code),
    Column("since", gettext_lazy("From"), lambda row: moment(row[1].since)),
    Column("until", gettext_lazy("Until"), lambda row: moment(row[1].until)),
    Column("physical", gettext_lazy("GPUs"), _figure("physical")),
    Column("out", gettext_lazy("In maintenance or ill"), _figure("out")),
    Column("bookable", gettext_lazy("Can be lent"), _figure("bookable")),
    Column("promised", gettext_lazy("Promised"), _figure("promised")),
    Column("promised_mean", gettext_lazy("Promised, mean"), _figure("promised_mean", 1)),
    Column("guaranteed", gettext_lazy("Of these guaranteed"), _figure("guaranteed")),
    Column("bound", gettext_lazy("May be promised"), _figure("bound")),
    Column("booked", gettext_lazy("Booked"), _figure("booked")),
    Column("booked_mean", gettext_lazy("Booked, mean"), _figure("booked_mean", 1)),
    Column("used_mean", gettext_lazy("Used, mean"), _figure("used_mean", 1)),
    Column("over", gettext_lazy("Over-committed"), _figure("over")),
)
"""Of the CSV file; with a what-if the figures are the changed ones."""


class BoardPage(StaffMixin, TemplateView):
    """What there is, promised, booked and used, week by week; and what would become of it if."""

    template_name = "reports/board.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        now = timezone.now()
        form = BoardForm(request.GET, user=request.user)
        asked, found = _scenario(form, now)
        scope = form.scope
        groups = board(scope, now, found.steps if found else ())
        if request.GET.get("format") == "csv" and form.is_valid():
            rows = ((group, bucket) for group in groups for bucket in group.buckets)
            return csv_file(csv_lines(rows, COLUMNS), "capacity")  # type: ignore[no-any-return]
        shown = _page(groups, len(scope.edges) - 1, request.GET.get("page"))
        context = self.get_context_data(
            form=form,
            scope=scope,
            asked=asked,
            scenario=found,
            clashes=clashes(groups) if found else [],
            rows=[_drawn(group, scope) for group in shown["groups"]],
            over=[group for group in groups if group.over],
            broken=broken_promises(scope, now),
            pool_names={pool.pk: pool.name for pool in form.pools},
            **_choices(request, form, asked),
            **{key: value for key, value in shown.items() if key != "groups"},
        )
        return self.render_to_response(context, status=200 if form.is_valid() else 422)


class DetailsPage(StaffMixin, TemplateView):
    """Who is promised, who has booked, what is closed or ill in some days of some pools."""

    template_name = "reports/board_details.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form = BoardForm(request.GET, user=request.user)
        valid, scope = form.is_valid(), form.scope
        names = ", ".join(pool.name for pool in scope.pools)
        context = self.get_context_data(form=form, scope=scope, names=names, now=timezone.now(), details=details(scope))
        return self.render_to_response(context, status=200 if valid else 422)


def _scenario(form: BoardForm, now: Any) -> tuple[Changes, Scenario | None]:
    """What is asked and what it comes to; a refusal goes onto the form, and today's board is shown."""
    asked = form.changes
    if not asked.any:
        return asked, None
    try:
        return asked, scenario(asked, now)
    except DomainError as error:
        add_domain_error(form, error)
        return asked, None


def _page(groups: list[Group], buckets: int, wanted: str | None) -> dict[str, Any]:
    """So many rows a page that its tables stay readable."""
    most = max(1, ROWS_A_PAGE // buckets)
    pages = max(1, -(-len(groups) // most))
    number = int(wanted) if wanted and wanted.isascii() and wanted.isdigit() and len(wanted) < 6 else 1
    number = min(max(1, number), pages)
    return {"groups": groups[(number - 1) * most : number * most], "page": number, "pages": range(1, pages + 1)}


def _drawn(group: Group, scope: Scope) -> dict[str, Any]:
    lines = [{"bucket": bucket, "url": _details_url(group, bucket, scope)} for bucket in group.buckets]
    return {
        "group": group,
        "lines": lines,
        "chart": json.dumps(_chart(group)),
        "open": len(lines) <= OPEN_TABLE,
        "changed": any(bucket.changed for bucket in group.buckets),
    }


def _details_url(group: Group, bucket: Bucket, scope: Scope) -> str:
    narrowed = {"pool": group.pools[0].public_id} if scope.rows == "pool" else {"gpu_class": group.gpu_class.code}
    days = {"step": "day", "start": day(bucket.since), "until": day(bucket.until)}
    return f"{reverse('reports:capacity-details')}?{urlencode(narrowed | days)}"


def _chart(group: Group) -> dict[str, Any]:
    """Bars: booked, promised beyond it, and what of it cannot be kept; lines: what there is, and what is used."""
    shown: list[Figures] = [bucket.shown for bucket in group.buckets]
    beyond = [max(0, figures.promised - figures.over - figures.booked) for figures in shown]
    series: list[dict[str, Any]] = [
        {"name": _("Booked"), "kind": "bar", "look": "booked", "points": [figures.booked for figures in shown]},
        {"name": _("Promised beyond that"), "kind": "bar", "look": "promised", "points": beyond},
        {"name": _("Over-committed"), "kind": "bar", "look": "over", "points": [figures.over for figures in shown]},
        {"name": _("GPUs"), "kind": "line", "look": "physical", "points": [figures.physical for figures in shown]},
        {"name": _("Can be lent"), "kind": "line", "look": "bookable", "points": [each.bookable for each in shown]},
        {"name": _("Guaranteed"), "kind": "line", "look": "guaranteed", "points": [each.guaranteed for each in shown]},
        {"name": _("Used, mean"), "kind": "line", "look": "used", "points": [each.used_mean for each in shown]},
    ]
    if any(bucket.changed for bucket in group.buckets):
        today = [bucket.now.promised for bucket in group.buckets]
        series.append({"name": _("Promised today"), "kind": "line", "look": "before", "points": today})
    return {"unit": "GPU", "labels": [day(bucket.since) for bucket in group.buckets], "series": series}


def _choices(request: HttpRequest, form: BoardForm, asked: Changes) -> dict[str, Any]:
    """What the drawer offers: the proposals that wait, those that are chosen first; the windows that are moved."""
    chosen = {row.proposal.pk: row for row in asked.approve}
    waiting = Proposal.objects.visible_to(request.user).filter(state__in=("submitted", "in_review"))
    said = getattr(form, "cleaned_data", {})
    wanted = said.get("gpu_class") or (said["pool"].gpu_class if said.get("pool") else None)
    if wanted:
        waiting = waiting.filter(pk__in=Proposal.objects.filter(lines__gpu_class=wanted).values("pk"))
    rows = waiting.select_related("organisation").annotate(gpus=Sum("lines__gpus")).order_by("submitted_at")
    offered = [row for row in rows[:PROPOSALS_SHOWN] if row.pk not in chosen]
    return {
        "chosen": [
            {
                "proposal": row.proposal,
                "value": f"{row.proposal.public_id}{SIZE}{row.gpus}" if row.gpus else row.proposal.public_id,
                "gpus": row.gpus,
            }
            for row in chosen.values()
        ],
        "offered": offered,
        "moves": [
            {"move": move, "value": f"{move.ref}{TIME}{timezone.localtime(move.to):%Y-%m-%dT%H:%M}"}
            for move in asked.moves
        ],
        "presets": [
            {"label": label, "until": form.scope.start.astimezone(form.zone).date() + timedelta(days=days)}
            for days, label in PRESETS
        ],
        "bare": _bare(request),
    }


def _bare(request: HttpRequest) -> str:
    """The address of the board without the scenario."""
    kept = [(name, value) for name in BoardForm.FILTERS for value in request.GET.getlist(name) if value]
    return f"{reverse('reports:capacity')}?{urlencode(kept)}"
