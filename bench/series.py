"""What the charts of devices, nodes and reservations cost: `python -m bench.series --devices 2500 --days 90`.

Through the pages' own addresses, each time another device, node or reservation of those whose minutes are there for the
whole span (bench.history). p50 and p95 of the time from request to answer in this process, points and rows read.
To hold: 100 ms at 2,500 devices, 300 ms at 25,000.
"""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from bench.history import Past, fill
from bench.page_queries import staff
from bench.results_writer import percentile, report
from bench.servers import django_on_servers

TURNS = 40
MACHINES = """
INSERT INTO telemetry_{table} (node_id, {column}, {samples} cpu_percent, load, memory_used_mib, memory_total_mib,
    disk_read_bytes, disk_written_bytes, network_received_bytes, network_sent_bytes)
SELECT n.id, at, {sample} 40 + (n.id + extract(epoch FROM at)::bigint / 60) %% 50, 12, 200000, 1000000,
       100000000, 50000000, 400000000, 300000000
FROM (SELECT id FROM cluster_node ORDER BY id LIMIT %(nodes)s) n,
     generate_series(%(since)s::timestamptz, %(now)s::timestamptz - interval '1 {step}', interval '1 {step}') AS at
ON CONFLICT DO NOTHING
"""
ROWS_READ = "SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::bigint FROM pg_stat_xact_user_tables"


def machines(days: int, nodes: int) -> None:
    """Minutes and hours of some machines."""
    from django.db import connection
    from django.utils import timezone

    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    for table, step, samples, sample in (("nodeminute", "minute", "", ""), ("nodehour", "hour", "samples,", "60,")):
        sql = MACHINES.format(table=table, column=step, step=step, samples=samples, sample=sample)
        with connection.cursor() as cursor:
            cursor.execute(sql, {"nodes": nodes, "since": now - timedelta(days=days), "now": now})
            cursor.execute(f"ANALYZE telemetry_{table}")


def addresses(shown: int) -> dict[str, Iterator[str]]:
    """Of each chart its address, again and again with another device, node or reservation."""
    from allocations.models import Lease
    from cluster.models import Device, Node

    devices = [row.public_id for row in Device.objects.order_by("pk")[:shown]]
    nodes = [row.public_id for row in Node.objects.filter(devices__pk__lte=shown).distinct().order_by("pk")]
    first = set(Device.objects.order_by("pk")[:shown].values_list("pk", flat=True))
    leases = Lease.objects.filter(placements__device__in=first, state="active").distinct().order_by("pk")
    found: dict[str, Iterator[str]] = {}
    for key in ("1h", "24h", "7d", "30d", "90d", "1y"):
        found[f"device_{key}"] = _around("/staff/devices/{}/series.json?metric=utilisation&range=" + key, devices)
    for key in ("24h", "7d", "30d"):
        found[f"node_{key}"] = _around("/staff/nodes/{}/series.json?metric=power&range=" + key, nodes)
        found[f"machine_{key}"] = _around("/staff/nodes/{}/host.json?metric=network&range=" + key, nodes)
    names = [lease.public_id for lease in leases]
    for key in ("24h", "7d", "30d"):
        found[f"lease_{key}"] = _around("/leases/{}/series.json?range=" + key, names)
    found["lease_page_7d"] = _around("/leases/{}/measured/?range=7d", names)
    return found


def _around(address: str, names: list[str]) -> Iterator[str]:
    return itertools.cycle([address.format(name) for name in names])


def measure(client: Any, name: str, urls: Iterator[str], turns: int, devices: int) -> None:
    """Report one chart."""
    from django.db import connection, transaction

    client.get(next(urls))
    took, rows, points = [], [], 0
    for _turn in range(turns):
        with transaction.atomic():
            begun = time.perf_counter()
            answer = client.get(next(urls))
            took.append(1000 * (time.perf_counter() - begun))
            with connection.cursor() as cursor:
                cursor.execute(ROWS_READ)
                rows.append(cursor.fetchone()[0])
        assert answer.status_code == 200, answer.status_code
        if answer["Content-Type"] == "application/json":
            points = sum(len(line["points"]) for line in json.loads(answer.content)["series"])
    detail: dict[str, Any] = {
        "p50": round(percentile(took, 0.5), 1),
        "rows_read": int(percentile(rows, 0.5)),
        "points": points,
    }
    report(f"series.{name}", round(percentile(took, 0.95), 1), "ms", devices=devices, **detail)


def main() -> int:
    """Fill, then measure each chart."""
    options = argparse.ArgumentParser()
    for name, default in (("devices", 2500), ("days", 90), ("shown", 64), ("turns", TURNS)):
        options.add_argument(f"--{name}", type=int, default=default)
    wanted = options.parse_args()
    with django_on_servers():
        fill(Past(devices=wanted.devices, days=wanted.days, shown=wanted.shown, minute_days=1, usage_days=1))
        machines(wanted.days, wanted.shown // 8 + 1)
        from django.test import Client

        client = Client()
        client.force_login(staff("operator"))
        for name, urls in addresses(wanted.shown).items():
            measure(client, name, urls, wanted.turns, wanted.devices)
    return 0


if __name__ == "__main__":
    sys.exit(main())
