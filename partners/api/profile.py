"""An organisation's profile, to the API."""

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from common.api import ReadViewSet
from partners.api.bodies import body_of
from partners.filters import ContactFilter, DepartmentFilter, RelationFilter, ShareholderFilter
from partners.models import Contact, Department, Organisation, Relation, Shareholder
from partners.serializers import profile as shapes
from partners.services import contacts, related


def _organisation(request: Request, public_id: str) -> Organisation:
    return get_object_or_404(Organisation.objects.visible_to(request.user), public_id=public_id)


class ShareholderViewSet(ReadViewSet):
    """Who holds parts of organisations."""

    queryset = Shareholder.objects.select_related("organisation", "holder")
    serializer_class = shapes.ShareholderSerializer
    filterset_class = ShareholderFilter

    @extend_schema(request=shapes.NewShareholderSerializer, responses={201: shapes.ShareholderSerializer})
    def create(self, request: Request) -> Response:
        """Write one down (officers)."""
        ask = body_of(shapes.NewShareholderSerializer, request)
        organisation = _organisation(request, ask.pop("organisation"))
        made = related.set_shareholder(actor=request.user, organisation=organisation, **ask)
        return Response(shapes.ShareholderSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=shapes.WriteShareholderSerializer, responses=shapes.ShareholderSerializer)
    def partial_update(self, request: Request, public_id: str) -> Response:
        """Put it right: all of it (officers)."""
        row: Shareholder = self.get_object()
        ask = body_of(shapes.WriteShareholderSerializer, request)
        saved = related.set_shareholder(actor=request.user, organisation=row.organisation, shareholder=row, **ask)
        return Response(shapes.ShareholderSerializer(saved).data)

    def destroy(self, request: Request, public_id: str) -> Response:
        """It is not so any more (officers)."""
        related.remove_shareholder(actor=request.user, shareholder=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


class RelationViewSet(ReadViewSet):
    """Which organisations are of one house."""

    queryset = Relation.objects.select_related("organisation", "other")
    serializer_class = shapes.RelationSerializer
    filterset_class = RelationFilter

    @extend_schema(request=shapes.NewRelationSerializer, responses={201: shapes.RelationSerializer})
    def create(self, request: Request) -> Response:
        """Write one down (officers)."""
        ask = body_of(shapes.NewRelationSerializer, request)
        organisation = _organisation(request, ask.pop("organisation"))
        made = related.add_relation(actor=request.user, organisation=organisation, **ask)
        return Response(shapes.RelationSerializer(made).data, status=status.HTTP_201_CREATED)

    def destroy(self, request: Request, public_id: str) -> Response:
        """It is not so any more (officers)."""
        related.remove_relation(actor=request.user, relation=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


class ContactViewSet(ReadViewSet):
    """Whom to reach at organisations."""

    queryset = Contact.objects.select_related("organisation")
    serializer_class = shapes.ContactSerializer
    filterset_class = ContactFilter

    @extend_schema(request=shapes.NewContactSerializer, responses={201: shapes.ContactSerializer})
    def create(self, request: Request) -> Response:
        """Write one down (managers of the organisation, officers)."""
        ask = body_of(shapes.NewContactSerializer, request)
        organisation = _organisation(request, ask.pop("organisation"))
        made = contacts.set_contact(actor=request.user, organisation=organisation, **ask)
        return Response(shapes.ContactSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=shapes.WriteContactSerializer, responses=shapes.ContactSerializer)
    def partial_update(self, request: Request, public_id: str) -> Response:
        """Put it right: all of it (managers of the organisation, officers)."""
        row: Contact = self.get_object()
        ask = body_of(shapes.WriteContactSerializer, request)
        saved = contacts.set_contact(actor=request.user, organisation=row.organisation, contact=row, **ask)
        return Response(shapes.ContactSerializer(saved).data)

    def destroy(self, request: Request, public_id: str) -> Response:
        """It is not so any more (managers of the organisation, officers)."""
        contacts.remove_contact(actor=request.user, contact=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


class DepartmentViewSet(ReadViewSet):
    """Parts of organisations."""

    queryset = Department.objects.select_related("organisation")
    serializer_class = shapes.DepartmentSerializer
    filterset_class = DepartmentFilter

    @extend_schema(request=shapes.NewDepartmentSerializer, responses={201: shapes.DepartmentSerializer})
    def create(self, request: Request) -> Response:
        """Write one down (managers of the organisation, officers)."""
        ask = body_of(shapes.NewDepartmentSerializer, request)
        organisation = _organisation(request, ask.pop("organisation"))
        made = contacts.set_department(actor=request.user, organisation=organisation, **ask)
        return Response(shapes.DepartmentSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=shapes.WriteDepartmentSerializer, responses=shapes.DepartmentSerializer)
    def partial_update(self, request: Request, public_id: str) -> Response:
        """Put it right: all of it (managers of the organisation, officers)."""
        row: Department = self.get_object()
        ask = body_of(shapes.WriteDepartmentSerializer, request)
        saved = contacts.set_department(actor=request.user, organisation=row.organisation, department=row, **ask)
        return Response(shapes.DepartmentSerializer(saved).data)

    def destroy(self, request: Request, public_id: str) -> Response:
        """It is not so any more (managers of the organisation, officers)."""
        contacts.remove_department(actor=request.user, department=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
