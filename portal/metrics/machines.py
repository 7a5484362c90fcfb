"""Pools and nodes: what they have, what is free, held and idle, who is heard."""

from collections.abc import Iterator

from django.db import connection
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from cluster.lifecycle import DEVICE, NODE
from cluster.models import Device, Node
from cluster.services.nodes import UNREACHABLE_AFTER
from portal.metrics.parts import by_state
from reports.selectors.fleet import FRESH
from reports.selectors.health import pools
from telemetry.selectors import USED_ABOVE_PERCENT

_HELD = """
SELECT n.pool_id, count(*),
       count(*) FILTER (WHERE l.at > %(fresh)s AND l.utilisation_percent > %(above)s),
       count(*) FILTER (WHERE l.at > %(fresh)s AND l.utilisation_percent <= %(above)s)
FROM cluster_device d JOIN cluster_node n ON n.id = d.node_id
LEFT JOIN telemetry_latestsample l ON l.device_id = d.id
WHERE d.state = 'in_use' AND d.parent_id IS NULL AND NOT d.set_aside
GROUP BY 1
"""
_HOSTS = """
SELECT DISTINCT ON (node_id) node_id, cpu_percent, load, memory_used_mib, memory_total_mib, disk_used_mib,
       disk_total_mib
FROM telemetry_nodeminute WHERE minute > %s ORDER BY node_id, minute DESC
"""
_HOST_FIGURES = (
    ("bitgoeul_node_cpu_percent", "Processor time in use"),
    ("bitgoeul_node_load1", "Load over a minute"),
    ("bitgoeul_node_memory_used_mib", "Main memory in use"),
    ("bitgoeul_node_memory_total_mib", "Main memory"),
    ("bitgoeul_node_disk_used_mib", "Disk in use where reservations keep their files"),
    ("bitgoeul_node_disk_total_mib", "Disk where reservations keep their files"),
)


def collect() -> Iterator[Metric]:
    """Every family of pools and nodes; statements do not grow with them."""
    yield by_state("bitgoeul_devices", "Devices by state", Device, DEVICE)
    yield by_state("bitgoeul_nodes", "Nodes by state", Node, NODE)
    yield from _pools()
    yield from _nodes()


def _pools() -> Iterator[Metric]:
    gpus = GaugeMetricFamily(
        "bitgoeul_pool_gpus",
        "GPUs of a pool: all, free, held, ill (ill overlaps)",
        labels=["pool", "gpu_class", "what"],
    )
    used = GaugeMetricFamily(
        "bitgoeul_pool_gpus_in_use", "GPUs that somebody holds, by what they did last", labels=["pool", "doing"]
    )
    with connection.cursor() as cursor:
        cursor.execute(_HELD, {"fresh": timezone.now() - FRESH, "above": USED_ABOVE_PERCENT})
        doing = {pool: row for pool, *row in cursor.fetchall()}
    for pool in pools():
        for what in ("total", "free", "held", "ill"):
            gpus.add_metric([pool.name, pool.gpu_class.code, what], getattr(pool, f"device_{what}"))
        held, busy, idle = doing.get(pool.pk, (0, 0, 0))
        for name, count in (("busy", busy), ("idle", idle), ("no_data", held - busy - idle)):
            used.add_metric([pool.name, name], count)
    yield from (gpus, used)


def _nodes() -> Iterator[Metric]:
    labels, now = ["Hostname", "pool"], timezone.now()
    up = GaugeMetricFamily("bitgoeul_node_up", "1 where the agent was heard within two minutes", labels=labels)
    heard = GaugeMetricFamily("bitgoeul_node_heard_age_seconds", "Seconds since it was", labels=labels)
    skew = GaugeMetricFamily("bitgoeul_node_clock_skew_seconds", "Its clock minus the portal's", labels=labels)
    hosts = [GaugeMetricFamily(name, text, labels=labels) for name, text in _HOST_FIGURES]
    with connection.cursor() as cursor:
        cursor.execute(_HOSTS, [now - 2 * FRESH])
        figures = {node: row for node, *row in cursor.fetchall()}
    for node in Node.objects.exclude(state="retired").select_related("pool"):
        names = [node.name, node.pool.name]
        up.add_metric(names, float(node.last_seen_at is not None and node.last_seen_at > now - UNREACHABLE_AFTER))
        if node.last_seen_at is not None:
            heard.add_metric(names, max(0.0, (now - node.last_seen_at).total_seconds()))
        if node.clock_skew_seconds is not None:
            skew.add_metric(names, node.clock_skew_seconds)
        for family, value in zip(hosts, figures.get(node.pk, ()), strict=False):
            if value is not None:
                family.add_metric(names, value)
    yield from (up, heard, skew, *hosts)
