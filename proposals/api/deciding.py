"""Prepared decisions, letters, holds and appeals, to the API: the same verbs as the pages."""

from typing import Any, cast

from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.models import Pool
from common.api import ReadViewSet
from common.permissions import require
from common.web import staff_only
from partners.api import body_of
from partners.serializers import WrittenReasonSerializer
from proposals import serializers
from proposals.awards import AwardAsk
from proposals.filters import PreparedFilter
from proposals.letter_texts import STANDARD
from proposals.models import Call, DecisionLetter, PreparedDecision, Proposal
from proposals.rules import may_decide
from proposals.selectors import listed_prepared, pool_sums
from proposals.services import appealing, decisions, letters, preparing, releasing

_PROPOSAL = serializers.ProposalSerializer
_PREPARED = serializers.PreparedDecisionSerializer


def given_lines(request: Request, proposal: Proposal, lines: list[dict[str, Any]]) -> list[AwardAsk]:
    """Lines of a body as an award takes them; 404 for a line or a pool that there is not."""
    pools = Pool.objects.visible_to(request.user).select_related("gpu_class")
    return [
        AwardAsk(
            request_line=get_object_or_404(proposal.lines.all(), pk=line["request_line"]),
            pool=get_object_or_404(pools, public_id=line["pool"]),
            **{name: value for name, value in line.items() if name not in ("request_line", "pool")},
        )
        for line in lines
    ]


class OutcomeActions:
    """What a proposal's own resource has of it."""

    @extend_schema(request=WrittenReasonSerializer, responses=_PROPOSAL)
    @action(detail=True, methods=["post"])
    def hold(self, request: Request, public_id: str) -> Response:
        """Decide it later (officers)."""
        return cast(Any, self)._reasoned(decisions.hold, request)

    @extend_schema(request=None, responses=_PROPOSAL)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, public_id: str) -> Response:
        """Take a held one up again (officers)."""
        own = cast(Any, self)
        return own._shown(decisions.resume(actor=request.user, proposal=own.get_object()))

    @extend_schema(request=WrittenReasonSerializer, responses=_PROPOSAL)
    @action(detail=True, methods=["post"])
    def appeal(self, request: Request, public_id: str) -> Response:
        """Appeal against a refusal, once (owners and managers)."""
        return self._about_appeal(appealing.appeal, request)

    @extend_schema(request=WrittenReasonSerializer, responses=_PROPOSAL)
    @action(detail=True, methods=["post"])
    def dismiss(self, request: Request, public_id: str) -> Response:
        """Dismiss the appeal (an officer who did not decide)."""
        return self._about_appeal(appealing.dismiss, request)

    @extend_schema(request=WrittenReasonSerializer, responses=_PROPOSAL)
    @action(detail=True, methods=["post"])
    def uphold(self, request: Request, public_id: str) -> Response:
        """Uphold the appeal: in review again (an officer who did not decide)."""
        return self._about_appeal(appealing.uphold, request)

    def _about_appeal(self, verb: Any, request: Request) -> Response:
        own = cast(Any, self)
        proposal = own.get_object()
        ask = body_of(WrittenReasonSerializer, request)
        return own._shown(verb(actor=request.user, proposal=proposal, **ask).proposal)


