"""What the charts of devices, nodes and reservations cost: `python -m bench.series --devices 2500 --days 90`.

Through the pages' own addresses, each time another device, node or reservation of those whose minutes are there for the
whole span (bench.history). To hold: 100 ms at 2,500 devices, 300 ms at 25,000 (bench.pages).
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

from bench.history import Past, fill
from bench.page_queries import staff
from bench.pages import look
from bench.servers import django_on_servers

TURNS = 40


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


def main() -> int:
    """Fill, then measure each chart."""
    options = argparse.ArgumentParser()
    for name, default in (("devices", 2500), ("days", 90), ("shown", Past.shown), ("turns", TURNS)):
        options.add_argument(f"--{name}", type=int, default=default)
    wanted = options.parse_args()
    with django_on_servers():
        fill(Past(devices=wanted.devices, days=wanted.days, shown=wanted.shown, usage_days=1))
        from django.test import Client

        client = Client()
        client.force_login(staff("operator"))
        for name, urls in addresses(wanted.shown).items():
            found = look(client, urls, wanted.turns)
            found.tell(f"series.{name}", devices=wanted.devices, points=_points(found.answer))
    return 0


def _points(answer: Any) -> int:
    if answer["Content-Type"] != "application/json":
        return 0
    return sum(len(line["points"]) for line in json.loads(answer.content)["series"])


if __name__ == "__main__":
    sys.exit(main())
