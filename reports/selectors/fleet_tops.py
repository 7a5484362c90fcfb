"""Who stands out: reservations that hold idle GPUs, the hottest GPUs, those with most errors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection

from allocations.models import Lease
from allocations.selectors.usage import UsageSums, idlest
from reports.selectors.fleet_counts import HOT_BY
from reports.selectors.fleet_rows import Gpu, Holding

SHOWN = 10
ERROR_DAYS = 30
KINDS = ("xid", "lost", "quarantined", "nvml_stalled", "no_inventory", "layout_failed")
_ERRORS = """
SELECT device_id, count(*), count(*) FILTER (WHERE kind = 'xid'), max(at),
       (array_agg(detail->>'xid' ORDER BY at DESC) FILTER (WHERE kind = 'xid'))[1]
FROM cluster_deviceevent
WHERE device_id IS NOT NULL AND kind = ANY(%(kinds)s) AND at > %(since)s AND at <= %(until)s GROUP BY device_id
"""


@dataclass(frozen=True)
class IdleHolding:
    """A running reservation and what was decided of its use so far."""

    holding: Holding
    sums: UsageSums

    @property
    def share(self) -> float:
        """Idle of what was measured, per cent."""
        return 100 * (self.sums.idle_share or 0)


class Errors(NamedTuple):
    """What was reported of a device in the thirty days before."""

    device: int
    errors: int
    xids: int
    last_at: datetime
    last_xid: str | None


@dataclass(frozen=True)
class Faulty:
    """A GPU and its errors of the last thirty days."""

    gpu: Gpu
    errors: int
    xids: int
    last_at: datetime
    last_xid: str | None


IDLE_ORDERS = ("hours", "share", "held", "gpus")
HOT_ORDERS = tuple(HOT_BY)
ERROR_ORDERS: dict[str, Any] = {
    "errors": lambda row: (row.errors, row.last_at),
    "xids": lambda row: (row.xids, row.last_at),
    "last": lambda row: row.last_at,
}
"""What each list can be sorted by, the largest first; the first key is the usual one."""


def idle_sums(held: Iterable[int], by: str) -> dict[int, UsageSums]:
    """By key those of these reservations that run and have most idle GPU-hours, decided ones alone. One statement."""
    running = Lease.objects.filter(pk__in=list(held), state__in=("active", "draining"))
    return idlest(running, by if by in IDLE_ORDERS else IDLE_ORDERS[0], SHOWN)


def errors_until(until: datetime) -> list[Errors]:
    """Devices with XIDs, losses, quarantines or a driver that hung in the thirty days before. One statement."""
    values: dict[str, Any] = {"kinds": list(KINDS), "since": until - timedelta(days=ERROR_DAYS), "until": until}
    with connection.cursor() as cursor:
        cursor.execute(_ERRORS, values)
        return [Errors._make(row) for row in cursor.fetchall()]


def most_errors(found: Iterable[Errors], among: Iterable[int], by: str) -> list[Errors]:
    """Those of them that stand out, of these devices."""
    known, order = set(among), ERROR_ORDERS.get(by) or next(iter(ERROR_ORDERS.values()))
    return sorted((row for row in found if row.device in known), key=order, reverse=True)[:SHOWN]


def faulty(rows: Iterable[Errors], gpus: Mapping[int, Gpu]) -> list[Faulty]:
    """With their GPUs."""
    return [Faulty(gpus[row.device], *row[1:]) for row in rows if row.device in gpus]
