"""The reviews of a call as a whole, to the API."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.rules import is_agency
from common.api import VisibleViewSet
from common.permissions import allowed
from proposals.models import Call
from proposals.review_filters import RankingFilter
from proposals.rules import may_see_ranking
from proposals.selectors.board import reviewer_counts, step_counts
from proposals.selectors.ranking import ranking
from proposals.serializers import ranking as shapes
from proposals.services import assigning
from proposals.visibility import sees_reviewers


class CallReviewViewSet(VisibleViewSet):
    """Ranking, progress and assignments of a call; for the agency."""

    queryset = Call.objects.all()
    serializer_class = shapes.RankingSerializer

    def get_queryset(self) -> QuerySet[Any]:
        if not getattr(self, "swagger_fake_view", False) and not allowed(self.request.user, is_agency):
            raise Http404
        return super().get_queryset()

    @extend_schema(responses=shapes.RankingSerializer)
    @action(detail=True, methods=["get"])
    def ranking(self, request: Request, public_id: str) -> Response:
        """Proposals in the order of their scores, with spread and budget; filters as on the page."""
        if not allowed(request.user, may_see_ranking):
            raise Http404
        call = self.get_object()
        narrowed = RankingFilter(request.query_params, queryset=call.proposals.exclude(submitted_at=None))
        return Response(shapes.RankingSerializer(ranking(call, narrowed.qs)).data)

    @extend_schema(responses=shapes.ProgressSerializer)
    @action(detail=True, methods=["get"])
    def progress(self, request: Request, public_id: str) -> Response:
        """How far the steps and the reviewers have come; `reviewers` is empty for operators, who do not learn who."""
        call, sees = self.get_object(), sees_reviewers(request.user.agency_roles)  # type: ignore[union-attr]
        found = {"steps": step_counts(call), "reviewers": reviewer_counts(call) if sees else []}
        return Response(shapes.ProgressSerializer(found).data)

    @extend_schema(request=None, responses=shapes.PlanSerializer)
    @action(detail=True, methods=["post"])
    def propose(self, request: Request, public_id: str) -> Response:
        """Propose reviewers for whatever lacks some (officers); nothing is sent."""
        plan = assigning.propose_for_call(actor=request.user, call=self.get_object())
        return Response({"proposed": len(plan.matches), "short": sum(plan.short.values())})

    @extend_schema(request=None, responses=shapes.SentSerializer)
    @action(detail=True, methods=["post"])
    def send(self, request: Request, public_id: str) -> Response:
        """Ask the reviewers who are proposed (officers)."""
        return Response({"sent": assigning.send(actor=request.user, call=self.get_object())})
