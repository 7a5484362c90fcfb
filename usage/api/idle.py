"""The API skin of rules about idle GPUs and of the cases under them: the services of the pages."""

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from allocations.models import Lease
from allocations.rules import may_end
from cluster.api import said_in
from cluster.models import Pool
from common.api import ReadViewSet
from common.permissions import allowed
from common.web import staff_only
from partners.models import Agreement
from usage.filters import IdleCaseFilter, IdleRuleFilter
from usage.models import IdleCase, IdleRule
from usage.selectors.idle_now import idle_now
from usage.serializers.idle import (
    AppealCaseSerializer,
    CarryOutSerializer,
    CaseReasonSerializer,
    ChangeIdleRuleSerializer,
    DismissCaseSerializer,
    DraftIdleRuleSerializer,
    GiveBackIdleSerializer,
    IdleCaseSerializer,
    IdleNowSerializer,
    IdleRuleSerializer,
    OpenBreachSerializer,
    SaySerializer,
    StopCaseSerializer,
    TryOutSerializer,
    UpholdCaseSerializer,
)
from usage.services import acting, answering, breaches, idle_rules
from usage.services.giving_back import give_back_idle


class IdleCaseViewSet(ReadViewSet):
    """Cases about idle GPUs and breaches: the agency all, partners their own."""

    queryset = IdleCase.objects.select_related("lease", "rule").prefetch_related("devices__device", "steps__by")
    serializer_class = IdleCaseSerializer
    filterset_class = IdleCaseFilter

    @extend_schema(request=OpenBreachSerializer, responses={201: IdleCaseSerializer})
    def create(self, request: Request) -> Response:
        """Open the course of a breach about a running reservation. Officers and operators."""
        staff_only(request.user)
        ask = said_in(request, OpenBreachSerializer)
        ask["lease"] = get_object_or_404(Lease.objects.visible_to(request.user), public_id=ask["lease"])
        made = breaches.open_breach(actor=request.user, **ask)
        return Response(self._data(made), status=status.HTTP_201_CREATED)

    @extend_schema(request=SaySerializer, responses=IdleCaseSerializer)
    @action(detail=True, methods=["post"])
    def reply(self, request: Request, public_id: str) -> Response:
        """A word to the officers; the course goes on. Members of the organisation."""
        return self._does(answering.reply, SaySerializer)

    @extend_schema(request=AppealCaseSerializer, responses=IdleCaseSerializer)
    @action(detail=True, methods=["post"])
    def appeal(self, request: Request, public_id: str) -> Response:
        """Ask, once, that nothing be taken. Members of the organisation."""
        return self._does(answering.appeal, AppealCaseSerializer)

    @extend_schema(request=UpholdCaseSerializer, responses=IdleCaseSerializer)
    @action(detail=True, methods=["post"])
    def uphold(self, request: Request, public_id: str) -> Response:
        """The appeal is right: the case is over. Officers only."""
        return self._does(answering.uphold, UpholdCaseSerializer)

    @extend_schema(request=DismissCaseSerializer, responses=IdleCaseSerializer)
    @action(detail=True, methods=["post"])
    def dismiss(self, request: Request, public_id: str) -> Response:
        """The appeal is not followed: the rule goes on. Officers only."""
        return self._does(answering.dismiss, DismissCaseSerializer)

    @extend_schema(request=StopCaseSerializer, responses=IdleCaseSerializer)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, public_id: str) -> Response:
        """End the course; nothing is taken. Officers and operators."""
        return self._does(answering.stop, StopCaseSerializer)

    @extend_schema(request=CarryOutSerializer, responses=IdleCaseSerializer)
    @action(detail=True, methods=["post"], url_path="carry-out")
    def carry_out(self, request: Request, public_id: str) -> Response:
        """Take back what the rule proposes, once its time is over. Officers only."""
        return self._does(acting.carry_out, CarryOutSerializer)

    def _does(self, verb: Any, shape: Any) -> Response:
        """The object first: what a stranger sends is not even looked at."""
        case = self.get_object()
        return Response(self._data(verb(actor=self.request.user, case=case, **said_in(self.request, shape))))

    def _data(self, case: IdleCase) -> Any:
        return IdleCaseSerializer(self.get_queryset().get(pk=case.pk)).data


