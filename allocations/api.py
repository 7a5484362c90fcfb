"""The API skin of allocations and leases: the same verbs as the pages."""

from dataclasses import asdict
from typing import Any

from django.db.models import Q
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import SshKey
from allocations import serializers, sheet
from allocations.filters import AllocationFilter, LeaseFilter
from allocations.models import Allocation, Lease, LedgerEntry
from allocations.reshape_api import ReshapeActions
from allocations.rule_api import RulebookSerializer, rulebook_data
from allocations.selectors import (
    balances,
    capacities,
    envelopes,
    free_times,
    leases,
    occupancy,
    offers,
    rulebooks,
)
from allocations.selectors import statement as statements
from allocations.services import access, booking, changing, ending, extending, feeds, offering, reclaiming, waitlist
from allocations.waitlist_serializers import DeclineSerializer, PrioritySerializer
from cluster.models import Pool
from cluster.selectors import profiles_in
from common.api import ReadViewSet
from partners.models import organisation_ids_of


def _body(serializer_class: Any, request: Request) -> dict[str, Any]:
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    data: dict[str, Any] = serializer.validated_data
    return data


class AllocationViewSet(ReadViewSet):
    """Awards that one can spend."""

    queryset = Allocation.objects.select_related("project", "pool__gpu_class")
    serializer_class = serializers.AllocationSerializer
    filterset_class = AllocationFilter

    @extend_schema(responses=serializers.BalanceSerializer)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def balance(self, request: Request, public_id: str) -> Response:
        """What is awarded, held, charged and left."""
        return Response(serializers.BalanceSerializer(balances.balance(self.get_object())).data)

    @extend_schema(request=PrioritySerializer, responses=serializers.AllocationSerializer)
    @action(detail=True, methods=["post"])
    def prioritise(self, request: Request, public_id: str) -> Response:
        """Set its priority on wait-lists: higher is served first. Officers only."""
        allocation, said = self.get_object(), _body(PrioritySerializer, request)
        waitlist.prioritise(actor=request.user, allocation=allocation, **said)
        return Response(serializers.AllocationSerializer(self.get_object()).data)

    @extend_schema(responses=serializers.ForecastSerializer)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def forecast(self, request: Request, public_id: str) -> Response:
        """Where it is heading at the pace of the last fourteen days, and its balance over time."""
        allocation, now = self.get_object(), timezone.now()
        found = balances.forecast(allocation, balances.balance(allocation).left, now)
        points = [{"at": at, "left": left} for at, left in balances.balance_points(allocation, now)]
        return Response(serializers.ForecastSerializer(asdict(found) | {"points": points}).data)

    @extend_schema(responses=serializers.ShortfallSerializer(many=True))
    @action(detail=True, filterset_class=None, pagination_class=None)
    def shortfalls(self, request: Request, public_id: str) -> Response:
        """When, as things stand, not all of its guaranteed GPUs can be had, and how many are missing. Usually never."""
        found = envelopes.shortfalls_of(self.get_object(), timezone.now())
        return Response(serializers.ShortfallSerializer(found, many=True).data)

    @extend_schema(responses=RulebookSerializer)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def rules(self, request: Request, public_id: str) -> Response:
        """Every rule of booking in force for it, with whose it is and in words, and the coming blackouts."""
        mine = self.get_queryset().select_related("project__agreement")
        allocation = get_object_or_404(rulebooks.with_rules(mine), public_id=public_id)
        return Response(rulebook_data(rulebooks.rulebook_of(allocation), allocation))

    @extend_schema(responses=serializers.LedgerEntrySerializer(many=True))
    @action(detail=True, filterset_class=None)
    def ledger(self, request: Request, public_id: str) -> Response:
        """Every amount that moved, oldest first."""
        entries = LedgerEntry.objects.filter(allocation=self.get_object()).select_related("lease").order_by("id")
        page = self.paginate_queryset(entries)
        return self.get_paginated_response(serializers.LedgerEntrySerializer(page, many=True).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("from", {"type": "string", "format": "date-time"}),
            OpenApiParameter("until", {"type": "string", "format": "date-time"}),
            OpenApiParameter("page", int),
            OpenApiParameter("page_size", int),
        ],
        responses=serializers.StatementSerializer,
        filters=False,
    )
    @action(detail=True, filterset_class=None)
    def statement(self, request: Request, public_id: str) -> Response:
        """A period: opening balance, every line with what was left after it, closing balance, sums by kind."""
        query = serializers.AskPeriodSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        found = statements.statement(self.get_object(), **query.validated_data)
        page = self.paginate_queryset(found.lines)
        paged = self.get_paginated_response(serializers.StatementLineSerializer(page, many=True).data)
        head = {key: getattr(found, key) for key in ("since", "until", "opening", "closing", "sums")}
        return Response(serializers.StatementSerializer(head).data | paged.data)


