"""200 leases that are due within one minute and end within another, on 50 simulated nodes with real agents.

Everything runs on the machine of the benchmark: portal, worker, beat, PostgreSQL, Valkey, and four processes for each
of the 50 nodes. On few cores the lag is that of the crowd on those cores, and an upper bound for a portal of its own.
"""

import sys
import time
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from bench.campaign.machines import Machines, running_machines
from bench.demo_start import seconds_until
from bench.faults import GPU_CLASS, enrol, wait_for_devices
from bench.partner import make_allocation, make_partner
from bench.results_writer import percentile, report
from bench.servers import django_on_servers, open_folder

NODES, DEVICES = 50, 4
LASTS = timedelta(seconds=120)
AHEAD = timedelta(seconds=150)  # booking two hundred takes a while, with fifty nodes at work beside it
MINUTE = timedelta(seconds=60)
PATIENCE_SECONDS = 420
TURN_SECONDS = 1.0


def book_all(pool: Any) -> list[int]:
    """One lease a device, starts spread evenly over one minute; keys. Each in one transaction, as a partner books."""
    from django.db import transaction
    from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
    from django.utils import timezone

    from allocations.models import Lease, Placement
    from allocations.services.booking import book
    from cluster.models import Device

    user, agreement = make_partner("bench-crowd", [GPU_CLASS])
    allocation = make_allocation(agreement, pool, NODES * DEVICES, "bench-crowd")
    devices = list(Device.objects.select_related("node__pool").order_by("index", "node"))
    first, keys = timezone.now() + AHEAD, []
    for place, device in enumerate(devices):
        start: datetime = first + MINUTE * place / len(devices)
        until = start + timedelta(minutes=10)
        with transaction.atomic():
            lease = book(
                actor=user, allocation=allocation, device_count=1, starts_at=start, ends_at=until, devices=[device]
            )
            Lease.objects.filter(pk=lease.pk).update(ends_at=start + LASTS)
            Placement.objects.filter(lease=lease).update(window=DateTimeTZRange(start, start + LASTS))
        keys.append(lease.pk)
    if timezone.now() > first:
        sys.exit("the booking took longer than the time before the first start")
    return keys


def wait_for_end(machines: Machines, keys: list[int]) -> list[Any]:
    """The leases, when all are over or patience is."""
    from allocations.lifecycle import LEASE_OVER
    from allocations.models import Lease

    rows = Lease.objects.filter(pk__in=keys)
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until and rows.exclude(state__in=LEASE_OVER).exists():
        machines.look()
        time.sleep(TURN_SECONDS)
    return list(rows)


def main() -> int:
    """Report p50, p99 and the largest of both lags; 1 unless every lease was handed over and taken back."""
    with (
        open_folder("bitgoeul-crowd-") as folder,
        django_on_servers() as services,
        running_machines(folder, services, NODES, DEVICES) as machines,
    ):
        seconds_until(f"{machines.options.url}/healthz", machines.children["web"].process)
        pool = enrol(machines, NODES)
        wait_for_devices(machines, NODES * DEVICES)
        leases = wait_for_end(machines, book_all(pool))
    starts = [(row.active_at - row.starts_at).total_seconds() for row in leases if row.active_at]
    ends = [
        (row.access_gone_at - row.ends_at).total_seconds() for row in leases if row.active_at and row.access_gone_at
    ]
    states = Counter(f"{row.state} {row.end_reason}" for row in leases)
    detail: dict[str, Any] = {"leases": len(leases), "nodes": NODES, "states": dict(states)}
    for name, values in (("start", starts), ("end", ends)):
        for label, share in (("p50", 0.50), ("p99", 0.99), ("max", 1.0)):
            if values:
                report(f"lease_crowd.{name}_{label}", round(percentile(values, share), 2), "s", **detail)
    return int(len(starts) != len(leases) or len(ends) != len(leases))


if __name__ == "__main__":
    sys.exit(main())
