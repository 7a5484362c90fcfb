"""Organisations, to the API."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from common.api import ReadViewSet
from partners import serializers
from partners.api.bodies import body_of
from partners.filters import OrganisationFilter
from partners.models import Membership, Organisation
from partners.policy import Wish
from partners.selectors import answer_for, people_of
from partners.services import contacts, invitations, members
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
        """Change names, registration number or facts (officers)."""
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

    def _asked(self, serializer_class: Any, request: Request) -> tuple[Membership, dict[str, Any]]:
        """The member whom the body names, of this organisation only, and the body.

        The organisation comes first: whoever may not see it is told nothing of the body.
        """
        rows = self.get_object().memberships.select_related("user", "organisation")
        ask = body_of(serializer_class, request)
        return get_object_or_404(rows, user__public_id=ask["user"]), ask

    @extend_schema(request=serializers.MemberRoleSerializer, responses=serializers.MemberSerializer)
    @action(detail=True, methods=["post"], url_path="change-role")
    def change_role(self, request: Request, public_id: str) -> Response:
        """Give a member another role; only owners and officers make or unmake owners."""
        row, ask = self._asked(serializers.MemberRoleSerializer, request)
        changed = members.change_role(actor=request.user, membership=row, role=ask["role"])
        return Response(serializers.MemberSerializer(changed).data)

    @extend_schema(request=serializers.PersonSerializer, responses={204: None})
    @action(detail=True, methods=["post"], url_path="remove-member")
    def remove_member(self, request: Request, public_id: str) -> Response:
        """Take somebody out, or leave; the last owner stays."""
        row, _ask = self._asked(serializers.PersonSerializer, request)
        members.remove_member(actor=request.user, membership=row)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=serializers.PersonSerializer, responses=serializers.OrganisationSerializer)
    @action(detail=True, methods=["post"])
    def transfer(self, request: Request, public_id: str) -> Response:
        """Hand the ownership over: the member becomes an owner, you a manager."""
        row, _ask = self._asked(serializers.PersonSerializer, request)
        given = members.transfer_ownership(actor=request.user, organisation=row.organisation, to=row)  # type: ignore[arg-type]
        return Response(serializers.OrganisationSerializer(given).data)

    @extend_schema(request=serializers.MoveSerializer, responses=serializers.MemberSerializer)
    @action(detail=True, methods=["post"], url_path="move-member")
    def move_member(self, request: Request, public_id: str) -> Response:
        """Put a member into a department, or into none."""
        row, ask = self._asked(serializers.MoveSerializer, request)
        department = contacts.department_of(row.organisation, ask["department"] or "")
        moved = contacts.move_member(actor=request.user, membership=row, department=department)
        return Response(serializers.MemberSerializer(moved).data)

    @extend_schema(request=serializers.WishSerializer, responses=serializers.PolicyAnswerSerializer)
    @action(detail=True, methods=["post"], url_path="may")
    def may(self, request: Request, public_id: str) -> Response:
        """Ask what the organisation may do, now or then; nothing is changed by asking."""
        organisation = self.get_object()
        wish = Wish(**body_of(serializers.WishSerializer, request))
        return Response(serializers.PolicyAnswerSerializer(answer_for(organisation, wish)).data)

    @extend_schema(request=serializers.InviteSerializer, responses={201: serializers.InvitationSerializer})
    @action(detail=True, methods=["post"])
    def invite(self, request: Request, public_id: str) -> Response:
        """Invite an address by mail for a week."""
        organisation = self.get_object()
        ask = body_of(serializers.InviteSerializer, request)
        made = invitations.invite(actor=request.user, organisation=organisation, **ask)
        return Response(serializers.InvitationSerializer(made).data, status=status.HTTP_201_CREATED)
