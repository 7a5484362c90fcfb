"""Changes to what was awarded, to the API: the same verbs as the pages."""

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from allocations.models import Allocation
from cluster.models import Pool
from common.api import ReadViewSet
from partners.api import body_of
from partners.serializers import WrittenReasonSerializer
from proposals.filters import ChangeFilter
from proposals.models import ChangeRequest
from proposals.serializers import AskAwardChangeSerializer, AwardChangeSerializer
from proposals.services import changing
from proposals.services.change_checks import Wish

_SHOWN = AwardChangeSerializer


@extend_schema_view(
    withdraw=extend_schema(request=None, responses=_SHOWN),
    grant=extend_schema(request=None, responses=_SHOWN),
    decline=extend_schema(request=WrittenReasonSerializer, responses=_SHOWN),
)
class ChangeRequestViewSet(ReadViewSet):
    """What partners want changed of what they were awarded."""

    queryset = ChangeRequest.objects.select_related("allocation", "pool", "lead")
    serializer_class = _SHOWN
    filterset_class = ChangeFilter

    @extend_schema(request=AskAwardChangeSerializer, responses={201: _SHOWN})
    def create(self, request: Request) -> Response:
        """Ask for a change (owners and managers)."""
        ask = body_of(AskAwardChangeSerializer, request)
        mine = Allocation.objects.visible_to(request.user).select_related("project__organisation")
        allocation = get_object_or_404(mine, public_id=ask.pop("allocation"))
        reason = ask.pop("reason")
        if "pool" in ask:
            pools = Pool.objects.visible_to(request.user).select_related("gpu_class")
            ask["pool"] = get_object_or_404(pools, public_id=ask["pool"])
        if "lead" in ask:
            people = User.objects.filter(memberships__organisation=allocation.project.organisation)
            ask["lead"] = get_object_or_404(people, public_id=ask["lead"])
        made = changing.ask(actor=request.user, allocation=allocation, wish=Wish(**ask), reason=reason)
        return Response(_SHOWN(made).data, status=status.HTTP_201_CREATED)

    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, public_id: str) -> Response:
        """Take it back before it is decided."""
        return Response(_SHOWN(changing.withdraw(actor=request.user, change=self.get_object())).data)

    @action(detail=True, methods=["post"])
    def grant(self, request: Request, public_id: str) -> Response:
        """Agree (officers); where it takes two, the second one's yes makes the change."""
        return Response(_SHOWN(changing.grant(actor=request.user, change=self.get_object())).data)

    @action(detail=True, methods=["post"])
    def decline(self, request: Request, public_id: str) -> Response:
        """Say no, and why (officers)."""
        change, ask = self.get_object(), body_of(WrittenReasonSerializer, request)
        return Response(_SHOWN(changing.decline(actor=request.user, change=change, **ask)).data)
