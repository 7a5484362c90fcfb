"""How a node's agent is known: `Authorization: Node <token>`."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import AnonRateThrottle, SimpleRateThrottle

from cluster.models import Node
from cluster.services.nodes import hash_token
from common.compiled import question


@question
def _nodes_with(token_hash: str) -> QuerySet[Node]:
    """One at most. Every call of every node asks this."""
    return Node.objects.select_related("pool").filter(token_hash=token_hash).order_by()


class NodePrincipal:
    """The agent of one node; no person, no role."""

    is_authenticated = True
    is_anonymous = False

    def __init__(self, node: Node) -> None:
        self.node = node
        self.pk = f"node-{node.pk}"


class NodeTokenAuthentication(BaseAuthentication):
    """Looks the token's hash up; a wrong one is 401."""

    def authenticate(self, request: Request) -> tuple[NodePrincipal, None] | None:
        words = get_authorization_header(request).split()
        if len(words) != 2 or words[0].lower() != b"node":
            return None
        node = next(iter(_nodes_with.rows(hash_token(words[1].decode("latin-1")))), None)
        if node is None:
            raise AuthenticationFailed("This node token is not known.")
        return NodePrincipal(node), None

    def authenticate_header(self, request: Request) -> str:
        return "Node"


class IsNode(BasePermission):
    """Agents only: a person's session or token opens nothing here."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, NodePrincipal)


class NodeThrottle(SimpleRateThrottle):
    """A node that floods is slowed, the others are not."""

    scope = "node"
    rate = "1200/min"

    def get_cache_key(self, request: Request, view: Any) -> str | None:
        return f"throttle_{getattr(request.user, 'pk', 'anonymous')}"


class SamplesThrottle(NodeThrottle):
    """Its own allowance: after an hour without a portal a node has some hundred batches to tell, beside its beats."""

    scope = "node-samples"

    def get_cache_key(self, request: Request, view: Any) -> str | None:
        return f"throttle_samples_{getattr(request.user, 'pk', 'anonymous')}"


class JoinThrottle(AnonRateThrottle):
    """Whoever guesses join tokens waits."""

    scope = "node-join"
    rate = "20/min"
