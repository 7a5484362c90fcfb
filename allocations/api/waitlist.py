"""The API skin of the wait-list: the same verbs as the pages."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from allocations.filters import WaitEntryFilter
from allocations.models import Allocation, WaitEntry
from allocations.selectors import waitlist as order
from allocations.serializers.waitlist import JoinSerializer, QueueSerializer, RemoveSerializer, WaitEntrySerializer
from allocations.services import waitlist
from cluster.api import said_in
from common.api import ReadViewSet


@extend_schema_view(leave=extend_schema(request=None, responses=WaitEntrySerializer))
class WaitListViewSet(ReadViewSet):
    """Asks that wait, in the published order: `missed`, then `priority`, then `last_served_at`, then `joined_at`."""

    queryset = WaitEntry.objects.select_related(
        "allocation__project__organisation", "allocation__pool", "asked_by", "lease"
    )
    serializer_class = WaitEntrySerializer
    filterset_class = WaitEntryFilter

    def get_queryset(self) -> Any:
        return order.ranked(super().get_queryset())

    def get_serializer_context(self) -> dict[str, Any]:
        """The places of all pools, asked once."""
        pools = set() if getattr(self, "swagger_fake_view", False) else self._pools()
        return {**super().get_serializer_context(), "places": order.places(pools)}

    def _pools(self) -> set[int]:
        mine = WaitEntry.objects.visible_to(self.request.user).filter(state="waiting")
        return set(mine.order_by().values_list("allocation__pool", flat=True))

    def _shown(self, entry: WaitEntry, code: int = status.HTTP_200_OK) -> Response:
        fresh = self.get_queryset().get(pk=entry.pk)
        return Response(self.get_serializer(fresh).data, status=code)

    @extend_schema(request=JoinSerializer, responses={201: WaitEntrySerializer})
    def create(self, request: Request) -> Response:
        """Join with an ask that cannot be booked now."""
        ask = said_in(request, JoinSerializer)
        mine = Allocation.objects.visible_to(request.user)
        allocation = get_object_or_404(mine, public_id=ask["allocation"])
        made = waitlist.join(actor=request.user, allocation=allocation, wish=ask["wish"], note=ask["note"])
        return self._shown(made, status.HTTP_201_CREATED)

    @action(detail=True, methods=["post"])
    def leave(self, request: Request, public_id: str) -> Response:
        """Off the list; an offer that is out goes to others."""
        return self._shown(waitlist.leave(actor=request.user, entry=self.get_object()))

    @extend_schema(request=RemoveSerializer, responses=WaitEntrySerializer)
    @action(detail=True, methods=["post"])
    def remove(self, request: Request, public_id: str) -> Response:
        """Take it off the list for the agency."""
        entry, said = self.get_object(), said_in(request, RemoveSerializer)
        return self._shown(waitlist.remove(actor=request.user, entry=entry, **said))

    @extend_schema(responses=QueueSerializer(many=True), filters=False)
    @action(detail=False, filterset_class=None, pagination_class=None)
    def queues(self, request: Request) -> Response:
        """How long the queues of one's pools are: places and sizes, not whose they are."""
        return Response(QueueSerializer(order.queues(request.user), many=True).data)
