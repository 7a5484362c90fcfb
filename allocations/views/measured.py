"""What a reservation's GPUs did, each beside the others, and the machines around them."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.generic import View

from allocations import measuring
from allocations.lifecycle import LEASE_OVER
from allocations.models import Lease
from allocations.rules import may_see_processes
from common.permissions import allowed
from common.web import ObjectMixin, ObjectPage
from telemetry import charts, host_reading
from telemetry.web import chart_response, ranges_context


class MeasuredPage(ObjectPage):
    """The GPUs of a reservation side by side: charts, comparison, machines, processes."""

    model = Lease
    object_name = "lease"
    template_name = "allocations/measured.html"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("allocation__project__organisation", "allocation__pool")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        lease, now, query = self.object, timezone.now(), self.request.GET
        sees = allowed(self.request.user, may_see_processes, lease)
        return super().get_context_data(
            **ranges_context(self.request, measuring.DEFAULT_RANGE),
            comparison=measuring.compare(lease, query, now),
            compared=[(key, charts.metric_name(key)) for key in charts.COMPARED],
            metric=query.get("metric") or charts.DEFAULT_FIGURE,
            nodes=measuring.nodes_of(lease, now),
            host_pictures=list(host_reading.PICTURES.values()),
            sees_processes=sees and lease.state == "active",
            processes=measuring.processes(lease, now) if sees else [],
            over=lease.state in LEASE_OVER,
            **kwargs,
        )


class LeaseSeries(ObjectMixin, View):
    """The points of one chart of the GPUs; `metric` names the figure."""

    model = Lease

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """JSON, or CSV with `format=csv`."""
        lease, query = self.object, request.GET
        asked = ("gpus", lease.state, lease.ends_at)

        def make() -> charts.Chart:
            return measuring.lease_chart(lease, query, timezone.now())

        return chart_response(request, make, lease.public_id, of=lease.public_id, asked=asked)


class LeaseHostSeries(ObjectMixin, View):
    """The points of one chart of a machine of the reservation."""

    model = Lease

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """JSON, or CSV with `format=csv`; 404 for a node of which the reservation had nothing."""
        lease, now = self.object, timezone.now()
        try:
            node = measuring.node_named(lease, request.GET.get("node"), now)
        except LookupError as error:
            raise Http404 from error
        whole = bool(getattr(request.user, "is_agency", False))
        asked = ("host", node and node.pk, lease.state, lease.ends_at, whole)

        def make() -> charts.Chart:
            return measuring.host_chart(lease, node, request.GET, now, whole=whole)

        return chart_response(request, make, f"{lease.public_id}-host", of=lease.public_id, asked=asked)
