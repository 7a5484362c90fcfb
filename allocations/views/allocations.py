"""Awards: what was asked, what was given, what is left."""

from typing import Any

from django.db.models import Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import View

from allocations.charging import segments
from allocations.filters import AllocationFilter
from allocations.lifecycle import BOOKABLE
from allocations.models import Allocation
from allocations.rule_words import closures_shown, sentences
from allocations.rules import may_adjust, may_award, may_book, may_set_rules
from allocations.selectors.balances import balance, balance_points, forecast
from allocations.selectors.envelopes import shortfalls_of
from allocations.selectors.rulebooks import rulebook_of, with_rules
from allocations.selectors.usage import sums
from allocations.selectors.weights import weights_of
from allocations.services.checks import SHORTEST
from cluster.selectors import profiles_in
from common.permissions import allowed
from common.quantities import seconds_to_hours
from common.tables import Column
from common.templatetags.bitgoeul import day, hours
from common.web import ListPage, ObjectMixin, ObjectPage

LINES_SHOWN = 10


class AllocationList(ListPage):
    """One's allocations."""

    model = Allocation
    filterset_class = AllocationFilter
    title = _("Allocations")
    empty_text = _("No allocation yet. An accepted award becomes an allocation: begin with a proposal.")
    export_name = "allocations"
    default_order = "-created_at"
    columns = (
        Column(
            "project",
            _("Project"),
            lambda row: row.project.title,
            link=lambda row: row.get_absolute_url(),
            sort="project__title",
        ),
        Column("organisation", _("Organisation"), lambda row: row.project.organisation.name),
        Column("pool", _("Pool"), lambda row: row.pool.name, sort="pool__name"),
        Column("state", _("State"), lambda row: row.state, sort="state", badge="allocation"),
        Column("gpus", _("GPUs at once"), lambda row: row.concurrent_gpus, sort="concurrent_gpus", numeric=True),
        Column(
            "awarded",
            _("Awarded, GPU-hours"),
            lambda row: seconds_to_hours(row.awarded_gpu_seconds),
            cell=lambda row: hours(row.awarded_gpu_seconds),
            sort="awarded_gpu_seconds",
            numeric=True,
        ),
        Column(
            "left",
            _("Left, GPU-hours"),
            lambda row: seconds_to_hours(row.left_seconds),
            cell=lambda row: hours(row.left_seconds),
            sort="left_seconds",
            numeric=True,
        ),
        Column(
            "from",
            _("From"),
            lambda row: row.valid_from.isoformat(),
            cell=lambda row: day(row.valid_from),
            sort="valid_from",
        ),
        Column(
            "until",
            _("Until"),
            lambda row: row.valid_until.isoformat(),
            cell=lambda row: day(row.valid_until),
            sort="valid_until",
        ),
    )

    def get_queryset(self) -> Any:
        return (
            super()
            .get_queryset()
            .select_related("project__organisation", "pool")
            .annotate(left_seconds=Coalesce(Sum("ledger__device_seconds"), 0))
        )


class AllocationPage(ObjectPage):
    """One allocation: asked against awarded, the balance, its reservations."""

    model = Allocation
    object_name = "allocation"
    template_name = "allocations/allocation.html"

    def get_queryset(self) -> Any:
        rows = super().get_queryset()
        return with_rules(rows).select_related("project__organisation", "project__agreement", "pool__gpu_class")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        allocation = self.object
        lines = list(allocation.ledger.for_reading().order_by("-id")[: LINES_SHOWN + 1])
        found, book, now = balance(allocation), rulebook_of(allocation), timezone.now()
        return super().get_context_data(
            balance=found,
            profiles=list(profiles_in(allocation.pool)),
            forecast=forecast(allocation, found.left, now),
            shortfalls=shortfalls_of(allocation, now),
            sums=sums(allocation.leases.all()),
            shortest=SHORTEST,
            rules=sentences(book, allocation),
            closures=closures_shown(book),
            may_set_rules=allowed(self.request.user, may_set_rules),
            lines=lines[:LINES_SHOWN],
            more_lines=len(lines) > LINES_SHOWN,
            leases=allocation.leases.select_related("booked_by").order_by("-starts_at")[:LINES_SHOWN],
            may_award=allowed(self.request.user, may_award),
            weights=segments(weights_of(allocation), now, max(now, allocation.valid_until)),
            may_adjust=allowed(self.request.user, may_adjust),
            may_book=allocation.state in BOOKABLE
            and allocation.project.agreement.state == "active"
            and allowed(self.request.user, may_book, allocation),
            **kwargs,
        )


class AllocationSeries(ObjectMixin, View):
    """The points of the chart of the balance."""

    model = Allocation

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        points = balance_points(self.object, timezone.now())
        line = [[int(at.timestamp() * 1000), float(seconds_to_hours(left))] for at, left in points]
        name = gettext("Left, GPU-hours")
        return JsonResponse({"unit": gettext("GPU-hours"), "series": [{"name": name, "points": line}]})
