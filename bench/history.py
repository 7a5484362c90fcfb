"""A fleet with a past, quickly: leases over the whole span, minutes, hours, days and what was made of each held hour.

`with django_on_servers(): fill(Past(devices=2500, days=90))` fills the tables of other benchmarks, past the services
and by INSERT .. SELECT generate_series; every figure follows from the keys, so that two runs agree. On its own
(`python -m bench.history --devices 2500 --days 90`) it says what took how long and how large the tables are.

Of all devices and machines there is as much as pages and jobs read: the last hours and days, one hour of minutes and
one day of hours far back (`looked_minute`, `looked_hour`: where the fleet's screen is asked for the past). Of the first
`shown` devices and their machines all is there that a page reads of one device, machine or reservation. Ninety days of
minutes of 25,000 devices would be 3,240 million rows.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bench import history_sql as sql
from bench.results_writer import report

GPUS_A_NODE = 8
LEASE_DAYS = 10
HOUR = timedelta(hours=1)


SHOWN_MINUTES = timedelta(days=10)
"""No page reads minutes of a longer time: of one there are hours."""
LOOKED_MINUTE, LOOKED_HOUR = timedelta(hours=20), timedelta(days=60)
"""How long before now the fleet's screen is asked for a minute, and for an hour."""


@dataclass(frozen=True)
class Past:
    """How much of it. `usage_days`: of so many days each held hour of the `shown` devices is there, of all devices
    those of `all_usage_days`; days are there for the whole span.
    """

    devices: int
    days: int = 90
    shown: int = 32
    sample_minutes: int = 70
    minute_hours: int = 3
    hour_days: int = 2
    usage_days: int = 62
    all_usage_days: int = 1

    @property
    def nodes(self) -> int:
        """Nodes of eight GPUs."""
        return -(-self.devices // GPUS_A_NODE)

    def values(self, now: Any) -> dict[str, Any]:
        """What the statements are told."""
        hour, since = now.replace(minute=0), (now - timedelta(days=self.days)).replace(minute=0)
        return {
            "now": now,
            "hour": hour,
            "since": since,
            "shown": self.shown,
            "shown_nodes": -(-self.shown // GPUS_A_NODE),
            "samples_since": now - timedelta(minutes=self.sample_minutes),
            "shown_minutes_since": max(since, now - SHOWN_MINUTES).replace(minute=0),
            "minutes_since": hour - self.minute_hours * HOUR,
            "hours_since": hour - timedelta(days=self.hour_days),
            "looked_minute": (now - LOOKED_MINUTE).replace(minute=0),
            "looked_hour": hour - LOOKED_HOUR - HOUR,
            "usage_since": max(since, hour - timedelta(days=self.usage_days)),
            "all_usage_since": hour - timedelta(days=self.all_usage_days),
        }


def fill(past: Past, now: datetime | None = None) -> dict[str, float]:
    """Write it, up to this moment; seconds by what was written."""
    from django.utils import timezone

    from telemetry import partitions

    now = (now or timezone.now()).replace(second=0, microsecond=0)
    values, took = past.values(now), dict[str, float]()
    with _clock(took, "partitions"):
        partitions.ensure(now, since=values["since"])
    _run("SET synchronous_commit = off; SET session_replication_role = replica", {})  # no look at each foreign key
    with _clock(took, "programme"):
        _programme(past, now).write()
    for name, statement in sql.STATEMENTS:
        with _clock(took, name):
            _run(statement, values)
    _run("RESET synchronous_commit; RESET session_replication_role", {})
    _marks(now)
    with _clock(took, "vacuum"):
        _run("VACUUM (ANALYZE)", {})  # what the server does by itself within a minute or two, beside the first readers
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
    for name in ("devices", "days", "shown", "minute_hours", "usage_days", "all_usage_days"):
        default = 2500 if name == "devices" else getattr(Past, name)
        options.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    past = Past(**vars(options.parse_args()))
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
