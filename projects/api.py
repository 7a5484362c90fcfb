"""The API skin of projects: the same verbs as the pages."""

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from common.api import ReadViewSet
from projects import serializers, services
from projects.filters import ProjectFilter
from projects.models import Project
from projects.selectors import team_of


class ProjectViewSet(ReadViewSet):
    """What awarded proposals became."""

    queryset = Project.objects.select_related("organisation", "agreement")
    serializer_class = serializers.ProjectSerializer
    filterset_class = ProjectFilter

    @extend_schema(responses=serializers.TeamMemberSerializer(many=True))
    @action(detail=True, filterset_class=None)
    def team(self, request: Request, public_id: str) -> Response:
        """Who works on it."""
        page = self.paginate_queryset(team_of(self.get_object()))
        return self.get_paginated_response(serializers.TeamMemberSerializer(page, many=True).data)

    @extend_schema(request=serializers.TeamChangeSerializer, responses={201: serializers.TeamMemberSerializer})
    @action(detail=True, methods=["post"])
    def add_member(self, request: Request, public_id: str) -> Response:
        """Let somebody of the organisation into the team."""
        project, wanted = self.get_object(), self._wanted(request)
        member = get_object_or_404(project.organisation.memberships.select_related("user"), user__public_id=wanted)
        row = services.add_team_member(actor=request.user, project=project, user=member.user)
        return Response(serializers.TeamMemberSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=serializers.TeamChangeSerializer, responses=serializers.ProjectSerializer)
    @action(detail=True, methods=["post"])
    def remove_member(self, request: Request, public_id: str) -> Response:
        """Take somebody out of the team."""
        project = self.get_object()
        row = get_object_or_404(team_of(project), user__public_id=self._wanted(request))
        services.remove_team_member(actor=request.user, project=project, user=row.user)
        return Response(serializers.ProjectSerializer(project).data)

    def _wanted(self, request: Request) -> str:
        serializer = serializers.TeamChangeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return str(serializer.validated_data["user"])
