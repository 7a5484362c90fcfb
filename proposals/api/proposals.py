"""Asks and answers, to the API."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from common.api import ReadViewSet
from partners.api import body_of
from partners.models import Agreement
from partners.serializers import WrittenReasonSerializer
from projects.serializers import ProjectSerializer
from proposals import serializers
from proposals.api.contents import ContentActions
from proposals.api.deciding import OutcomeActions, given_lines
from proposals.filters import ProposalFilter
from proposals.models import Call, Proposal
from proposals.services import decisions, drafting

_SHOWN = serializers.ProposalSerializer


@extend_schema_view(
    submit=extend_schema(request=None, responses=_SHOWN),
    withdraw=extend_schema(request=None, responses=_SHOWN),
    accept=extend_schema(request=None, responses={201: ProjectSerializer}),
    start_review=extend_schema(request=None, responses=_SHOWN),
    refuse=extend_schema(request=WrittenReasonSerializer, responses=_SHOWN),
    decline=extend_schema(request=WrittenReasonSerializer, responses=_SHOWN),
    return_for_changes=extend_schema(request=WrittenReasonSerializer, responses=_SHOWN),
    award=extend_schema(request=serializers.AwardSerializer, responses=_SHOWN),
)
class ProposalViewSet(ContentActions, OutcomeActions, ReadViewSet):
    """Asks, from draft to answer."""

    queryset = Proposal.objects.select_related("call", "organisation", "agreement").prefetch_related(
        "call__questions",
        "lines__gpu_class",
        "team",
        "answers__question",
        "answers__file",
        "decisions__lines__pool",
        "decisions__letter",
    )
    serializer_class = _SHOWN
    filterset_class = ProposalFilter

    @extend_schema(request=serializers.NewProposalSerializer, responses={201: _SHOWN})
    def create(self, request: Request) -> Response:
        """Save a new draft."""
        ask = body_of(serializers.NewProposalSerializer, request)
        call = get_object_or_404(Call.objects.visible_to(request.user), public_id=ask["call"])
        made = self._save(request, ask, call, None)
        return self._shown(made, status.HTTP_201_CREATED)

    @extend_schema(request=serializers.ContentSerializer, responses=_SHOWN)
    def update(self, request: Request, public_id: str) -> Response:
        """Replace what a draft or a returned proposal says."""
        proposal = self.get_object()
        ask = body_of(serializers.ContentSerializer, request)
        return self._shown(self._save(request, ask, proposal.call, proposal))

    @action(detail=True, methods=["post"])
    def submit(self, request: Request, public_id: str) -> Response:
        """Hand it in."""
        return self._shown(drafting.submit(actor=request.user, proposal=self.get_object()))

    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, public_id: str) -> Response:
        """Take it back before a decision."""
        return self._shown(drafting.withdraw(actor=request.user, proposal=self.get_object()))

    @action(detail=True, methods=["post"])
    def accept(self, request: Request, public_id: str) -> Response:
        """Accept the award; the answer is the project."""
        project = decisions.accept(actor=request.user, proposal=self.get_object())
        return Response(ProjectSerializer(project).data, status=status.HTTP_201_CREATED)

    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, public_id: str) -> Response:
        """Do not take the award."""
        return self._reasoned(decisions.refuse, request)

    @action(detail=True, methods=["post"])
    def start_review(self, request: Request, public_id: str) -> Response:
        """Take it from the queue (officers)."""
        return self._shown(decisions.start_review(actor=request.user, proposal=self.get_object()))

    @action(detail=True, methods=["post"])
    def decline(self, request: Request, public_id: str) -> Response:
        """Refuse it (officers)."""
        return self._reasoned(decisions.decline, request)

    @action(detail=True, methods=["post"], url_path="return")
    def return_for_changes(self, request: Request, public_id: str) -> Response:
        """Send it back to be changed (officers)."""
        return self._reasoned(decisions.return_for_changes, request)

    @action(detail=True, methods=["post"])
    def award(self, request: Request, public_id: str) -> Response:
        """Award some or all of it (officers)."""
        proposal = self.get_object()
        ask = body_of(serializers.AwardSerializer, request)
        lines = given_lines(request, proposal, ask["lines"])
        return self._shown(decisions.award(actor=request.user, proposal=proposal, lines=lines, reason=ask["reason"]))

    def _save(self, request: Request, ask: dict[str, Any], call: Call, proposal: Proposal | None) -> Proposal:
        mine = Agreement.objects.visible_to(request.user).select_related("organisation")
        agreement = get_object_or_404(mine, public_id=ask["agreement"])
        content = serializers.content_from(ask)
        return drafting.save_draft(
            actor=request.user,
            call=call,
            agreement=agreement,
            content=content,
            proposal=proposal,
            revision=ask.get("revision"),
        )

    def _reasoned(self, verb: Any, request: Request) -> Response:
        proposal = self.get_object()
        ask = body_of(WrittenReasonSerializer, request)
        return self._shown(verb(actor=request.user, proposal=proposal, **ask))

    def _shown(self, proposal: Proposal, code: int = status.HTTP_200_OK) -> Response:
        fresh = self.queryset.get(pk=proposal.pk)
        return Response(_SHOWN(fresh).data, status=code)
