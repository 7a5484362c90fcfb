"""The API skin of the record: reading only."""

from typing import Any

from django.http import Http404
from rest_framework.request import Request

from audit.filters import AuditFilter
from audit.models import AuditEvent
from audit.rules import may_read_everything
from audit.serializers import AuditEventSerializer
from common.api import ReadViewSet


class AuditEventViewSet(ReadViewSet):
    """Every change, newest first (auditors and administrators; 404 for others)."""

    queryset = AuditEvent.objects.select_related("seal").order_by("-id")
    serializer_class = AuditEventSerializer
    filterset_class = AuditFilter
    lookup_field = "pk"
    lookup_value_regex = "[0-9]+"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not may_read_everything.test(request.user, None):
            raise Http404
