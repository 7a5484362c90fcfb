"""Progress reports, to the API: the same verbs as the pages."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from common.api import ReadViewSet
from partners.api import body_of
from partners.serializers import WrittenReasonSerializer
from projects import serializers, services
from projects.filters import ProgressFilter
from projects.models import ProgressReport, Project


class ProgressReportViewSet(ReadViewSet):
    """What projects report; an accepted report frees what their awards hold back."""

    queryset = ProgressReport.objects.select_related("project__organisation", "project__agreement")
    serializer_class = serializers.ProgressReportSerializer
    filterset_class = ProgressFilter

    @extend_schema(request=serializers.NewProgressSerializer, responses={201: serializers.ProgressReportSerializer})
    def create(self, request: Request) -> Response:
        """Hand one in."""
        ask = body_of(serializers.NewProgressSerializer, request)
        project = get_object_or_404(Project.objects.visible_to(request.user), public_id=ask.pop("project"))
        made = services.submit_report(actor=request.user, project=project, content=services.Progress(**ask))
        return self._shown(made, status.HTTP_201_CREATED)

    @extend_schema(request=serializers.ProgressSerializer, responses=serializers.ProgressReportSerializer)
    @action(detail=True, methods=["post"])
    def submit(self, request: Request, public_id: str) -> Response:
        """Hand one in again that was sent back."""
        report = self.get_object()
        content = services.Progress(**body_of(serializers.ProgressSerializer, request))
        made = services.submit_report(actor=request.user, project=report.project, content=content, report=report)
        return self._shown(made)

    @extend_schema(request=None, responses=serializers.ProgressReportSerializer)
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, public_id: str) -> Response:
        """Accept it (officers)."""
        return self._shown(services.accept_report(actor=request.user, report=self.get_object()))

    @extend_schema(request=WrittenReasonSerializer, responses=serializers.ProgressReportSerializer)
    @action(detail=True, methods=["post"])
    def send_back(self, request: Request, public_id: str) -> Response:
        """Send it back to be changed (officers)."""
        report = self.get_object()
        ask = body_of(WrittenReasonSerializer, request)
        return self._shown(services.send_back_report(actor=request.user, report=report, **ask))

    def _shown(self, report: Any, code: int = status.HTTP_200_OK) -> Response:
        return Response(serializers.ProgressReportSerializer(report).data, status=code)
