"""The API skin of what is free, and of who has what when."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from allocations.models import Lease
from allocations.selectors import (
    bookable,
    capacities,
    free_times,
    occupancy,
    offers,
    rulebooks,
)
from allocations.serializers.availability import (
    AskCalendarSerializer,
    AskSlotSerializer,
    AskWindowSerializer,
    AvailabilitySerializer,
    RowSerializer,
    SlotSerializer,
)
from allocations.timeline import Spans, shared
from cluster.models import Pool
from cluster.selectors import profiles_in
from partners.models import Agreement, organisation_ids_of
from partners.policy import Answer, Wish, agency_day, booking_span, may


def own_organisations(user: Any) -> list[int]:
    """Keys of the organisations that a person belongs to."""
    return list(organisation_ids_of(user).values_list("organisation_id", flat=True))


def _pool(request: Request, name: str) -> Pool:
    """By id or name, or 404."""
    pool = Pool.objects.visible_to(request.user).filter(Q(public_id=name) | Q(name=name)).first()
    if pool is None:
        raise NotFound
    return pool


def _under_agreements(
    tenants: list[int], pool: Pool, ask: dict[str, Any], passes: Spans
) -> tuple[Spans, Answer | None]:
    """Which of these starts an agreement of the organisations lets be reserved, and what refuses the asked window."""
    rows = list(Agreement.objects.filter(organisation__in=tenants).exclude(state="draft").order_by("valid_from"))
    length, until = ask["until"] - ask["since"], ask["until"] - timedelta(microseconds=1)
    terms = [span for span in (booking_span(row, pool.public_id) for row in rows) if span]
    starts = [(first, last - length) for first, last in terms if last - length >= first]
    gpus = 0 if ask["profile"] else ask["gpus"]
    wish = Wish("book", agency_day(ask["since"]), agency_day(until), gpus=gpus, pool=pool.public_id)
    answer = may(rows, wish, {})
    return [found for start in starts for found in shared(passes, [start])], None if answer.allowed else answer


class AvailabilityViewSet(viewsets.ViewSet):
    """What is free, in one pool and window."""

    @extend_schema(
        operation_id="availability",
        parameters=[
            OpenApiParameter("pool", str, required=True, description=str(_("id or name of the pool"))),
            OpenApiParameter("gpus", int),
            OpenApiParameter("profile", str, description=str(_("a MIG profile; empty: whole GPUs"))),
            OpenApiParameter("shape", str, enum=Lease.Shape.values),
            OpenApiParameter("shape_nodes", int),
            OpenApiParameter("from", {"type": "string", "format": "date-time"}, required=True),
            OpenApiParameter("until", {"type": "string", "format": "date-time"}, required=True),
        ],
        responses=AvailabilitySerializer,
    )
    def list(self, request: Request) -> Response:
        """Capacity in the window, and the next window for as many GPUs and as long.

        For a partner, what its organisations could have: nodes that are lent whole to others then are not free, the
        next window lies where an agreement lets it be reserved, and `refused` says why the asked one cannot be.
        """
        query = AskWindowSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        ask = query.validated_data
        pool = _pool(request, ask["pool"])
        user: Any = request.user
        tenants = None if user.is_agency else own_organisations(user)
        kind: Any = {"tenants": tenants, "profile": ask["profile"]}
        found = capacities.capacity(pool, ask["since"], ask["until"], **kind)
        length = ask["until"] - ask["since"]
        passes = rulebooks.closures_of(pool).open_starts(length, ask["since"])
        refused = None
        if tenants is not None:
            passes, refused = _under_agreements(tenants, pool, ask, passes)
        kind |= {"shape": ask["shape"], "passes": passes}
        offer = free_times.next_free_window(pool, ask["gpus"], length, ask["since"], **kind)
        window = {"start": offer[0], "end": offer[1]} if offer else None
        told = asdict(found) | {"next_window": window, "profiles": list(profiles_in(pool)), "refused": refused}
        return Response(AvailabilitySerializer(told).data)

    @extend_schema(
        operation_id="availability_slots",
        parameters=[
            OpenApiParameter("allocation", str),
            OpenApiParameter("gpu_class", str),
            OpenApiParameter("gpus", int),
            OpenApiParameter("smallest", int),
            OpenApiParameter("profile", str, description=str(_("a MIG profile; empty: whole GPUs"))),
            OpenApiParameter("shape", str, enum=Lease.Shape.values),
            OpenApiParameter("shape_nodes", int),
            OpenApiParameter("duration_seconds", int, required=True),
            OpenApiParameter("from", {"type": "string", "format": "date-time"}, required=True),
            OpenApiParameter("until", {"type": "string", "format": "date-time"}, required=True),
            OpenApiParameter("late", bool),
        ],
        responses=SlotSerializer(many=True),
    )
    @action(detail=False)
    def slots(self, request: Request) -> Response:
        """The best three windows that would pass every rule now, over one's own allocations.

        422 (`agreement_not_active`) where no window can be found because no agreement of theirs is in force.
        """
        query = AskSlotSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        ask = query.validated_data
        rows = bookable.bookable_allocations(request.user)
        if ask.get("allocation"):
            rows = rows.filter(public_id=ask["allocation"])
        if ask.get("gpu_class"):
            rows = rows.filter(pool__gpu_class__code=ask["gpu_class"])
        chosen = list(rows[: offers.MOST_ALLOCATIONS])
        found = offers.find_slots(chosen, ask["wish"], timezone.now())
        if chosen and not found:
            bookable.check_any_in_force(chosen)
        return Response(SlotSerializer(found, many=True).data)

    @extend_schema(
        operation_id="availability_calendar",
        parameters=[
            OpenApiParameter("pool", str, required=True, description=str(_("id or name of the pool"))),
            OpenApiParameter("from", {"type": "string", "format": "date-time"}, required=True),
            OpenApiParameter("until", {"type": "string", "format": "date-time"}, required=True),
            OpenApiParameter("rows", str, enum=["devices", "nodes"]),
        ],
        responses=RowSerializer(many=True),
    )
    @action(detail=False)
    def calendar(self, request: Request) -> Response:
        """Who has what when. Partners see their own reservations, and of others only that a device is taken."""
        query = AskCalendarSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        ask = query.validated_data
        rows = occupancy.occupancy(_pool(request, ask["pool"]), ask["since"], ask["until"], request.user)
        if ask["rows"] == "nodes":
            rows = occupancy.by_node(rows, ask["since"], ask["until"])
        return Response(RowSerializer(rows, many=True).data)