@extend_schema_view(
    release=extend_schema(request=None, responses=serializers.LeaseSerializer),
    cancel=extend_schema(request=None, responses=serializers.LeaseSerializer),
    retry=extend_schema(request=None, responses=serializers.LeaseSerializer),
)
class LeaseViewSet(ReshapeActions, ReadViewSet):
    """Reservations and their verbs."""

    queryset = Lease.objects.select_related("allocation__project__organisation", "allocation__pool", "booked_by")
    serializer_class = serializers.LeaseSerializer
    filterset_class = LeaseFilter

    def _shown(self, lease: Lease, code: int = status.HTTP_200_OK) -> Response:
        return Response(serializers.LeaseSerializer(lease).data, status=code)

    @extend_schema(request=serializers.BookSerializer, responses={201: serializers.LeaseSerializer})
    def create(self, request: Request) -> Response:
        """Book a window."""
        ask = _body(serializers.BookSerializer, request)
        mine = Allocation.objects.visible_to(request.user)
        ask["allocation"] = get_object_or_404(mine, public_id=ask["allocation"])
        return self._shown(booking.book(actor=request.user, **ask), status.HTTP_201_CREATED)

    @action(detail=True, methods=["post"])
    def release(self, request: Request, public_id: str) -> Response:
        """Give it back early."""
        return self._shown(ending.release(actor=request.user, lease=self.get_object()))

    @extend_schema(request=None, responses=serializers.LeaseSerializer)
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, public_id: str) -> Response:
        """Take an offer of the wait-list, whole, until `offer_until`."""
        return self._shown(offering.accept(actor=request.user, lease=self.get_object()))

    @extend_schema(request=DeclineSerializer, responses=serializers.LeaseSerializer)
    @action(detail=True, methods=["post"])
    def decline(self, request: Request, public_id: str) -> Response:
        """Let an offer of the wait-list go; `stay` false: leave the list, too."""
        lease, said = self.get_object(), _body(DeclineSerializer, request)
        return self._shown(offering.decline(actor=request.user, lease=lease, **said))

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        """Give it up before it begins."""
        return self._shown(ending.cancel(actor=request.user, lease=self.get_object()))

    @extend_schema(request=serializers.ExtendSerializer, responses=serializers.LeaseSerializer)
    @action(detail=True, methods=["post"])
    def extend(self, request: Request, public_id: str) -> Response:
        """Move the end; it counts when the nodes have acknowledged it (`pending_ends_at` is null again)."""
        lease, ask = self.get_object(), _body(serializers.ExtendSerializer, request)
        return self._shown(extending.extend(actor=request.user, lease=lease, **ask))

    @extend_schema(request=serializers.ChangeSerializer, responses=serializers.LeaseSerializer)
    @action(detail=True, methods=["post"])
    def change(self, request: Request, public_id: str) -> Response:
        """Give it another size, window or shape before it begins; all of it or nothing."""
        lease, ask = self.get_object(), _body(serializers.ChangeSerializer, request)
        return self._shown(changing.change(actor=request.user, lease=lease, **ask))

    @extend_schema(request=serializers.ReclaimSerializer, responses=serializers.LeaseSerializer)
    @action(detail=True, methods=["post"])
    def reclaim(self, request: Request, public_id: str) -> Response:
        """Take it back for the agency."""
        lease, ask = self.get_object(), _body(serializers.ReclaimSerializer, request)
        return self._shown(ending.reclaim(actor=request.user, lease=lease, **ask))

    @action(detail=True, methods=["post"])
    def retry(self, request: Request, public_id: str) -> Response:
        """Try a stuck return again, after an operator has looked after it."""
        return self._shown(reclaiming.retry(actor=request.user, lease=self.get_object()))

    @extend_schema(request=serializers.CertificateAskSerializer, responses={201: serializers.CertificateSerializer})
    @action(detail=True, methods=["post"])
    def certificate(self, request: Request, public_id: str) -> Response:
        """An SSH certificate for one of one's own keys."""
        lease, ask = self.get_object(), _body(serializers.CertificateAskSerializer, request)
        key = get_object_or_404(SshKey.objects.visible_to(request.user), public_id=ask["ssh_key"])  # type: ignore[arg-type]
        made = access.issue_certificate(actor=request.user, lease=lease, ssh_key=key)
        return Response(serializers.CertificateSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=serializers.LeaseDeviceSerializer(many=True), filters=False)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def devices(self, request: Request, public_id: str) -> Response:
        """Its devices, each with the latest sample of this reservation's own use; never of what was before or after."""
        rows = leases.lease_devices(self.get_object(), timezone.now())
        return Response(serializers.LeaseDeviceSerializer(rows, many=True).data)

    @extend_schema(responses=serializers.SignedHandoverSerializer)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def handover(self, request: Request, public_id: str) -> Response:
        """The evidence of each device at the start and at the end, signed by the portal (Ed25519)."""
        return Response(sheet.signed_handover(self.get_object()))

    @extend_schema(responses=serializers.BillSerializer)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def bill(self, request: Request, public_id: str) -> Response:
        """What would be charged and what would come back if the partner cancelled or released it now."""
        found = rulebooks.bill_of(self.get_object(), timezone.now())
        return Response(serializers.BillSerializer(found).data)

    @extend_schema(responses=serializers.UsageSerializer)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def usage(self, request: Request, public_id: str) -> Response:
        """Held against measured, so far or sealed."""
        return Response(serializers.UsageSerializer(leases.lease_usage(self.get_object())).data)


