"""Steps of review, to the API."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.models import Pool
from common.api import ReadViewSet
from partners.api import body_of
from partners.serializers import WrittenReasonSerializer
from proposals.models import ProposalStep
from proposals.review_filters import StepFilter
from proposals.serializers.reviewing import StepSerializer, VerdictSerializer
from proposals.services import stepping
from proposals.visibility import TABLE, Part, role_of


class StepViewSet(ReadViewSet):
    """What submitted proposals go through, of their present version."""

    queryset = ProposalStep.objects.select_related("proposal", "owner", "closed_by", "pool", "gpu_class").order_by(
        "due_at", "pk"
    )
    serializer_class = StepSerializer
    filterset_class = StepFilter

    def get_queryset(self) -> QuerySet[Any]:
        rows: Any = super().get_queryset()
        return rows if getattr(self, "swagger_fake_view", False) else rows.current()

    def get_serializer_context(self) -> dict[str, Any]:
        roles: frozenset[str] = getattr(self.request.user, "agency_roles", frozenset())
        notes = Part.NOTES in TABLE[role_of(roles)]["technical"]
        return {**super().get_serializer_context(), "notes": notes}

    @extend_schema(request=VerdictSerializer, responses=StepSerializer)
    @action(detail=True, methods=["post"])
    def judge(self, request: Request, public_id: str) -> Response:
        """Say how it ends: `pass`, `fail` or `return` (technical: operators; others: officers)."""
        step = self.get_object()
        ask = body_of(VerdictSerializer, request)
        pool = None
        if ask["pool"]:
            pools = Pool.objects.visible_to(request.user).select_related("gpu_class")
            pool = get_object_or_404(pools, public_id=ask["pool"])
        stepping.judge(
            actor=request.user,
            step=step,
            verdict=ask["verdict"],
            note=ask["note"],
            pool=pool,
            gpu_class=pool.gpu_class if pool else None,
        )
        return self._shown(step)

    @extend_schema(request=WrittenReasonSerializer, responses=StepSerializer)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, public_id: str) -> Response:
        """Take a verdict back (officers)."""
        step = self.get_object()
        ask = body_of(WrittenReasonSerializer, request)
        stepping.reopen(actor=request.user, step=step, reason=ask["reason"])
        return self._shown(step)

    def _shown(self, step: ProposalStep) -> Response:
        return Response(self.get_serializer(self.queryset.get(pk=step.pk)).data)
