"""Figures for Prometheus, counted when asked."""

import hmac
from ipaddress import ip_address, ip_network

import redis
from django.conf import settings
from django.db.models import Count, Model
from django.http import HttpRequest
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from allocations.lifecycle import LEASE
from allocations.models import Lease
from cluster.lifecycle import DEVICE, NODE
from cluster.models import Device, Node, NodeCommand
from common import heartbeat
from common.lifecycle import Lifecycle
from notifications.models import Mail
from proposals.models import Proposal

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def may_read(request: HttpRequest) -> bool:
    """The bearer token, or an address of METRICS_ALLOW that asks us straight.

    A request that came through a proxy carries X-Forwarded-For, and its address is the proxy's: then only the token
    counts, or every visitor would look like our own host.
    """
    offered = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if settings.METRICS_TOKEN != "-" and hmac.compare_digest(offered.encode(), settings.METRICS_TOKEN.encode()):
        return True
    if "X-Forwarded-For" in request.headers:
        return False
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return any(address in ip_network(allowed, strict=False) for allowed in settings.METRICS_ALLOW)


def text() -> bytes:
    """The exposition: one registry a request, so that a state that emptied reads 0 and nothing is stale."""
    registry = CollectorRegistry()
    _by_state(registry, "bitgoeul_leases", "Reservations by state", Lease, LEASE)
    _by_state(registry, "bitgoeul_devices", "Devices by state", Device, DEVICE)
    _by_state(registry, "bitgoeul_nodes", "Nodes by state", Node, NODE)
    pending = NodeCommand.objects.filter(state="pending").count()
    Gauge("bitgoeul_commands_pending", "Commands that nodes have not answered", registry=registry).set(pending)
    waiting = Proposal.objects.filter(state__in=("submitted", "in_review")).count()
    Gauge("bitgoeul_proposals_waiting", "Proposals that wait for a decision", registry=registry).set(waiting)
    Gauge("bitgoeul_mails_waiting", "Mails not sent yet", registry=registry).set(
        Mail.objects.filter(sent_at=None).count()
    )
    age = Gauge("bitgoeul_heartbeat_age_seconds", "Seconds since a part was heard", ["part"], registry=registry)
    for part, seconds in heartbeat.ages().items():
        age.labels(part=part).set(seconds)
    _broker(registry)
    return generate_latest(registry)


def _by_state(registry: CollectorRegistry, name: str, text: str, model: type[Model], lifecycle: Lifecycle) -> None:
    gauge = Gauge(name, text, ["state"], registry=registry)
    counted = dict(model._default_manager.order_by().values_list("state").annotate(Count("pk")))
    for state in lifecycle.states:
        gauge.labels(state=state).set(counted.get(state, 0))


def _broker(registry: CollectorRegistry) -> None:
    up = Gauge("bitgoeul_broker_up", "1 where the broker answers", registry=registry)
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1) as client:
            length = client.llen(settings.CELERY_TASK_DEFAULT_QUEUE)
    except (redis.RedisError, OSError):
        up.set(0)
        return
    up.set(1)
    queue = Gauge("bitgoeul_queue_length", "Messages that wait in a queue", ["queue"], registry=registry)
    queue.labels(queue=settings.CELERY_TASK_DEFAULT_QUEUE).set(length)
