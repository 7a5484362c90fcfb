"""Lag of the hand-overs: 100 leases on three simulated nodes with the real worker, beat and agents.

Start lag: from the due time to active. End lag: from the end to access gone, as the portal knows it (the agents'
confirmation; a node's own timer cuts access off before that). 20 GPUs, five leases each, a new start every few seconds.

The leases are booked through the service and then shortened in the tables, past the rule of ten minutes: with it the
same hundred would take an hour. Nothing after the booking is changed.
"""

import os
import sys
import time
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from bench.demo_start import running_demo, seconds_until
from bench.partner import make_allocation, make_partner
from bench.results_writer import percentile, report
from bench.servers import django_on_servers, open_folder

DEVICES, TURNS = 20, 5
LASTS, EVERY = timedelta(seconds=30), timedelta(seconds=83)
"""A lease, and from one start to the next on the same GPU: the rest is for cleaning and checking. Every 4.15 s another
lease is due, which is no multiple of the reconciler's two seconds: due times meet every phase of its tick."""
PATIENCE_SECONDS = 120


def _book(user: Any, allocation: Any, device: Any, start: datetime) -> int:
    from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

    from allocations.models import Lease, Placement
    from allocations.services.booking import book

    until = start + timedelta(minutes=10)
    lease = book(actor=user, allocation=allocation, device_count=1, starts_at=start, ends_at=until, devices=[device])
    Lease.objects.filter(pk=lease.pk).update(ends_at=start + LASTS)
    Placement.objects.filter(lease=lease).update(window=DateTimeTZRange(start, start + LASTS))
    return int(lease.pk)


def _wait_for_devices() -> list[Any]:
    from cluster.models import Device

    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        devices = list(Device.objects.filter(state="available").select_related("node__pool").order_by("index", "node"))
        if len(devices) >= DEVICES:
            return devices[:DEVICES]
        time.sleep(0.5)
    sys.exit(f"fewer than {DEVICES} GPUs became available within {PATIENCE_SECONDS} s")


def _book_all(devices: list[Any]) -> list[int]:
    """Keys of the leases. One transaction: the reconciler must not prepare a GPU before its next leases are booked."""
    from django.db import transaction
    from django.utils import timezone

    user, agreement = make_partner("bench-lag", ["h100-sxm-80"])
    allocation = make_allocation(agreement, devices[0].node.pool, DEVICES, "bench-lag")
    first = timezone.now() + timedelta(seconds=45)  # the booking of a hundred takes a while
    stagger = EVERY / DEVICES
    with transaction.atomic():
        return [
            _book(user, allocation, device, first + place * stagger + turn * EVERY)
            for turn in range(TURNS)
            for place, device in enumerate(devices)
        ]


def _wait_for_end(leases: list[int]) -> list[Any]:
    from allocations.models import Lease

    rows = Lease.objects.filter(pk__in=leases)
    deadline = time.monotonic() + (EVERY * (TURNS + 1)).total_seconds() + PATIENCE_SECONDS
    while time.monotonic() < deadline and rows.exclude(state__in=("ended", "failed")).exists():
        time.sleep(2)
    return list(rows)


def main() -> int:
    """Report p50, p99 and the largest of both lags; 1 unless every lease was handed over and taken back."""
    with django_on_servers(), open_folder("bitgoeul-lag-") as folder:
        servers: dict[str, Any] = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}
        with running_demo(folder / "demo", **servers) as (url, process):
            seconds_until(f"{url}/readyz", process)
            leases = _wait_for_end(_book_all(_wait_for_devices()))
    starts = [(row.active_at - row.starts_at).total_seconds() for row in leases if row.active_at]
    handed = [row for row in leases if row.active_at and row.access_gone_at]
    ends = [(row.access_gone_at - row.ends_at).total_seconds() for row in handed]
    missed = Counter(f"{row.state}: {row.state_reason or row.end_reason}" for row in leases if row not in handed)
    detail: dict[str, Any] = {
        "leases": len(leases),
        "nodes": 3,
        "devices": DEVICES,
        "tick_s": 2.0,
        "not_handed_over": dict(missed),
    }
    for name, values in (("start", starts), ("end", ends)):
        report(f"lease_lag.{name}_count", len(values), "leases", **detail)
        for label, share in (("p50", 0.50), ("p99", 0.99), ("max", 1.0)):
            if values:
                report(f"lease_lag.{name}_{label}", round(percentile(values, share), 2), "s", **detail)
    return int(len(starts) != len(leases) or len(ends) != len(leases))


if __name__ == "__main__":
    sys.exit(main())
