"""An organisation's profile, to the API: four kinds of rows, read by those who see the organisation."""

from collections.abc import Callable
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from common.api import ReadViewSet
from partners.api.bodies import body_of
from partners.filters import ContactFilter, DepartmentFilter, RelationFilter, ShareholderFilter
from partners.models import Contact, Department, Organisation, Relation, Shareholder
from partners.serializers import profile as shapes
from partners.services import contacts, related

OFFICERS, MANAGERS = "officers", "managers of the organisation, officers"


class _Rows(ReadViewSet):
    """Written down under the organisation that the body names, and taken away; `row` is what the verbs call one."""

    row: str
    new: Any
    save: Callable[..., Any]
    remove: Callable[..., Any]

    def create(self, request: Request) -> Response:
        """Write one down."""
        ask = body_of(self.new, request)
        mine = Organisation.objects.visible_to(request.user)
        organisation = get_object_or_404(mine, public_id=ask.pop("organisation"))
        made = self.save(actor=request.user, organisation=organisation, **ask)
        return Response(self.get_serializer(made).data, status=status.HTTP_201_CREATED)

    def destroy(self, request: Request, public_id: str) -> Response:
        """It is not so any more."""
        self.remove(actor=request.user, **{self.row: self.get_object()})
        return Response(status=status.HTTP_204_NO_CONTENT)


class _EditedRows(_Rows):
    """Rows that can be put right."""

    write: Any

    def partial_update(self, request: Request, public_id: str) -> Response:
        """Put it right: all of it."""
        found: Any = self.get_object()
        ask = body_of(self.write, request)
        saved = self.save(actor=request.user, organisation=found.organisation, **{self.row: found}, **ask)
        return Response(self.get_serializer(saved).data)


def _told(shown: Any, new: Any, who: str, write: Any = None) -> Any:
    """What the schema says of the verbs of a kind of rows, and who may send them."""
    words = {
        "create": extend_schema(request=new, responses={201: shown}, description=f"Write one down ({who})."),
        "destroy": extend_schema(description=f"It is not so any more ({who})."),
    }
    if write:
        description = f"Put it right: all of it ({who})."
        words["partial_update"] = extend_schema(request=write, responses=shown, description=description)
    return extend_schema_view(**words)


@_told(shapes.ShareholderSerializer, shapes.NewShareholderSerializer, OFFICERS, shapes.WriteShareholderSerializer)
class ShareholderViewSet(_EditedRows):
    """Who holds parts of organisations."""

    queryset = Shareholder.objects.select_related("organisation", "holder")
    serializer_class, filterset_class = shapes.ShareholderSerializer, ShareholderFilter
    row, new, write = "shareholder", shapes.NewShareholderSerializer, shapes.WriteShareholderSerializer
    save, remove = staticmethod(related.set_shareholder), staticmethod(related.remove_shareholder)


@_told(shapes.RelationSerializer, shapes.NewRelationSerializer, OFFICERS)
class RelationViewSet(_Rows):
    """Which organisations are of one house."""

    queryset = Relation.objects.select_related("organisation", "other")
    serializer_class, filterset_class = shapes.RelationSerializer, RelationFilter
    row, new = "relation", shapes.NewRelationSerializer
    save, remove = staticmethod(related.add_relation), staticmethod(related.remove_relation)


@_told(shapes.ContactSerializer, shapes.NewContactSerializer, MANAGERS, shapes.WriteContactSerializer)
class ContactViewSet(_EditedRows):
    """Whom to reach at organisations."""

    queryset = Contact.objects.select_related("organisation")
    serializer_class, filterset_class = shapes.ContactSerializer, ContactFilter
    row, new, write = "contact", shapes.NewContactSerializer, shapes.WriteContactSerializer
    save, remove = staticmethod(contacts.set_contact), staticmethod(contacts.remove_contact)


@_told(shapes.DepartmentSerializer, shapes.NewDepartmentSerializer, MANAGERS, shapes.WriteDepartmentSerializer)
class DepartmentViewSet(_EditedRows):
    """Parts of organisations."""

    queryset = Department.objects.select_related("organisation")
    serializer_class, filterset_class = shapes.DepartmentSerializer, DepartmentFilter
    row, new, write = "department", shapes.NewDepartmentSerializer, shapes.WriteDepartmentSerializer
    save, remove = staticmethod(contacts.set_department), staticmethod(contacts.remove_department)
