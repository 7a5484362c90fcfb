"""The programme as a whole, for scripts."""

from dataclasses import asdict
from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from allocations.selectors.usage import UsageSums
from allocations.serializers.usage import UsageSumsSerializer
from reports.programme_form import ProgrammeForm
from reports.selectors.programme import GroupRow, carbon_of, programme


class ProgrammeGroupSerializer(serializers.Serializer[Any]):
    """The proposals of one call, region or size; seconds of whole GPUs."""

    name = serializers.CharField()
    proposals = serializers.IntegerField()
    given = serializers.IntegerField(help_text="proposals that were awarded")
    asked_seconds = serializers.IntegerField(source="asked")
    awarded_seconds = serializers.IntegerField(source="awarded")
    use = UsageSumsSerializer()
    median_wait_seconds = serializers.FloatField(allow_null=True, help_text="from handing in to the first GPU-hour")


class ProgrammeStepSerializer(UsageSumsSerializer):
    """A day or a month (of the site's zone)."""

    name = serializers.CharField(help_text="2026-11-27 or 2026-11")
    carbon_kilograms = serializers.FloatField()


class CarbonSerializer(serializers.Serializer[Any]):
    """Energy of GPUs while they were held, by their counters; hosts and cooling are not in it."""

    kwh = serializers.FloatField()
    kilograms = serializers.FloatField(help_text="of CO2 equivalents")
    grams_per_mwh = serializers.IntegerField()
    factor_of = serializers.CharField(source="source", help_text="who published the factor")


class ProgrammeSerializer(serializers.Serializer[Any]):
    """Groups: of what was handed in on these days, to this day. Steps and energy: of these days."""

    since = serializers.DateField()
    until = serializers.DateField(help_text="included")
    decided_until = serializers.DateTimeField(allow_null=True)
    whole = ProgrammeGroupSerializer()
    calls = ProgrammeGroupSerializer(many=True)
    regions = ProgrammeGroupSerializer(many=True)
    sizes = ProgrammeGroupSerializer(many=True)
    steps = ProgrammeStepSerializer(many=True)
    carbon = CarbonSerializer()


class ProgrammeView(APIView):
    """What the staff page shows, from the same question."""

    @extend_schema(
        responses=ProgrammeSerializer,
        operation_id="programme",
        tags=["usage"],
        parameters=[
            OpenApiParameter("since", type={"type": "string", "format": "date"}),
            OpenApiParameter("until", type={"type": "string", "format": "date"}),
        ],
    )
    def get(self, request: Request) -> Response:
        """Agency staff only; for everybody else the address does not exist. Else the calendar year up to today."""
        if not getattr(request.user, "is_agency", False):
            raise Http404
        form = ProgrammeForm(request.query_params)
        if not form.is_valid():
            raise ValidationError({name: [str(word) for word in words] for name, words in form.errors.items()})
        found = programme(request.user, *form.days())
        groups = {name: [_group(row) for row in getattr(found, name)] for name in ("calls", "regions", "sizes")}
        steps = [
            {"name": name, **_sums(sums), "carbon_kilograms": carbon_of(sums).kilograms} for name, sums in found.bars
        ]
        said = vars(found) | groups | {"whole": _group(found.whole), "steps": steps, "carbon": found.carbon}
        return Response(ProgrammeSerializer(said).data)


def _sums(sums: UsageSums) -> dict[str, Any]:
    return {**asdict(sums), "idle_share": sums.idle_share}


def _group(row: GroupRow) -> dict[str, Any]:
    wait = row.median_wait
    return vars(row) | {"use": _sums(row.use), "median_wait_seconds": None if wait is None else wait.total_seconds()}
