"""The API skin of the inbox."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from common.api import ReadViewSet
from notifications import services
from notifications.filters import NotificationFilter
from notifications.models import Notification
from notifications.serializers import NotificationSerializer


class NotificationViewSet(ReadViewSet):
    """One's own notices, newest first."""

    queryset = Notification.objects.order_by("-id")
    serializer_class = NotificationSerializer
    filterset_class = NotificationFilter

    @extend_schema(request=None, responses=NotificationSerializer)
    @action(detail=True, methods=["post"], url_path="mark-read")
    def mark_read(self, request: Request, public_id: str) -> Response:
        """Mark one as read; again changes nothing."""
        note = self.get_object()
        services.mark_read(actor=request.user, notifications=[note])
        note.refresh_from_db()
        return Response(NotificationSerializer(note).data)

    @extend_schema(request=None, responses={204: None})
    @action(detail=False, methods=["post"], url_path="mark-all-read", filterset_class=None)
    def mark_all_read(self, request: Request) -> Response:
        """Mark everything as read."""
        services.mark_all_read(actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)
