"""The API skin of one's own account and of the agency's people: the same verbs as the pages."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import serializers, services
from accounts.filters import PeopleFilter
from accounts.models import ApiToken, SshKey, User
from accounts.rules import is_administrator
from accounts.selectors import agency_people
from common.api import ReadViewSet


def _body(serializer: Any) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    data: dict[str, Any] = serializer.validated_data
    return data


class MeView(APIView):
    """Who I am to the portal."""

    @extend_schema(responses=serializers.ProfileSerializer)
    def get(self, request: Request) -> Response:
        """The caller's own profile."""
        return Response(serializers.ProfileSerializer(request.user).data)

    @extend_schema(request=serializers.ProfileSerializer, responses=serializers.ProfileSerializer)
    def patch(self, request: Request) -> Response:
        """Change name, language or time zone."""
        user = request.user
        present = {"name": user.name, "language": user.language, "time_zone": user.time_zone}
        ask = _body(serializers.ProfileSerializer(user, data=request.data, partial=True))
        return Response(serializers.ProfileSerializer(services.update_profile(actor=user, **{**present, **ask})).data)


class SshKeyViewSet(ReadViewSet):
    """One's own SSH keys."""

    queryset = SshKey.objects.all()
    serializer_class = serializers.SshKeySerializer

    @extend_schema(request=serializers.SshKeySerializer, responses={201: serializers.SshKeySerializer})
    def create(self, request: Request) -> Response:
        """Add a public key."""
        ask = _body(serializers.SshKeySerializer(data=request.data))
        key = services.add_ssh_key(actor=request.user, **ask)
        return Response(serializers.SshKeySerializer(key).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, public_id: str) -> Response:
        """Remove a key."""
        services.remove_ssh_key(actor=request.user, key=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


class ApiTokenViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """One's own tokens. Made on the portal only: a stolen token must not be able to make its own successor."""

    queryset = ApiToken.objects.none()
    serializer_class = serializers.ApiTokenSerializer
    lookup_field = "public_id"
    lookup_value_regex = "[a-z0-9-]+"

    def get_queryset(self) -> QuerySet[ApiToken]:
        if getattr(self, "swagger_fake_view", False):
            return ApiToken.objects.none()
        return ApiToken.objects.filter(user=self.request.user)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, public_id: str) -> Response:
        """Revoke a token; it stops working at once."""
        services.revoke_api_token(actor=request.user, token=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


class PersonViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """People of the agency and their roles (administrators)."""

    queryset = User.objects.none()
    serializer_class = serializers.PersonSerializer
    filterset_class = PeopleFilter
    lookup_field = "public_id"
    lookup_value_regex = "[a-z0-9-]+"

    def get_queryset(self) -> QuerySet[User]:
        if getattr(self, "swagger_fake_view", False) or not is_administrator.test(self.request.user, None):
            return agency_people().none()
        return agency_people().order_by("name", "pk")

    @extend_schema(request=serializers.RoleGrantSerializer, responses=serializers.PersonSerializer)
    @action(detail=False, methods=["post"], url_path="grant-role", filterset_class=None)
    def grant_role(self, request: Request) -> Response:
        """Give an account a role, by its e-mail address."""
        ask = _body(serializers.RoleGrantSerializer(data=request.data))
        people = User.objects.all() if is_administrator.test(request.user, None) else User.objects.none()
        person = get_object_or_404(people, email=ask["email"].lower(), is_active=True)
        services.grant_agency_role(actor=request.user, user=person, role=ask["role"])
        return Response(serializers.PersonSerializer(agency_people().get(pk=person.pk)).data)

    @extend_schema(request=serializers.RoleSerializer, responses={204: None})
    @action(detail=True, methods=["post"], url_path="revoke-role", filterset_class=None)
    def revoke_role(self, request: Request, public_id: str) -> Response:
        """Take a role away."""
        person = self.get_object()
        ask = _body(serializers.RoleSerializer(data=request.data))
        services.revoke_agency_role(actor=request.user, user=person, role=ask["role"])
        return Response(status=status.HTTP_204_NO_CONTENT)
