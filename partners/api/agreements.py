"""Agreements, to the API."""

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from common.api import ReadViewSet
from partners import serializers
from partners.api.bodies import body_of
from partners.api.signing import SigningMixin
from partners.filters import AgreementFilter
from partners.models import Agreement, Organisation
from partners.services import agreements


class AgreementViewSet(SigningMixin, ReadViewSet):
    """MOUs: what a partner may ask for."""

    queryset = Agreement.objects.select_related("organisation", "renews").prefetch_related("signatures")
    serializer_class = serializers.AgreementSerializer
    filterset_class = AgreementFilter

    def _shown(self, agreement: Agreement, code: int = status.HTTP_200_OK) -> Response:
        fresh = self.get_queryset().get(pk=agreement.pk)
        return Response(serializers.AgreementSerializer(fresh).data, status=code)

    @extend_schema(request=serializers.RegisterAgreementSerializer, responses={201: serializers.AgreementSerializer})
    def create(self, request: Request) -> Response:
        """Register a draft (officers). Its document is uploaded next: `document/`, then both sides sign."""
        ask = body_of(serializers.RegisterAgreementSerializer, request)
        mine = Organisation.objects.visible_to(request.user)
        organisation = get_object_or_404(mine, public_id=ask.pop("organisation"))
        old, theirs = ask.pop("renews", None), self.get_queryset().filter(organisation=organisation)
        renews = get_object_or_404(theirs, public_id=old) if old else None
        made = agreements.register_agreement(
            actor=request.user, organisation=organisation, terms=agreements.AgreementTerms(**ask), renews=renews
        )
        return self._shown(made, status.HTTP_201_CREATED)

    @extend_schema(request=serializers.EditAgreementSerializer, responses=serializers.AgreementSerializer)
    def partial_update(self, request: Request, public_id: str) -> Response:
        """Change a draft: all of its terms (officers). Signatures under it are void then."""
        agreement = self.get_object()
        ask = body_of(serializers.EditAgreementSerializer, request)
        revision = ask.pop("revision", None)
        terms = agreements.AgreementTerms(**ask)
        return self._shown(
            agreements.edit_agreement(actor=request.user, agreement=agreement, terms=terms, revision=revision)
        )

    @extend_schema(request=serializers.DocumentSerializer, responses=serializers.AgreementSerializer)
    @action(detail=True, methods=["post"], parser_classes=[MultiPartParser])
    def document(self, request: Request, public_id: str) -> Response:
        """Put the document to a draft, or replace it (officers)."""
        agreement = self.get_object()
        ask = body_of(serializers.DocumentSerializer, request)
        return self._shown(agreements.attach_document(actor=request.user, agreement=agreement, **ask))

    @extend_schema(request=None, responses=serializers.AgreementSerializer)
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, public_id: str) -> Response:
        """Put a draft into force; both sides must have signed its document."""
        return self._shown(agreements.activate(actor=request.user, agreement=self.get_object()))

    @extend_schema(request=serializers.WrittenReasonSerializer, responses=serializers.AgreementSerializer)
    @action(detail=True, methods=["post"])
    def suspend(self, request: Request, public_id: str) -> Response:
        """Stop new asks, awards and bookings for now."""
        agreement = self.get_object()
        ask = body_of(serializers.WrittenReasonSerializer, request)
        return self._shown(agreements.suspend(actor=request.user, agreement=agreement, **ask))

    @extend_schema(request=None, responses=serializers.AgreementSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, public_id: str) -> Response:
        """Undo a suspension."""
        return self._shown(agreements.resume(actor=request.user, agreement=self.get_object()))

    @extend_schema(request=serializers.WrittenReasonSerializer, responses=serializers.AgreementSerializer)
    @action(detail=True, methods=["post"])
    def terminate(self, request: Request, public_id: str) -> Response:
        """End it for good."""
        agreement = self.get_object()
        ask = body_of(serializers.WrittenReasonSerializer, request)
        return self._shown(agreements.terminate(actor=request.user, agreement=agreement, **ask))
