"""The capacity board for scripts: the page's filters and what-ifs, from the same form and the same questions."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.web import staff_only
from reports.board_form import BoardForm
from reports.board_serializers import CapacityDetailsSerializer, CapacitySerializer
from reports.capacity import Verdict
from reports.scenario import Changes, Clash, Loser, Moved, Scenario
from reports.selectors.board import Group, board
from reports.selectors.board_details import broken_promises, details
from reports.selectors.what_if import clashes, scenario

_DAY = {"type": "string", "format": "date"}
FILTERS = [
    OpenApiParameter("pool", str, description="id of a pool"),
    OpenApiParameter("gpu_class", str, description="code of a GPU class"),
    OpenApiParameter("rows", str, enum=["pool", "class"], description="a row a pool (usual) or a GPU class"),
    OpenApiParameter("step", str, enum=["week", "day"], description="weeks (usual) begin on Mondays"),
    OpenApiParameter("start", _DAY, description="first day, in your zone; today where it is missing"),
    OpenApiParameter("until", _DAY, description="the day after the last, a year later at most; usually 92 days"),
]
WHAT_IF = [
    OpenApiParameter("remove", str, many=True, description="names or ids of nodes"),
    OpenApiParameter("remove_on", _DAY),
    OpenApiParameter("add", int, description="so many GPUs"),
    OpenApiParameter("add_pool", str, description="id of the pool that gets them"),
    OpenApiParameter("add_on", _DAY),
    OpenApiParameter("approve", str, many=True, description="prop-7f3k2m, or prop-7f3k2m:48: at most 48 GPUs a line"),
    OpenApiParameter("at_most", int, description="GPUs a line, for all of `approve` that say no size"),
    OpenApiParameter(
        "move",
        str,
        many=True,
        description="lease-7f3k2m@2027-01-14T09:00: a reservation, maintenance window (maint-), allocation (alloc-) or "
        "waiting award (prop-), and when it would begin, in your zone",
    ),
]


class CapacityView(APIView):
    """What there is, promised, booked and used."""

    @extend_schema(
        parameters=[*FILTERS, *WHAT_IF],
        responses=CapacitySerializer,
        operation_id="capacity_retrieve",
        tags=["capacity"],
    )
    def get(self, request: Request) -> Response:
        """The capacity board, and what would become of it. Nothing is saved. Agency staff only."""
        staff_only(request.user)
        form, now = _asked(request), timezone.now()
        changes: Changes = form.changes
        found = scenario(changes, now) if changes.any else None
        scope = form.scope
        groups = board(scope, now, found.steps if found else ())
        names = {pool.pk: pool.public_id for pool in form.pools}
        body = {
            "at": now,
            "zone": str(form.zone),
            "step": scope.step,
            "rows": [_row(group) for group in groups],
            "broken_promises": broken_promises(scope, now),
            "what_if": _what_if(found, clashes(groups), names) if found else None,
        }
        return Response(CapacitySerializer(body).data)


class CapacityDetailsView(APIView):
    """What lies behind a cell."""

    @extend_schema(
        parameters=FILTERS,
        responses=CapacityDetailsSerializer,
        operation_id="capacity_details_retrieve",
        tags=["capacity"],
    )
    def get(self, request: Request) -> Response:
        """Who is promised and who has booked GPUs of some pools in some days. Agency staff only."""
        staff_only(request.user)
        scope = _asked(request).scope
        found = details(scope)
        body = {
            "since": scope.start,
            "until": scope.end,
            "promised": found.claims,
            "promised_total": found.claims_total,
            "booked": [_lease(row) for row in found.leases],
            "booked_total": found.leases_total,
            "ill": [device.public_id for device in found.ill],
            "ill_total": found.ill_total,
            "maintenance": [window.public_id for window in found.windows],
        }
        return Response(CapacityDetailsSerializer(body).data)


def _asked(request: Request) -> BoardForm:
    form = BoardForm(request.query_params, user=request.user)
    if not form.is_valid():
        raise ValidationError({name: [str(each) for each in errors] for name, errors in form.errors.items()})
    return form


def _row(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "gpu_class": group.gpu_class.code,
        "pools": [pool.public_id for pool in group.pools],
        "buckets": group.buckets,
    }


def _what_if(found: Scenario, clashing: list[Clash], names: dict[int, str]) -> dict[str, Any]:
    return {
        "promises": [_verdict(row, names) for row in found.verdicts],
        "without_place": [_loser(row) for row in found.losers],
        "found_others": [_lease(row) for row in found.kept],
        "pinned": found.pinned,
        "moved": [_moved(row) for row in found.moved],
        "clashes": clashing,
    }


def _verdict(row: Verdict, names: dict[int, str]) -> dict[str, Any]:
    said = {name: getattr(row.ask, name) for name in ("ref", "label", "gpus", "first", "days")}
    pool = names.get(row.pool_id) if row.pool_id else None
    return {**said, "pool": pool, "fits": row.fits, "at_most": row.at_most, "first_fit": row.first_fit}


def _loser(row: Loser) -> dict[str, Any]:
    return {**_lease(row.lease), "gpus": row.gpus, "begun": row.begun}


def _moved(row: Moved) -> dict[str, Any]:
    said = {name: getattr(row, name) for name in ("ref", "label", "start", "end", "closed", "elsewhere", "first_fit")}
    lists = {name: [_lease(each) for each in getattr(row, name)] for name in ("in_the_way", "outside")}
    return {**said, **lists, "clashes": row.clashes}


def _lease(lease: Any) -> dict[str, Any]:
    return {
        "lease": lease.public_id,
        "organisation": lease.allocation.project.organisation.name,
        "starts_at": lease.starts_at,
        "ends_at": lease.ends_at,
    }
