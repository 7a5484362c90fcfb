"""The API skin of organisations and agreements: the same verbs as the pages."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from common.api import ReadViewSet
from partners import serializers
from partners.filters import AgreementFilter, OrganisationFilter
from partners.models import Agreement, Organisation
from partners.selectors import people_of
from partners.services import agreements, invitations
from partners.services.organisations import edit_organisation, register_organisation


def body_of(serializer_class: Any, request: Request) -> dict[str, Any]:
    """The request's body in the serializer's shape; 400 where it has another."""
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    data: dict[str, Any] = serializer.validated_data
    return data


class OrganisationViewSet(ReadViewSet):
    """Partners, and the agency itself."""

    queryset = Organisation.objects.all()
    serializer_class = serializers.OrganisationSerializer
    filterset_class = OrganisationFilter

    @extend_schema(
        request=serializers.RegisterOrganisationSerializer, responses={201: serializers.OrganisationSerializer}
    )
    def create(self, request: Request) -> Response:
        """Register an organisation (officers)."""
        made = register_organisation(actor=request.user, **body_of(serializers.RegisterOrganisationSerializer, request))
        return Response(serializers.OrganisationSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=serializers.EditOrganisationSerializer, responses=serializers.OrganisationSerializer)
    def partial_update(self, request: Request, public_id: str) -> Response:
        """Change names or registration number (officers)."""
        organisation = self.get_object()
        ask = body_of(serializers.EditOrganisationSerializer, request)
        changed = edit_organisation(actor=request.user, organisation=organisation, **ask)
        return Response(serializers.OrganisationSerializer(changed).data)

    @extend_schema(responses=serializers.MemberSerializer(many=True))
    @action(detail=True, filterset_class=None)
    def members(self, request: Request, public_id: str) -> Response:
        """People and their roles."""
        page = self.paginate_queryset(people_of(self.get_object()))
        return self.get_paginated_response(serializers.MemberSerializer(page, many=True).data)

    @extend_schema(request=serializers.InviteSerializer, responses={201: serializers.InvitationSerializer})
    @action(detail=True, methods=["post"])
    def invite(self, request: Request, public_id: str) -> Response:
        """Invite an address by mail for a week."""
        organisation = self.get_object()
        ask = body_of(serializers.InviteSerializer, request)
        made = invitations.invite(actor=request.user, organisation=organisation, **ask)
        return Response(serializers.InvitationSerializer(made).data, status=status.HTTP_201_CREATED)


class AgreementViewSet(ReadViewSet):
    """MOUs: what a partner may ask for."""

    queryset = Agreement.objects.select_related("organisation")
    serializer_class = serializers.AgreementSerializer
    filterset_class = AgreementFilter

    def _shown(self, agreement: Agreement, code: int = status.HTTP_200_OK) -> Response:
        return Response(serializers.AgreementSerializer(agreement).data, status=code)

    @extend_schema(request=serializers.RegisterAgreementSerializer, responses={201: serializers.AgreementSerializer})
    def create(self, request: Request) -> Response:
        """Register a draft (officers). Its document is uploaded next: `document/`."""
        ask = body_of(serializers.RegisterAgreementSerializer, request)
        mine = Organisation.objects.visible_to(request.user)
        organisation = get_object_or_404(mine, public_id=ask.pop("organisation"))
        made = agreements.register_agreement(
            actor=request.user, organisation=organisation, terms=agreements.AgreementTerms(**ask)
        )
        return self._shown(made, status.HTTP_201_CREATED)

    @extend_schema(request=serializers.DocumentSerializer, responses=serializers.AgreementSerializer)
    @action(detail=True, methods=["post"], parser_classes=[MultiPartParser])
    def document(self, request: Request, public_id: str) -> Response:
        """Put the signed document to a draft, or replace it (officers)."""
        agreement = self.get_object()
        ask = body_of(serializers.DocumentSerializer, request)
        return self._shown(agreements.attach_document(actor=request.user, agreement=agreement, **ask))

    @extend_schema(request=None, responses=serializers.AgreementSerializer)
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, public_id: str) -> Response:
        """Put a draft into force; it needs its signed document."""
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
