"""The API of the agents: hello, heartbeat, commands, reports, events. Documented in docs/node-protocol.md."""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from cluster.models import NodeCommand
from cluster.node_auth import JoinThrottle
from cluster.node_view import NodeAPIView
from cluster.selectors import devices_to_check
from cluster.serializers import (
    DeadManSerializer,
    EventsSerializer,
    GrantResultSerializer,
    HeartbeatSerializer,
    HelloSerializer,
    JoinSerializer,
    ResultSerializer,
)
from cluster.services import certificates, commands, enrolment, inventory, nodes, signing
from common.parsers import BoundedJSONParser

MAX_BODY_BYTES = 1024 * 1024
HEARTBEAT_SECONDS = 5


class TooLarge(APIException):
    """More than a node ever has to say."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "This body is larger than 1 MiB."
    default_code = "too_large"


@extend_schema(exclude=True)
class NodeView(NodeAPIView):
    """Bodies are bounded and have a shape."""

    parser_classes = (BoundedJSONParser,)
    max_body_bytes = MAX_BODY_BYTES

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdigit() or int(length) > self.max_body_bytes:
            raise TooLarge

    def parsed(self, serializer: type[Serializer[Any]]) -> dict[str, Any]:
        """The body in the serializer's shape; 400 otherwise."""
        shape = serializer(data=self.request.data)
        shape.is_valid(raise_exception=True)
        return shape.validated_data


class JoinView(NodeView):
    """A new agent fetches its node's token with a join token; the only door without one."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = (JoinThrottle,) if settings.RATELIMIT_ENABLE else ()

    def post(self, request: Request) -> Response:
        node, token = enrolment.join(token=self.parsed(JoinSerializer)["join_token"])
        return Response({"node": node.name, "token": token}, status=status.HTTP_201_CREATED)


class HelloView(NodeView):
    """An agent has started."""

    def post(self, request: Request) -> Response:
        said = self.parsed(HelloSerializer)
        ssh = said.pop("ssh")
        leases = said.pop("leases")
        hello = nodes.Hello(**said, ssh_host=ssh["host"], ssh_port=ssh["port"], ssh_host_key=ssh["host_key"])
        node = inventory.take_hello(node=request.user.node, hello=hello)
        _take_leases(node, leases)
        return Response(
            {
                "node": node.name,
                "signing_key": signing.public_key(),
                "succession": signing.succession(),
                "ssh_ca": certificates.authority_public_key(),
                "now": timezone.now().timestamp(),
                "heartbeat_seconds": HEARTBEAT_SECONDS,
            }
        )


class HeartbeatView(NodeView):
    """A sign of life; the answer holds what the node has to do, whether a broker is there or not."""

    def post(self, request: Request) -> Response:
        said = self.parsed(HeartbeatSerializer)
        node = nodes.hear(node=request.user.node, boot_id=said["boot_id"], sent_at=said["sent_at"], agent=said["agent"])
        inventory.take_health(node=node, reports=said["devices"])
        if said["checks"]:
            inventory.confirm_idle(node=node, checks=said["checks"])
        _take_leases(node, said["leases"])
        return Response(
            {
                "now": timezone.now().timestamp(),
                "signing_key": signing.public_key(),
                "succession": signing.succession(),
                "commands": [signing.envelope(command) for command in commands.hand_out(node)],
                "check": devices_to_check(node),
                "refuse": certificates.refused_serials(node.pk),
            }
        )


class CommandView(NodeView):
    """One command, for the worker that was nudged."""

    def get(self, request: Request, public_id: str) -> Response:
        command = get_object_or_404(
            NodeCommand.objects.select_related("node"), node=request.user.node, public_id=public_id
        )
        return Response(signing.envelope(command))


class ResultView(NodeView):
    """The answer to a command."""

    def post(self, request: Request, public_id: str) -> Response:
        node = request.user.node
        command = get_object_or_404(NodeCommand.objects.select_related("node"), node=node, public_id=public_id)
        said = self.parsed(ResultSerializer)
        if command.verb == NodeCommand.Verb.GRANT and said["outcome"] == "done":
            GrantResultSerializer(data=said["result"]).is_valid(raise_exception=True)
        command = commands.finish(node=node, command=command, **said)
        return Response({"id": command.public_id, "state": command.state})


class ReportView(NodeView):
    """The dead-man timer has ended a lease."""

    def post(self, request: Request) -> Response:
        said = self.parsed(DeadManSerializer)
        commands.take_dead_man(
            node=request.user.node,
            lease_ref=said["lease"],
            generation=said["generation"],
            at=datetime.fromtimestamp(said["at"], UTC),
            killed=said["killed"],
        )
        return Response({"accepted": True})


class EventsView(NodeView):
    """XIDs and the like."""

    def post(self, request: Request) -> Response:
        said = self.parsed(EventsSerializer)
        return Response({"accepted": inventory.take_events(node=request.user.node, events=said["events"])})


def _take_leases(node: Any, leases: list[dict[str, Any]]) -> None:
    """What a node remembers of ended leases counts as a report: one that was lost on the way comes again so."""
    for lease in leases:
        if lease["state"] == "revoked" and lease.get("at"):
            commands.take_dead_man(
                node=node,
                lease_ref=lease["lease"],
                generation=lease["generation"],
                at=datetime.fromtimestamp(lease["at"], UTC),
                killed=0,
            )