@extend_schema_view(discard=extend_schema(request=None, responses=IdleRuleSerializer))
class IdleRuleViewSet(ReadViewSet):
    """Rules about idle GPUs, every version. The agency's."""

    queryset = IdleRule.objects.select_related("pool", "agreement", "made_by", "on_by", "off_by")
    serializer_class = IdleRuleSerializer
    filterset_class = IdleRuleFilter

    @extend_schema(request=DraftIdleRuleSerializer, responses={201: IdleRuleSerializer})
    def create(self, request: Request) -> Response:
        """Write the next version of a subject's rule, as a draft. Officers only."""
        staff_only(request.user)
        ask = said_in(request, DraftIdleRuleSerializer)
        reason, pool, agreement = ask.pop("reason"), ask.pop("pool"), ask.pop("agreement")
        made = idle_rules.draft(
            actor=request.user,
            pool=get_object_or_404(Pool.objects.visible_to(request.user), public_id=pool) if pool else None,
            agreement=get_object_or_404(Agreement.objects.visible_to(request.user), public_id=agreement)
            if agreement
            else None,
            values=ask,
            reason=reason,
        )
        return Response(IdleRuleSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=ChangeIdleRuleSerializer, responses=IdleRuleSerializer)
    @action(detail=True, methods=["post"])
    def change(self, request: Request, public_id: str) -> Response:
        """Other values for a draft, whole; it is to be tried out again. Officers only."""
        rule, ask = self.get_object(), said_in(request, ChangeIdleRuleSerializer)
        reason = ask.pop("reason")
        made = idle_rules.change_draft(actor=request.user, rule=rule, values=ask, reason=reason)
        return Response(IdleRuleSerializer(made).data)

    @extend_schema(request=TryOutSerializer, responses=IdleRuleSerializer)
    @action(detail=True, methods=["post"], url_path="try-out")
    def try_out(self, request: Request, public_id: str) -> Response:
        """What it would have taken back in the last days; nothing happens. Officers only."""
        return self._does(idle_rules.try_out, TryOutSerializer)

    @extend_schema(request=CaseReasonSerializer, responses=IdleRuleSerializer)
    @action(detail=True, methods=["post"], url_path="switch-on")
    def switch_on(self, request: Request, public_id: str) -> Response:
        """It holds from now on, in the place of the version before. Officers only."""
        return self._does(idle_rules.switch_on, CaseReasonSerializer)

    @extend_schema(request=CaseReasonSerializer, responses=IdleRuleSerializer)
    @action(detail=True, methods=["post"], url_path="switch-off")
    def switch_off(self, request: Request, public_id: str) -> Response:
        """It holds no longer, and open cases under it end. Officers only."""
        return self._does(idle_rules.switch_off, CaseReasonSerializer)

    @action(detail=True, methods=["post"])
    def discard(self, request: Request, public_id: str) -> Response:
        """A draft that is not wanted. Officers only."""
        return self._does(idle_rules.discard)

    def _does(self, verb: Any, shape: Any = None) -> Response:
        rule = self.get_object()
        said = said_in(self.request, shape) if shape else {}
        return Response(IdleRuleSerializer(verb(actor=self.request.user, rule=rule, **said)).data)


class IdleNowView(APIView):
    """What a running reservation could give back at this moment."""

    def _lease(self, request: Request, public_id: str) -> Lease:
        rows = Lease.objects.visible_to(request.user).select_related(
            "allocation__project__organisation", "allocation__pool"
        )
        return get_object_or_404(rows, public_id=public_id)

    @extend_schema(responses=IdleNowSerializer, operation_id="idle_now_retrieve", tags=["idle-now"])
    def get(self, request: Request, public_id: str) -> Response:
        """GPUs on which nothing has run for an hour, and the GPU-hours that come back for them. An empty list where
        none is idle, and for whoever may not end the reservation: as on its page.
        """
        lease = self._lease(request, public_id)
        found = idle_now(lease, timezone.now()) if allowed(request.user, may_end, lease) else None
        if found is None:
            return Response(IdleNowSerializer({"devices": [], "whole": False, "back_seconds": 0}).data)
        names = [device.public_id for device in found.devices]
        said = {"devices": names, "whole": found.whole, "back_seconds": found.back_seconds}
        return Response(IdleNowSerializer(said).data)

    @extend_schema(
        request=GiveBackIdleSerializer,
        responses={202: IdleNowSerializer},
        operation_id="idle_now_give_back",
        tags=["idle-now"],
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Give them back; the hours return when the node has let go. Whoever may end the reservation."""
        lease = self._lease(request, public_id)
        give_back_idle(actor=request.user, lease=lease, **said_in(request, GiveBackIdleSerializer))
        return Response(
            IdleNowSerializer({"devices": [], "whole": False, "back_seconds": 0}).data, status=status.HTTP_202_ACCEPTED
        )
