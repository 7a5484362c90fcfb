"""What every door of the node API has: the node's token, its throttle, and a count of what was refused."""

from typing import Any

from django.conf import settings
from rest_framework.response import Response
from rest_framework.views import APIView

from cluster.models import Node
from cluster.node_auth import IsNode, NodePrincipal, NodeThrottle, NodeTokenAuthentication
from cluster.services import refusals


class NodeAPIView(APIView):
    """For agents only. Refusals are counted at the node whose token was shown, or at nobody's."""

    authentication_classes: tuple[Any, ...] = (NodeTokenAuthentication,)
    permission_classes: tuple[Any, ...] = (IsNode,)
    throttle_classes: tuple[Any, ...] = (NodeThrottle,) if settings.RATELIMIT_ENABLE else ()

    def perform_content_negotiation(self, request: Any, force: bool = False) -> tuple[Any, str]:
        """JSON, whatever is asked for: there is nothing else."""
        renderer = self.get_renderers()[0]
        return renderer, str(renderer.media_type)

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        if 400 <= response.status_code < 500:
            said = response.data if isinstance(response.data, dict) else {}
            detail = str(said.get("title") or said.get("detail") or "")
            refusals.count(node=speaker(self.request), code=str(said.get("code") or "refused"), detail=detail)
        return response


def speaker(request: Any) -> Node | None:
    """The node whose token came with the call; None where there was none, or one that nobody has."""
    user = getattr(request, "_user", None)  # asking for `user` would authenticate anew, and raise anew
    return user.node if isinstance(user, NodePrincipal) else None
