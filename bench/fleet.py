"""What the fleet's screen costs: `python -m bench.fleet --devices 2500 --days 90`.

Through the pages' own addresses, on a fleet with a past (bench.history): now, one minute and one hour of the past, each
filter, table, CSV and API. p50 and p95 of the time from request to answer in this process, bytes and rows read.
To hold: 100 ms at 2,500 devices, 300 ms at 25,000.
"""

import argparse
import sys
import time
from datetime import timedelta
from typing import Any

from bench.history import Past, fill
from bench.page_queries import staff
from bench.results_writer import percentile, report
from bench.series import ROWS_READ
from bench.servers import django_on_servers

TURNS = 20


def addresses() -> dict[str, str]:
    """Of each view its address."""
    from django.utils import timezone

    from allocations.models import Lease

    now = timezone.localtime()
    minute, hour = ((now - back).strftime("%Y-%m-%dT%H:%M") for back in (timedelta(hours=20), timedelta(days=60)))
    lease = Lease.objects.filter(state="active").select_related("allocation__project__organisation").earliest("pk")
    organisation = lease.allocation.project.organisation.public_id
    return {
        "page": "/staff/",
        "live": "/staff/live/",
        "live_temperature": "/staff/live/?metric=temperature",
        "live_minute": f"/staff/live/?at={minute}",
        "live_hour": f"/staff/live/?at={hour}",
        "page_minute": f"/staff/?at={minute}",
        "live_pool": f"/staff/live/?pool={lease.allocation.pool.public_id}",
        "live_organisation": f"/staff/live/?organisation={organisation}",
        "table": "/staff/?sort=-power&page=3",
        "csv": "/staff/?format=csv",
        "api": "/api/v1/fleet/",
    }


def fresh() -> None:
    """The newest samples as new as they are while nodes report: the past was written up to the moment it was begun."""
    from django.utils import timezone

    from telemetry.models import LatestSample

    LatestSample.objects.update(at=timezone.now())


def _rows_read() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(ROWS_READ)
        return int(cursor.fetchone()[0])


def measure(client: Any, name: str, url: str, turns: int, devices: int) -> None:
    """Report one view."""
    from django.db import transaction

    client.get(url)
    fresh()
    took, rows = [], []
    for _turn in range(turns):
        with transaction.atomic():
            before = _rows_read()
            begun = time.perf_counter()
            answer = client.get(url)
            took.append(1000 * (time.perf_counter() - begun))
            rows.append(_rows_read() - before)
        assert answer.status_code == 200, answer.status_code
    detail: dict[str, Any] = {"p50": round(percentile(took, 0.5), 1), "rows_read": int(percentile(rows, 0.5))}
    size = len(answer.content)
    report(f"fleet.{name}", round(percentile(took, 0.95), 1), "ms", devices=devices, bytes=size, **detail)


def main() -> int:
    """Fill, then measure each view."""
    options = argparse.ArgumentParser()
    for name, default in (("devices", 2500), ("days", 90), ("turns", TURNS)):
        options.add_argument(f"--{name}", type=int, default=default)
    wanted = options.parse_args()
    with django_on_servers():
        fill(Past(devices=wanted.devices, days=wanted.days, minute_days=1, usage_days=1))
        from django.test import Client

        client = Client()
        client.force_login(staff("operator"))
        for name, url in addresses().items():
            measure(client, name, url, wanted.turns, wanted.devices)
    return 0


if __name__ == "__main__":
    sys.exit(main())
