"""Who stands out: reservations that hold idle GPUs, the hottest GPUs, those with most errors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from allocations.models import Lease
from allocations.selectors.usage import UsageSums, sums_by
from reports.selectors.fleet_rows import Gpu, Holding

SHOWN = 10
ERROR_DAYS = 30
ERRORS = ("xid", "lost", "quarantined", "nvml_stalled", "no_inventory", "layout_failed")
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


@dataclass(frozen=True)
class Faulty:
    """A GPU and its errors of the last thirty days."""

    gpu: Gpu
    errors: int
    xids: int
    last_at: datetime
    last_xid: str | None


IDLE_ORDERS = {
    "hours": lambda row: row.sums.unused_seconds,
    "share": lambda row: row.share,
    "held": lambda row: row.sums.held_seconds,
    "gpus": lambda row: row.holding.device_count,
}
HOT_ORDERS = {
    "temperature": lambda gpu: gpu.temperature_c,
    "power": lambda gpu: gpu.power_watts or 0,
    "utilisation": lambda gpu: gpu.utilisation_percent or 0,
}
ERROR_ORDERS = {
    "errors": lambda row: (row.errors, row.last_at),
    "xids": lambda row: (row.xids, row.last_at),
    "last": lambda row: row.last_at,
}
"""What each list can be sorted by, the largest first; the first key is the usual one."""


def most_idle(held: Mapping[int, Holding], by: str) -> list[IdleHolding]:
    """Running reservations with idle GPU-hours, decided ones alone. One statement."""
    running = [pk for pk, row in held.items() if row.state in ("active", "draining")]
    found = sums_by("lease", Lease.objects.filter(pk__in=running)) if running else {}
    rows = [IdleHolding(held[pk], sums) for pk, sums in found.items() if sums.unused_seconds]
    return sorted(rows, key=_order(IDLE_ORDERS, by), reverse=True)[:SHOWN]


def hottest(gpus: Iterable[Gpu], by: str) -> list[Gpu]:
    """GPUs whose temperature was measured, by what was asked."""
    measured = [gpu for gpu in gpus if gpu.temperature_c is not None and not gpu.profile]
    return sorted(measured, key=_order(HOT_ORDERS, by), reverse=True)[:SHOWN]


def most_errors(gpus: Iterable[Gpu], until: datetime, by: str) -> list[Faulty]:
    """GPUs with XIDs, losses, quarantines or a driver that hung in the thirty days before. One statement."""
    known = {gpu.pk: gpu for gpu in gpus}
    values: dict[str, Any] = {"kinds": list(ERRORS), "since": until - timedelta(days=ERROR_DAYS), "until": until}
    with connection.cursor() as cursor:
        cursor.execute(_ERRORS, values)
        rows = [Faulty(known[pk], *rest) for pk, *rest in cursor.fetchall() if pk in known]
    return sorted(rows, key=_order(ERROR_ORDERS, by), reverse=True)[:SHOWN]


def _order(orders: Mapping[str, Any], by: str) -> Any:
    return orders.get(by) or next(iter(orders.values()))
