"""How a node's agent is known: `Authorization: Node <token>`."""

from typing import Any

from django.core.cache import cache
from django.db.models import QuerySet
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import AnonRateThrottle, BaseThrottle

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


class NodeThrottle(BaseThrottle):
    """A node that floods is slowed, the others are not.

    A count that begins with the first call and is forgotten a minute later: one round trip a call, where a list of
    moments takes two and grows with them. Without a cache nobody is slowed.
    """

    calls, seconds = 1200, 60
    key = "calls"

    def allow_request(self, request: Request, view: Any) -> bool:
        """Whether this call is one of those that the node may make in this minute."""
        key = f"throttle_{self.key}_{getattr(request.user, 'pk', 'anonymous')}"
        return self._counted(key) <= self.calls

    def wait(self) -> float:
        """The most seconds until it may call again."""
        return float(self.seconds)

    def _counted(self, key: str) -> int:
        for _again in range(2):
            try:
                return cache.incr(key) or 0  # None: the cache is away
            except ValueError:  # the first one of a minute, or somebody else's a moment ago
                if cache.add(key, 1, self.seconds):
                    return 1
        return 0


class SamplesThrottle(NodeThrottle):
    """Its own allowance: after an hour without a portal a node has some hundred batches to tell, beside its beats."""

    key = "samples"


class JoinThrottle(AnonRateThrottle):
    """Whoever guesses join tokens waits."""

    scope = "node-join"
    rate = "20/min"
