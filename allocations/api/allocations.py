"""The API skin of allocations."""

from dataclasses import asdict

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from allocations.api.rules import rulebook_data
from allocations.filters import AllocationFilter
from allocations.models import Allocation, LedgerEntry
from allocations.selectors import (
    balances,
    envelopes,
    rulebooks,
)
from allocations.selectors import statement as statements
from allocations.selectors.usage import sums
from allocations.serializers.allocations import (
    AllocationSerializer,
    BalanceSerializer,
    ForecastSerializer,
    ShortfallSerializer,
)
from allocations.serializers.rules import RulebookSerializer
from allocations.serializers.statements import (
    AskPeriodSerializer,
    LedgerEntrySerializer,
    StatementLineSerializer,
    StatementSerializer,
)
from allocations.serializers.usage import UsageSumsSerializer
from allocations.serializers.waitlist import PrioritySerializer
from allocations.services import waitlist
from cluster.api import said_in
from common.api import ReadViewSet


class AllocationViewSet(ReadViewSet):
    """Awards that one can spend."""

    queryset = Allocation.objects.select_related("project", "pool__gpu_class")
    serializer_class = AllocationSerializer
    filterset_class = AllocationFilter

    @extend_schema(responses=BalanceSerializer)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def balance(self, request: Request, public_id: str) -> Response:
        """What is awarded, held, charged and left."""
        return Response(BalanceSerializer(balances.balance(self.get_object())).data)

    @extend_schema(request=PrioritySerializer, responses=AllocationSerializer)
    @action(detail=True, methods=["post"])
    def prioritise(self, request: Request, public_id: str) -> Response:
        """Set its priority on wait-lists: higher is served first. Officers only."""
        allocation, said = self.get_object(), said_in(request, PrioritySerializer)
        waitlist.prioritise(actor=request.user, allocation=allocation, **said)
        return Response(AllocationSerializer(self.get_object()).data)

    @extend_schema(responses=ForecastSerializer)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def forecast(self, request: Request, public_id: str) -> Response:
        """Where it is heading at the pace of the last fourteen days, and its balance over time."""
        allocation, now = self.get_object(), timezone.now()
        found = balances.forecast(allocation, balances.balance(allocation).left, now)
        points = [{"at": at, "left": left} for at, left in balances.balance_points(allocation, now)]
        return Response(ForecastSerializer(asdict(found) | {"points": points}).data)

    @extend_schema(responses=UsageSumsSerializer)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def usage(self, request: Request, public_id: str) -> Response:
        """What was made of what its reservations held, decided hours alone: device-seconds of whole GPUs."""
        return Response(UsageSumsSerializer(sums(self.get_object().leases.all())).data)

    @extend_schema(responses=ShortfallSerializer(many=True))
    @action(detail=True, filterset_class=None, pagination_class=None)
    def shortfalls(self, request: Request, public_id: str) -> Response:
        """When, as things stand, not all of its guaranteed GPUs can be had, and how many are missing. Usually never."""
        found = envelopes.shortfalls_of(self.get_object(), timezone.now())
        return Response(ShortfallSerializer(found, many=True).data)

    @extend_schema(responses=RulebookSerializer)
    @action(detail=True, filterset_class=None, pagination_class=None)
    def rules(self, request: Request, public_id: str) -> Response:
        """Every rule of booking in force for it, with whose it is and in words, and the coming blackouts."""
        mine = self.get_queryset().select_related("project__agreement")
        allocation = get_object_or_404(rulebooks.with_rules(mine), public_id=public_id)
        return Response(rulebook_data(rulebooks.rulebook_of(allocation), allocation))

    @extend_schema(responses=LedgerEntrySerializer(many=True))
    @action(detail=True, filterset_class=None)
    def ledger(self, request: Request, public_id: str) -> Response:
        """Every amount that moved, oldest first."""
        entries = LedgerEntry.objects.filter(allocation=self.get_object()).for_reading().order_by("id")
        page = self.paginate_queryset(entries)
        return self.get_paginated_response(LedgerEntrySerializer(page, many=True).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("from", {"type": "string", "format": "date-time"}),
            OpenApiParameter("until", {"type": "string", "format": "date-time"}),
            OpenApiParameter("page", int),
            OpenApiParameter("page_size", int),
        ],
        responses=StatementSerializer,
        filters=False,
    )
    @action(detail=True, filterset_class=None)
    def statement(self, request: Request, public_id: str) -> Response:
        """A period: opening balance, every line with what was left after it, closing balance, sums by kind."""
        query = AskPeriodSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        found = statements.statement(self.get_object(), **query.validated_data)
        page = self.paginate_queryset(found.lines)
        paged = self.get_paginated_response(StatementLineSerializer(page, many=True).data)
        head = {key: getattr(found, key) for key in ("since", "until", "opening", "closing", "sums")}
        return Response(StatementSerializer(head).data | paged.data)
