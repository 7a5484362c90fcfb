"""Organisations, to the API."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from common.api import ReadViewSet
from partners import serializers
from partners.api.bodies import body_of
from partners.filters import OrganisationFilter
from partners.models import Organisation
from partners.policy import Wish
from partners.selectors import answer_for, people_of
from partners.services import invitations
from partners.services.organisations import edit_organisation, register_organisation


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

    @extend_schema(request=serializers.WishSerializer, responses=serializers.AnswerSerializer)
    @action(detail=True, methods=["post"], url_path="may")
    def may(self, request: Request, public_id: str) -> Response:
        """Ask what the organisation may do, now or then; nothing is changed by asking."""
        organisation = self.get_object()
        wish = Wish(**body_of(serializers.WishSerializer, request))
        return Response(serializers.AnswerSerializer(answer_for(organisation, wish)).data)

    @extend_schema(request=serializers.InviteSerializer, responses={201: serializers.InvitationSerializer})
    @action(detail=True, methods=["post"])
    def invite(self, request: Request, public_id: str) -> Response:
        """Invite an address by mail for a week."""
        organisation = self.get_object()
        ask = body_of(serializers.InviteSerializer, request)
        made = invitations.invite(actor=request.user, organisation=organisation, **ask)
        return Response(serializers.InvitationSerializer(made).data, status=status.HTTP_201_CREATED)
