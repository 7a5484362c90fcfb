"""Files, submissions and copies of a proposal, to the API."""

from typing import Any

from django.db.models import QuerySet
from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.rules import is_agency
from common.api import VisibleViewSet
from common.errors import RuleBroken
from common.permissions import allowed
from partners.api import body_of
from partners.models import Agreement
from partners.rules import role_in
from proposals import serializers
from proposals.downloads import download
from proposals.models import Attachment, Call, Proposal
from proposals.review_filters import NamedFileFilter
from proposals.selectors import compare
from proposals.selectors.versions import asked_for, named
from proposals.services.attachments import attach, remove
from proposals.services.cloning import copy_proposal

_NUMBER = OpenApiTypes.INT


class ContentActions:
    """What ProposalViewSet does with the parts of a proposal."""

    @extend_schema(request=serializers.NewAttachmentSerializer, responses={201: serializers.AttachmentSerializer})
    @action(detail=True, methods=["post"], parser_classes=[MultiPartParser])
    def attach(self, request: Request, public_id: str) -> Response:
        """Put a file to a draft, or answer a question with it."""
        proposal: Proposal = self.get_object()  # type: ignore[attr-defined]
        ask = body_of(serializers.NewAttachmentSerializer, request)
        question = None
        if ask.get("question"):
            question = get_object_or_404(proposal.call.questions.all(), public_id=ask["question"])
        made = attach(actor=request.user, proposal=proposal, upload=ask["file"], question=question)
        return Response(
            serializers.AttachmentSerializer(made, context={"request": request}).data, status=status.HTTP_201_CREATED
        )

    @extend_schema(responses=serializers.AttachmentSerializer(many=True))
    @action(detail=True, pagination_class=None, filter_backends=[])
    def attachments(self, request: Request, public_id: str) -> Response:
        """Its files, those of earlier submissions included."""
        proposal: Proposal = self.get_object()  # type: ignore[attr-defined]
        rows = Attachment.objects.visible_to(request.user).filter(proposal=proposal).select_related("proposal__call")
        return Response(serializers.AttachmentSerializer(rows, many=True, context={"request": request}).data)

    @extend_schema(responses=serializers.SubmissionSerializer(many=True))
    @action(detail=True, pagination_class=None, filter_backends=[])
    def versions(self, request: Request, public_id: str) -> Response:
        """What was submitted, newest first, each with the hash of its content."""
        rows = self._whole(request).versions.select_related("submitted_by")
        return Response(serializers.SubmissionSerializer(rows, many=True).data)

    @extend_schema(
        parameters=[OpenApiParameter("from", _NUMBER), OpenApiParameter("to", _NUMBER)],
        responses=serializers.ChangesSerializer,
    )
    @action(detail=True, pagination_class=None, filter_backends=[])
    def changes(self, request: Request, public_id: str) -> Response:
        """What differs between two submissions, the last two unless `from` and `to` are given."""
        versions = list(self._whole(request).versions.all())
        query = request.query_params
        older, newer = asked_for(versions, query.get("from", ""), query.get("to", ""))
        if older is None or newer is None:
            raise RuleBroken(_("There are no two submissions to compare."), code="nothing_to_compare")
        changes = compare(*named(older.content, newer.content))
        return Response(serializers.changes_json(older.version, newer.version, changes))

    @extend_schema(request=serializers.CopySerializer, responses={201: serializers.CopiedSerializer})
    @action(detail=True, methods=["post"])
    def copy(self, request: Request, public_id: str) -> Response:
        """A new draft of it in another open call."""
        proposal: Proposal = self.get_object()  # type: ignore[attr-defined]
        ask = body_of(serializers.CopySerializer, request)
        call = get_object_or_404(Call.objects.visible_to(request.user), public_id=ask["call"])
        mine = Agreement.objects.visible_to(request.user)
        agreement = get_object_or_404(mine, public_id=ask.get("agreement") or proposal.agreement.public_id)
        copied = copy_proposal(actor=request.user, proposal=proposal, call=call, agreement=agreement)
        body = {"id": copied.proposal.public_id, "left_out": list(copied.left_out)}
        return Response(body, status=status.HTTP_201_CREATED)

    def _whole(self, request: Request) -> Proposal:
        """The proposal, for those who may read all of it: its organisation and the agency."""
        proposal: Proposal = self.get_object()  # type: ignore[attr-defined]
        user: Any = request.user
        if not user.is_agency and not role_in(user, proposal.organisation):
            self.permission_denied(request)  # type: ignore[attr-defined]
        return proposal


class NamedFileViewSet(mixins.ListModelMixin, VisibleViewSet):
    """Files of blind calls, and the names of whoever proposes that were found in them; for the agency."""

    queryset = Attachment.objects.select_related("proposal__organisation", "proposal__call").order_by("pk")
    serializer_class = serializers.AttachmentSerializer
    filterset_class = NamedFileFilter

    def get_queryset(self) -> QuerySet[Any]:
        if not getattr(self, "swagger_fake_view", False) and not allowed(self.request.user, is_agency):
            raise Http404
        rows: Any = super().get_queryset()
        return rows if getattr(self, "swagger_fake_view", False) else rows.in_blind_review()


class AttachmentViewSet(mixins.RetrieveModelMixin, VisibleViewSet):
    """Files of proposals."""

    queryset = Attachment.objects.select_related("proposal__organisation", "proposal__call")
    serializer_class = serializers.AttachmentSerializer
    filter_backends = ()

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, public_id: str) -> Response:
        """Take a file away from a draft; earlier submissions keep it."""
        remove(actor=request.user, attachment=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    @action(detail=True)
    def file(self, request: Request, public_id: str) -> FileResponse:
        """The bytes, as a download."""
        return download(self.get_object())
