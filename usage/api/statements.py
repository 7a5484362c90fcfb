"""The API skin of monthly statements."""

from typing import Any

from common.api import ReadViewSet
from usage.filters import StatementFilter
from usage.models import Statement
from usage.serializers.statements import MonthlyStatementSerializer, WholeStatementSerializer


class StatementViewSet(ReadViewSet):
    """Closed months, signed and chained; one of them brings its document."""

    queryset = Statement.objects.select_related("organisation")
    serializer_class = MonthlyStatementSerializer
    filterset_class = StatementFilter

    def get_serializer_class(self) -> Any:
        """The document is large: it comes with one statement alone."""
        return WholeStatementSerializer if self.action == "retrieve" else MonthlyStatementSerializer