def own_organisations(user: Any) -> list[int]:
    """Keys of the organisations that a person belongs to."""
    return list(organisation_ids_of(user).values_list("organisation_id", flat=True))


def _pool(request: Request, name: str) -> Pool:
    """By id or name, or 404."""
    pool = Pool.objects.visible_to(request.user).filter(Q(public_id=name) | Q(name=name)).first()
    if pool is None:
        raise NotFound
    return pool


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
        responses=serializers.AvailabilitySerializer,
    )
    def list(self, request: Request) -> Response:
        """Capacity in the window, and the next window for as many GPUs and as long.

        For a partner, what its organisations could have: nodes that are lent whole to others then are not free.
        """
        query = serializers.AskWindowSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        ask = query.validated_data
        pool = _pool(request, ask["pool"])
        tenants = None if request.user.is_agency else own_organisations(request.user)
        kind: Any = {"tenants": tenants, "profile": ask["profile"]}
        found = capacities.capacity(pool, ask["since"], ask["until"], **kind)
        length = ask["until"] - ask["since"]
        passes = rulebooks.closures_of(pool).open_starts(length, ask["since"])
        kind |= {"shape": ask["shape"], "passes": passes}
        offer = free_times.next_free_window(pool, ask["gpus"], length, ask["since"], **kind)
        window = {"start": offer[0], "end": offer[1]} if offer else None
        told = asdict(found) | {"next_window": window, "profiles": list(profiles_in(pool))}
        return Response(serializers.AvailabilitySerializer(told).data)

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
        responses=serializers.SlotSerializer(many=True),
    )
    @action(detail=False)
    def slots(self, request: Request) -> Response:
        """The best three windows that would pass every rule now, over one's own allocations."""
        query = serializers.AskSlotSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        ask = query.validated_data
        rows = offers.bookable_allocations(request.user)
        if ask.get("allocation"):
            rows = rows.filter(public_id=ask["allocation"])
        if ask.get("gpu_class"):
            rows = rows.filter(pool__gpu_class__code=ask["gpu_class"])
        found = offers.find_slots(rows[: offers.MOST_ALLOCATIONS], ask["wish"], timezone.now())
        return Response(serializers.SlotSerializer(found, many=True).data)

    @extend_schema(
        operation_id="availability_calendar",
        parameters=[
            OpenApiParameter("pool", str, required=True, description=str(_("id or name of the pool"))),
            OpenApiParameter("from", {"type": "string", "format": "date-time"}, required=True),
            OpenApiParameter("until", {"type": "string", "format": "date-time"}, required=True),
            OpenApiParameter("rows", str, enum=["devices", "nodes"]),
        ],
        responses=serializers.RowSerializer(many=True),
    )
    @action(detail=False)
    def calendar(self, request: Request) -> Response:
        """Who has what when. Partners see their own reservations, and of others only that a device is taken."""
        query = serializers.AskCalendarSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        ask = query.validated_data
        rows = occupancy.occupancy(_pool(request, ask["pool"]), ask["since"], ask["until"], request.user)
        if ask["rows"] == "nodes":
            rows = occupancy.by_node(rows, ask["since"], ask["until"])
        return Response(serializers.RowSerializer(rows, many=True).data)


class CalendarFeedViewSet(viewsets.ViewSet):
    """One's own secret link for calendar programs."""

    @extend_schema(request=None, responses={201: serializers.FeedSerializer})
    def create(self, request: Request) -> Response:
        """Make the link, or a new one: the old one stops working. It is told this once."""
        secret = feeds.renew(actor=request.user)
        return Response(serializers.FeedSerializer({"url": feeds.address(secret)}).data, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={204: None})
    @action(detail=False, methods=["post"])
    def revoke(self, request: Request) -> Response:
        """The link stops working; there is none afterwards."""
        feeds.revoke(actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)
