"""A fleet with a past, quickly: leases over the whole span, minutes, hours, days and what was made of each held hour.

`with django_on_servers(): fill(Past(devices=2500, days=90))` fills the tables of other benchmarks, past the services
and by INSERT .. SELECT generate_series; every figure follows from the keys, so that two runs agree. On its own
(`python -m bench.history --devices 2500 --days 90`) it says what took how long and how large the tables are.

Minutes of all devices are made for the last `minute_days`, of the first `shown` devices for the whole span: 90 days of
25,000 devices would be 3,240 million rows. What a page reads of one device or of a lease is there whole.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bench import history_sql as sql
from bench.results_writer import report

GPUS_A_NODE = 8
LEASE_DAYS = 10
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Past:
    """How much of it. `usage_days`: of so many days each held hour is there; days are there for the whole span."""

    devices: int
    days: int = 90
    minute_days: int = 2
    shown: int = 64
    sample_minutes: int = 30
    usage_days: int = 90

    @property
    def nodes(self) -> int:
        """Nodes of eight GPUs."""
        return -(-self.devices // GPUS_A_NODE)


def fill(past: Past) -> dict[str, float]:
    """Write it; seconds by what was written."""
    from django.utils import timezone

    from telemetry import partitions

    now = timezone.now().replace(second=0, microsecond=0)
    since = (now - timedelta(days=past.days)).replace(minute=0)
    took: dict[str, float] = {}
    with _clock(took, "partitions"):
        partitions.ensure(now, since=since)
    with _clock(took, "programme"):
        _programme(past, now).write()
    values = {
        "now": now,
        "hour": now.replace(minute=0),
        "since": since,
        "recent": now - timedelta(days=past.minute_days),
        "usage_since": max(since, now - timedelta(days=past.usage_days)).replace(minute=0),
        "samples_since": now - timedelta(minutes=past.sample_minutes),
        "shown": past.shown,
    }
    for name, statement in sql.STATEMENTS:
        with _clock(took, name):
            _run(statement, values)
    _marks(now)
    with _clock(took, "analyze"):
        _run("ANALYZE", {})
    return took


def _programme(past: Past, now: Any) -> Any:
    from bench.long_leases import LongLeases
    from portal.seeding.scale import Scale

    scale = Scale(projects=past.nodes, allocations=past.nodes, users=2 * past.nodes, devices=past.nodes * GPUS_A_NODE)
    return LongLeases(scale, now=now, days=past.days, lease_days=LEASE_DAYS)


def _marks(now: Any) -> None:
    from allocations.models import UsageMark
    from telemetry.models import RollupMark

    hour = now.replace(minute=0)
    for name in ("minutes", "hours"):
        RollupMark.objects.update_or_create(name=name, defaults={"done_until": now})
    for name in ("decided", "revised"):
        UsageMark.objects.update_or_create(name=name, defaults={"done_until": hour - HOUR})


def _run(statement: str, values: dict[str, Any]) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)


class _clock:
    def __init__(self, took: dict[str, float], name: str) -> None:
        self._took, self._name = took, name

    def __enter__(self) -> None:
        self._begun = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._took[self._name] = round(time.perf_counter() - self._begun, 2)


def main() -> int:
    """Fill servers that live as long as this process, and say what it took."""
    from bench.servers import django_on_servers

    options = argparse.ArgumentParser()
    for name, default in (("devices", 2500), ("days", 90), ("minute-days", 2), ("shown", 64)):
        options.add_argument(f"--{name}", type=int, default=default)
    options.add_argument("--usage-days", type=int, default=90)
    wanted = options.parse_args()
    past = Past(
        devices=wanted.devices,
        days=wanted.days,
        minute_days=wanted.minute_days,
        shown=wanted.shown,
        usage_days=wanted.usage_days,
    )
    with django_on_servers():
        took = fill(past)
        report("history", sum(took.values()), "s", devices=past.devices, days=past.days, took=took)
        from telemetry import partitions

        for size in partitions.sizes():
            each = round(size.bytes / size.rows, 1) if size.rows else None
            report("history.table", size.bytes, "bytes", table=size.table, rows=size.rows, bytes_a_row=each)
    return 0


if __name__ == "__main__":
    sys.exit(main())
