"""The API skin of an organisation's own figures."""

from dataclasses import asdict
from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from allocations.selectors.usage import UsageSums
from partners.models import Organisation
from projects.models import Project
from usage.forms.sums import PeriodForm
from usage.selectors.figures import figures
from usage.selectors.projects import use_of
from usage.selectors.sums import SumsRow
from usage.serializers.figures import OrganisationFiguresSerializer, ProjectUseSerializer


class FiguresView(APIView):
    """What the organisation's page of figures shows, from the same question."""

    @extend_schema(
        operation_id="organisation_figures",
        tags=["usage"],
        responses=OrganisationFiguresSerializer,
        parameters=[
            OpenApiParameter("since", type={"type": "string", "format": "date"}),
            OpenApiParameter("until", type={"type": "string", "format": "date"}),
        ],
    )
    def get(self, request: Request, public_id: str) -> Response:
        """Over days of the site's zone, both included; else the last thirty. Hints speak of their last fourteen."""
        organisation = get_object_or_404(Organisation.objects.visible_to(request.user), public_id=public_id)
        form = PeriodForm(request.query_params)
        if not form.is_valid():
            raise ValidationError({name: [str(word) for word in words] for name, words in form.errors.items()})
        found = figures(request.user, organisation, *form.days(), timezone.now())
        said = vars(found) | {
            "total": _sums(found.total),
            "days": [{"day": day, **_sums(sums)} for day, sums in found.days],
            "projects": [_row(row) for row in found.projects],
            "people": [_row(row) for row in found.people],
        }
        return Response(OrganisationFiguresSerializer(said).data)


class ProjectUseView(APIView):
    """What the project's page shows of its use, from the same question."""

    @extend_schema(operation_id="project_use", tags=["usage"], responses=ProjectUseSerializer)
    def get(self, request: Request, public_id: str) -> Response:
        """From its beginning on, and all of its allocations."""
        project = get_object_or_404(Project.objects.visible_to(request.user), public_id=public_id)
        found = use_of(request.user, project, timezone.now())
        return Response(ProjectUseSerializer(vars(found) | {"total": _sums(found.total)}).data)


def _sums(sums: UsageSums) -> dict[str, Any]:
    return {**asdict(sums), "idle_share": sums.idle_share}


def _row(row: SumsRow) -> dict[str, Any]:
    return {"sums_of": row.sums_of, "name": row.name, **_sums(row.sums)}
