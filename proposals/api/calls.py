"""Calls, to the API."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from common.api import ReadViewSet
from common.web import staff_only
from partners.api import body_of
from partners.serializers import WrittenReasonSerializer
from proposals.filters import CallFilter
from proposals.models import Call
from proposals.selectors.call_figures import figures_of
from proposals.selectors.eligibility import standings
from proposals.serializers import calls as serializers
from proposals.services import call_documents, calls
from proposals.terms import CallTerms, CriterionTerms, DateTerms, Offer, QuestionTerms, StepTerms, mark_of

ROW_SHAPES = {
    "offers": Offer,
    "criteria": CriterionTerms,
    "questions": QuestionTerms,
    "steps": StepTerms,
    "dates": DateTerms,
}
ALL_PARTS = tuple(CallTerms.__dataclass_fields__)


class CallViewSet(ReadViewSet):
    """Invitations to propose."""

    queryset = Call.objects.prefetch_related("pools")
    serializer_class = serializers.CallSerializer
    filterset_class = CallFilter

    @extend_schema(responses=serializers.WholeCallSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One call with its criteria, questions, dates and documents."""
        return self._whole(self.get_object())

    @extend_schema(request=serializers.NewCallSerializer, responses={201: serializers.WholeCallSerializer})
    def create(self, request: Request) -> Response:
        """Begin a draft (officers)."""
        ask = body_of(serializers.NewCallSerializer, request)
        return self._whole(calls.create_call(actor=request.user, **ask), status.HTTP_201_CREATED)

    @extend_schema(request=serializers.EditCallSerializer, responses=serializers.WholeCallSerializer)
    def partial_update(self, request: Request, public_id: str) -> Response:
        """Change a draft in everything; an open call in its words, a later cut-off, larger budgets (officers)."""
        call = self.get_object()
        ask = body_of(serializers.EditCallSerializer, request)
        mark = ask.pop("version", "")
        changes = serializers.changes_from(ask, ROW_SHAPES)
        calls.edit_call(actor=request.user, call=call, changes=changes, opened_on=mark, opened_parts=ALL_PARTS)
        return self._whole(self.get_object())

    @extend_schema(responses=serializers.CallTermsSerializer)
    @action(detail=True)
    def terms(self, request: Request, public_id: str) -> Response:
        """All that a call says, with the version that a change may name (agency)."""
        staff_only(request.user)
        call = self.get_object()
        terms = calls.terms_of(call)
        said = {**vars(terms), "stage": call.stage, "version": mark_of(terms, ALL_PARTS)}
        return Response(serializers.CallTermsSerializer(said).data)

    @extend_schema(request=serializers.PublishCallSerializer, responses=serializers.WholeCallSerializer)
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, public_id: str) -> Response:
        """Show it to everybody, now or from a later moment on (officers)."""
        call = self.get_object()
        ask = body_of(serializers.PublishCallSerializer, request)
        return self._whole(calls.publish_call(actor=request.user, call=call, **ask))

    @extend_schema(request=None, responses={201: serializers.WholeCallSerializer})
    @action(detail=True, methods=["post"])
    def copy(self, request: Request, public_id: str) -> Response:
        """A new draft that says the same but for its dates (officers)."""
        made = calls.copy_call(actor=request.user, call=self.get_object())
        return self._whole(made, status.HTTP_201_CREATED)

    @extend_schema(request=WrittenReasonSerializer, responses=serializers.WholeCallSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        """Cancel a draft (officers)."""
        call = self.get_object()
        ask = body_of(WrittenReasonSerializer, request)
        return self._whole(calls.cancel_call(actor=request.user, call=call, **ask))

    @extend_schema(request=serializers.UploadSerializer, responses={201: serializers.CallDocumentSerializer})
    @action(detail=True, methods=["post"], parser_classes=[MultiPartParser])
    def documents(self, request: Request, public_id: str) -> Response:
        """Put a file to it (officers)."""
        call = self.get_object()
        ask = body_of(serializers.UploadSerializer, request)
        made = call_documents.add_document(actor=request.user, call=call, upload=ask["document"])
        return Response(serializers.CallDocumentSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=serializers.WhichDocumentSerializer, responses=serializers.WholeCallSerializer)
    @action(detail=True, methods=["post"])
    def remove_document(self, request: Request, public_id: str) -> Response:
        """Take a file away from a draft (officers)."""
        call = self.get_object()
        ask = body_of(serializers.WhichDocumentSerializer, request)
        document = get_object_or_404(call.documents, public_id=ask["document"])
        call_documents.remove_document(actor=request.user, call=call, document=document)
        return self._whole(call)

    @extend_schema(responses=serializers.StandingSerializer(many=True))
    @action(detail=True, pagination_class=None, filterset_class=None)
    def eligibility(self, request: Request, public_id: str) -> Response:
        """Whether one's own organisations may propose, and why (not)."""
        found = standings(self.get_object(), request.user)
        return Response(serializers.StandingSerializer(found, many=True).data)

    @extend_schema(responses=serializers.CallFiguresSerializer)
    @action(detail=True)
    def figures(self, request: Request, public_id: str) -> Response:
        """What it achieved, and what is left of its budgets (agency)."""
        staff_only(request.user)
        return Response(serializers.CallFiguresSerializer(figures_of(self.get_object())).data)

    def _whole(self, call: Call, code: int = status.HTTP_200_OK) -> Response:
        return Response(serializers.WholeCallSerializer(call).data, status=code)
