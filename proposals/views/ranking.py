"""The ranking of a call: filters, columns to choose, the line where the money ends, CSV and Excel."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from common.downloads import csv_file, xlsx_file
from common.gates import Gate
from common.quantities import seconds_to_hours
from common.tables import Column, csv_lines
from common.templatetags.bitgoeul import hours, number, state_label
from common.web import ObjectPage
from common.workbooks import xlsx_bytes
from partners.models import Organisation
from proposals.models import Call, CallStep, Criterion
from proposals.review_filters import RankingFilter
from proposals.rules import may_see_ranking
from proposals.selectors.ranking import RankRow, ranking

PER_PAGE = 50
ALWAYS = ("rank", "number", "title")
AT_FIRST = ("organisation", "mean", "deviation", "reviews", "asked_gpus", "asked_hours", "state")
SIZES = dict(Organisation.Size.choices)
REGIONS = dict(Organisation.Region.choices)
STEPS = dict(CallStep.Kind.choices)

Key = Callable[[RankRow], Any]


@dataclass(frozen=True)
class RankColumn(Column):
    """A column with what it is ordered by; None comes last whichever way it is turned."""

    order_by: Key | None = None


def _score(key: str, label: Any, value: Key) -> RankColumn:
    return RankColumn(key, label, value, cell=lambda r: number(value(r), 2), numeric=True, order_by=value)


def _text(key: str, label: Any, value: Key, **more: Any) -> RankColumn:
    return RankColumn(key, label, value, order_by=value, **more)


def _sheet(row: RankRow) -> str:
    return reverse("proposals:proposal-reviews", args=[row.public_id])


COLUMNS: tuple[RankColumn, ...] = (
    RankColumn("rank", _("Rank"), lambda r: r.rank, numeric=True, order_by=lambda r: r.rank),
    _text("number", _("Number"), lambda r: r.number, link=_sheet),
    _text("title", _("Title"), lambda r: r.title, link=_sheet),
    _text("organisation", _("Organisation"), lambda r: r.organisation),
    _score("mean", _("Score"), lambda r: r.mean),
    _score("deviation", _("Standard deviation"), lambda r: r.scores.deviation if r.scores else None),
    _score("range", _("Between lowest and highest"), lambda r: r.scores.range if r.scores else None),
    _score("low", _("Lowest"), lambda r: r.scores.low if r.scores else None),
    _score("high", _("Highest"), lambda r: r.scores.high if r.scores else None),
    RankColumn(
        "reviews",
        _("Reviews"),
        lambda r: r.reviews,
        cell=lambda r: f"{r.reviews} / {r.needed}",
        numeric=True,
        order_by=lambda r: r.reviews,
    ),
    RankColumn(
        "asked_gpus",
        _("Asked, GPUs"),
        lambda r: r.asked_gpus,
        cell=lambda r: number(r.asked_gpus),
        numeric=True,
        order_by=lambda r: r.asked_gpus,
    ),
    RankColumn(
        "asked_hours",
        _("Asked, GPU-hours"),
        lambda r: seconds_to_hours(r.asked_seconds),
        cell=lambda r: hours(r.asked_seconds),
        numeric=True,
        order_by=lambda r: r.asked_seconds,
    ),
    _text("within", _("Within the budget"), lambda r: _("yes") if r.is_within else _("no")),
    _text("step", _("Open step"), lambda r: STEPS.get(r.step, "")),
    _text("size", _("Company size"), lambda r: SIZES.get(r.size, "")),
    _text("region", _("Region"), lambda r: REGIONS.get(r.region, "")),
    RankColumn("state", _("State"), lambda r: r.state, badge="proposal", order_by=lambda r: r.state),
)


def criterion_column(row: Criterion) -> RankColumn:
    """The mean of the points on one criterion."""
    return _score(f"criterion_{row.place}", row.label, lambda r: r.by_criterion.get(row.place))


class RankingPage(Gate, ObjectPage):
    """The proposals of a call in the order of their scores."""

    gate = may_see_ranking
    model = Call
    object_name = "call"
    template_name = "proposals/ranking.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        self.filterset = RankingFilter(request.GET, queryset=self.object.proposals.exclude(submitted_at=None))
        wanted = self.filterset.qs if self.filterset.is_valid() else self.object.proposals.none()
        narrowed = any(self.filterset.form.cleaned_data.values()) if self.filterset.is_valid() else True
        self.found = ranking(self.object, wanted if narrowed else None)
        self.all_columns = (*COLUMNS, *(criterion_column(row) for row in self.found.criteria))
        chosen = set(request.GET.getlist("col")) or set(AT_FIRST)
        self.columns = [one for one in self.all_columns if one.key in chosen or one.key in ALWAYS]
        self.rows = self._ordered(request.GET.get("sort", ""))
        if request.GET.get("format") in ("csv", "xlsx"):
            return self._export(request.GET["format"])
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = Paginator(self.rows, PER_PAGE).get_page(self.request.GET.get("page"))
        query = self.request.GET.copy()
        for key in ("page", "format"):
            query.pop(key, None)
        unsorted = query.copy()
        unsorted.pop("sort", None)
        return super().get_context_data(
            filter=self.filterset,
            columns=self.columns,
            choosable=[(one, one in self.columns) for one in self.all_columns if one.key not in ALWAYS],
            page_obj=page,
            paginator=page.paginator,
            is_paginated=page.has_other_pages(),
            rows=list(page.object_list),
            line_before=self._line_before(list(page.object_list)),
            found=self.found,
            sort=self.request.GET.get("sort", ""),
            query=query.urlencode(),
            query_unsorted=unsorted.urlencode(),
            **kwargs,
        )

    def _ordered(self, sort: str) -> list[RankRow]:
        """By a column, `-` for downwards; rows without a value last. Anything else: by rank."""
        column = next((one for one in self.all_columns if one.key == sort.removeprefix("-") and one.order_by), None)
        if column is None or column.order_by is None:
            return self.found.rows
        key = column.order_by
        having = [row for row in self.found.rows if key(row) is not None]
        having.sort(key=lambda row: str(key(row)) if not column.numeric else key(row), reverse=sort.startswith("-"))
        return having + [row for row in self.found.rows if key(row) is None]

    def _line_before(self, rows: list[RankRow]) -> str:
        """The id of the first row of the page that the money does not reach; "" where the line is not on it."""
        by_rank = self.request.GET.get("sort", "") in ("", "rank")
        if not by_rank or self.found.within == self.found.total:
            return ""
        place = next((index for index, row in enumerate(self.rows) if row.counts and not row.is_within), None)
        if place is None:
            return ""
        first = self.rows[place]
        return first.public_id if first in rows else ""

    def _export(self, kind: str) -> Any:
        name = f"ranking-{self.object.public_id}"
        if kind == "csv":
            return csv_file(csv_lines(self.rows, self.columns), name)
        values = ([_plain(column, row) for column in self.columns] for row in self.rows)
        heads = [column.label for column in self.columns]
        return xlsx_file(xlsx_bytes(str(_("Ranking")), heads, values), name)


def _plain(column: Column, row: RankRow) -> Any:
    value = column.value(row)
    return state_label(value, column.badge) if column.badge else value
