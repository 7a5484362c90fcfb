"""Bringing in proposals from a spreadsheet, to the API."""

from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.parsers import MultiPartParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.errors import RuleBroken
from partners.api import body_of
from proposals import serializers
from proposals.models import Call
from proposals.services.imports import import_proposals


class ProposalImport(APIView):
    """A spreadsheet of proposals (officers)."""

    parser_classes = [MultiPartParser]
    permission_classes = [IsAuthenticated]

    @extend_schema(
        request=serializers.ImportSerializer,
        responses={200: serializers.ImportReportSerializer, 201: serializers.ImportReportSerializer},
    )
    def post(self, request: Request) -> Response:
        """Look at every row (`dry_run`, the default), or bring in all or none; 422 with the bad rows as facts."""
        user: Any = request.user
        if not user.is_agency:
            raise Http404
        ask = body_of(serializers.ImportSerializer, request)
        call = get_object_or_404(Call.objects.visible_to(user), public_id=ask["call"])
        upload, dry_run = ask["file"], ask["dry_run"]
        report = import_proposals(actor=user, call=call, file=upload, size=upload.size, dry_run=dry_run)
        if report.problems and not dry_run:
            raise RuleBroken(
                _("There are rows that cannot be brought in: nothing was saved."),
                code="bad_rows",
                remedy=_("Mend them and send the file again."),
                facts=report.as_json(),
            )
        code = status.HTTP_201_CREATED if report.saved else status.HTTP_200_OK
        return Response(serializers.ImportReportSerializer(report.as_json()).data, status=code)
