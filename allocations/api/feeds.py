"""The API skin of the secret link for calendar programs."""

from drf_spectacular.utils import extend_schema
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from allocations.serializers.availability import FeedSerializer
from allocations.services import feeds


class CalendarFeedViewSet(viewsets.ViewSet):
    """One's own secret link for calendar programs."""

    @extend_schema(request=None, responses={201: FeedSerializer})
    def create(self, request: Request) -> Response:
        """Make the link, or a new one: the old one stops working. It is told this once."""
        secret = feeds.renew(actor=request.user)
        return Response(FeedSerializer({"url": feeds.address(secret)}).data, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={204: None})
    @action(detail=False, methods=["post"])
    def revoke(self, request: Request) -> Response:
        """The link stops working; there is none afterwards."""
        feeds.revoke(actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)