@extend_schema_view(discard=extend_schema(request=None, responses=_PREPARED))
class PreparedDecisionViewSet(ReadViewSet):
    """Decisions before they are said; the agency's alone."""

    queryset = listed_prepared(PreparedDecision.objects.all()).prefetch_related("lines__pool")
    serializer_class = _PREPARED
    filterset_class = PreparedFilter

    @extend_schema(request=serializers.PrepareSerializer, responses={201: _PREPARED})
    def create(self, request: Request) -> Response:
        """Prepare a decision, or change what is prepared (officers)."""
        ask = body_of(serializers.PrepareSerializer, request)
        mine = Proposal.objects.visible_to(request.user)
        proposal = get_object_or_404(mine, public_id=ask.pop("proposal"))
        require(request.user, may_decide)
        ask["lines"] = given_lines(request, proposal, ask["lines"])
        made = preparing.prepare(actor=request.user, proposal=proposal, **ask)
        return self._shown(made, status.HTTP_201_CREATED)

    @extend_schema(request=serializers.PrepareDeclinesSerializer, responses={201: _PREPARED(many=True)}, filters=False)
    @action(detail=False, methods=["post"], filterset_class=None, pagination_class=None)
    def decline(self, request: Request) -> Response:
        """Prepare to decline many with one reason (officers)."""
        staff_only(request.user)
        ask = body_of(serializers.PrepareDeclinesSerializer, request)
        require(request.user, may_decide)
        wanted = set(ask["proposals"])
        found = list(Proposal.objects.visible_to(request.user).filter(public_id__in=wanted))
        if len(found) != len(wanted):
            raise Http404
        made = preparing.prepare_declines(actor=request.user, proposals=found, reason=ask["reason"])
        rows = self.get_queryset().filter(pk__in=[row.pk for row in made])
        return Response(_PREPARED(rows, many=True).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=serializers.VersionSerializer, responses=_PREPARED)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, public_id: str) -> Response:
        """The second person says yes to the version that they read."""
        row, ask = self.get_object(), body_of(serializers.VersionSerializer, request)
        return self._shown(preparing.approve(actor=request.user, prepared=row, **ask))

    @action(detail=True, methods=["post"])
    def discard(self, request: Request, public_id: str) -> Response:
        """It is not going to be said."""
        return self._shown(preparing.discard(actor=request.user, prepared=self.get_object()))

    @extend_schema(
        request=serializers.ReleaseSerializer, responses=serializers.OutcomeSerializer(many=True), filters=False
    )
    @action(detail=False, methods=["post"], filterset_class=None, pagination_class=None)
    def release(self, request: Request) -> Response:
        """Release these together, all or none; or say what would come of it."""
        staff_only(request.user)
        ask = body_of(serializers.ReleaseSerializer, request)
        require(request.user, may_decide)
        wanted = set(ask["prepared"])
        rows = list(self.get_queryset().filter(public_id__in=wanted).select_related("proposal"))
        if len(rows) != len(wanted):
            raise Http404
        if ask["dry_run"]:
            told = [_outcome(each.prepared, each.error) for each in releasing.trial(actor=request.user, prepared=rows)]
        else:
            releasing.release(actor=request.user, prepared=rows, seen=ask.get("versions"))
            told = [_outcome(row, None, released=True) for row in rows]
        return Response(serializers.OutcomeSerializer(told, many=True).data)

    @extend_schema(
        parameters=[OpenApiParameter("call", str)],
        responses=serializers.PoolSumSerializer(many=True),
        filters=False,
    )
    @action(detail=False, filterset_class=None, pagination_class=None)
    def sums(self, request: Request) -> Response:
        """What is prepared adds up to, by pool; beside the budget of `call` where one is named."""
        staff_only(request.user)
        call = request.query_params.get("call")
        calls = Call.objects.visible_to(request.user)
        found = get_object_or_404(calls, public_id=call) if call and "\x00" not in call else None
        return Response(serializers.PoolSumSerializer(pool_sums(found), many=True).data)

    def _shown(self, row: PreparedDecision, code: int = status.HTTP_200_OK) -> Response:
        return Response(_PREPARED(self.get_queryset().get(pk=row.pk)).data, status=code)


def _outcome(row: PreparedDecision, error: Any, *, released: bool = False) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "proposal": row.proposal.public_id,
        "released": released,
        "code": error.code if error else "",
        "problem": str(error) if error else "",
    }


class LetterViewSet(ReadViewSet):
    """Letters as they were sent."""

    queryset = DecisionLetter.objects.select_related("proposal")
    serializer_class = serializers.LetterSerializer


class LetterTextViewSet(viewsets.ViewSet):
    """The texts that letters are made of; the agency's."""

    lookup_field = "kind"
    lookup_value_regex = "[a-z0-9-]+"

    @extend_schema(responses=serializers.LetterTextSerializer(many=True))
    def list(self, request: Request) -> Response:
        """All of them."""
        staff_only(request.user)
        rows = [letters.text_of(kind) for kind in STANDARD]
        return Response(serializers.LetterTextSerializer(rows, many=True).data)

    @extend_schema(responses=serializers.LetterTextSerializer)
    def retrieve(self, request: Request, kind: str) -> Response:
        """One of them."""
        staff_only(request.user)
        return Response(serializers.LetterTextSerializer(self._text(kind)).data)

    @extend_schema(request=serializers.LetterTextSerializer, responses=serializers.LetterTextSerializer)
    def update(self, request: Request, kind: str) -> Response:
        """Save the agency's own; `version` is the one that was read (officers)."""
        staff_only(request.user)
        self._text(kind)
        ask = body_of(serializers.LetterTextSerializer, request)
        made = letters.change_text(actor=request.user, kind=kind, version=ask.pop("version"), texts=ask)
        return Response(serializers.LetterTextSerializer(made).data)

    def _text(self, kind: str) -> Any:
        if kind not in STANDARD:
            raise Http404
        return letters.text_of(kind)
