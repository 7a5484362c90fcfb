"""The API skin of sums of use."""

from dataclasses import asdict

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from usage.forms.sums import AGENCY, SumsForm
from usage.selectors.sums import usage_by
from usage.serializers.statements import UsageAnswerSerializer


class UsageView(APIView):
    """What was made of what is held, decided hours alone."""

    @extend_schema(
        operation_id="usage_retrieve",
        tags=["usage"],
        responses=UsageAnswerSerializer,
        parameters=[
            OpenApiParameter("by", enum=[name for name, _word in AGENCY]),
            OpenApiParameter("since", type={"type": "string", "format": "date"}),
            OpenApiParameter("until", type={"type": "string", "format": "date"}),
        ],
    )
    def get(self, request: Request) -> Response:
        """Sums by project (or as asked) over days of the site's zone, both included; else the last thirty."""
        form = SumsForm(request.query_params, agency=request.user.is_agency)  # type: ignore[union-attr]
        if not form.is_valid():
            raise ValidationError({name: [str(word) for word in words] for name, words in form.errors.items()})
        answer = usage_by(request.user, *form.asked())
        share = {"idle_share": answer.total.idle_share}
        rows = [
            {"sums_of": row.sums_of, "name": row.name, "idle_share": row.sums.idle_share, **asdict(row.sums)}
            for row in answer.rows
        ]
        said = {**vars(answer), "total": {**asdict(answer.total), **share}, "rows": rows}
        return Response(UsageAnswerSerializer(said).data)
