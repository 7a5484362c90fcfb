"""How much of a pool is free, booked and promised in a window. Reads only; three queries, the database counts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Count, QuerySet, Value
from django.utils import timezone

from allocations.lifecycle import OPEN
from allocations.models import Allocation
from allocations.selectors.availability import Window, free_devices
from cluster.models import Device, Pool
from cluster.selectors import bookable_devices

_KNOWN, _BOOKABLE = -2, -1
"""Beside the numbers of the windows: what is counted whatever the window."""

_PEAK = """
SELECT {number}, pool_id, max(level)::int FROM (
    SELECT pool_id, sum(sum(change)) OVER (PARTITION BY pool_id ORDER BY at) AS level FROM (
        SELECT w.pool_id, edge.at, edge.change FROM (
            SELECT n.pool_id, greatest(lower(p.window), %(start_{number})s) AS since, upper(p.window) AS until,
                   count(*) AS size
            FROM allocations_placement p JOIN cluster_node n ON n.id = p.node_id
            WHERE NOT p.released AND p.window && tstzrange(%(start_{number})s, %(end_{number})s)
              AND n.pool_id = ANY(%(pools)s) AND {kind}
            GROUP BY 1, 2, 3
        ) AS w, LATERAL (VALUES (since, size), (until, -size)) AS edge (at, change)
        WHERE edge.at < %(end_{number})s
    ) AS edges GROUP BY pool_id, at
) AS levels GROUP BY pool_id"""
"""The most devices that leases hold at one moment of a window. Windows are half open: at a moment all changes add up.

Bounds are literals, not rows of a join: the statistics of the windows then choose how to find them.
"""
_KINDS = {
    "whole": "p.lease_id IS NOT NULL AND p.board_id = p.device_id",
    "part": "p.lease_id IN (SELECT id FROM allocations_lease WHERE profile = %(profile)s)",
}


@dataclass(frozen=True)
class Capacity:
    """A pool in a window: devices known, bookable, most of them booked at once, free throughout, promised by awards."""

    devices: int
    bookable: int
    booked_peak: int
    free: int
    promised: int


def capacity(
    pool: Pool,
    starts_at: datetime,
    ends_at: datetime,
    *,
    tenants: Collection[int] | None = None,
    envelope: int | None = None,
    profile: str = "",
) -> Capacity:
    """The pool in one window: a fixed number of queries whatever its size."""
    span = (starts_at, ends_at)
    return capacities([pool], [span], tenants=tenants, envelope=envelope, profile=profile)[pool.pk, span]


def capacities(
    pools: list[Pool],
    windows: list[Window],
    *,
    tenants: Collection[int] | None = None,
    envelope: int | None = None,
    profile: str = "",
) -> dict[tuple[int, Window], Capacity]:
    """Each pool in each window, by (pool's key, window): three queries, however many of each.

    Whole GPUs (one that is cut up cannot be booked), or MIG instances of a profile. With `tenants` and `envelope`,
    `free` is what these organisations could have; see free_devices.
    """
    if not pools or not windows:
        return {}
    counted = _counted(pools, windows, {"tenants": tenants, "envelope": envelope, "profile": profile})
    peaks = _peaks(pools, windows, profile)
    first, last = min(start for start, _end in windows), max(end for _start, end in windows)
    promised = list(
        Allocation.objects.filter(
            pool__in=pools, state__in=OPEN, valid_from__lt=last, valid_until__gt=first
        ).values_list("pool_id", "valid_from", "valid_until", "concurrent_gpus")
    )
    return {
        (pool.pk, (start, end)): Capacity(
            devices=counted.get((_KNOWN, pool.pk), 0),
            bookable=counted.get((_BOOKABLE, pool.pk), 0),
            booked_peak=peaks.get((number, pool.pk), 0),
            free=counted.get((number, pool.pk), 0),
            promised=sum(
                gpus for pool_id, since, until, gpus in promised if pool_id == pool.pk and since < end and until > start
            ),
        )
        for pool in pools
        for number, (start, end) in enumerate(windows)
    }


def _counted(pools: Sequence[Pool], windows: Sequence[Window], whose: dict[str, Any]) -> dict[tuple[int, int], int]:
    """Devices by (what is counted, pool): known, bookable, and free in each window; one query."""
    profile, now = whose["profile"], timezone.now()
    there = Device.objects.filter(node__pool__in=pools, profile=profile).exclude(state="retired")
    found = [_by_pool(there, _KNOWN), _by_pool(bookable_devices(*pools, profile=profile), _BOOKABLE)]
    for number, (start, end) in enumerate(windows):
        found += [_by_pool(free_devices(pool, start, end, now=now, **whose), number) for pool in pools]
    return {(number, pool_id): size for number, pool_id, size in found[0].union(*found[1:], all=True)}


def _by_pool(devices: QuerySet[Device], number: int) -> Any:
    rows: Any = devices.order_by().annotate(number=Value(number))
    return rows.values_list("number", "node__pool_id").annotate(size=Count("pk"))


def _peaks(pools: Sequence[Pool], windows: Sequence[Window], profile: str) -> dict[tuple[int, int], int]:
    """The most that is booked at once, by (window's number, pool); one query."""
    values: dict[str, Any] = {"pools": [pool.pk for pool in pools], "profile": profile}
    for number, (start, end) in enumerate(windows):
        values |= {f"start_{number}": start, f"end_{number}": end}
    kind = _KINDS["part" if profile else "whole"]
    asked = (_PEAK.format(number=number, kind=kind) for number in range(len(windows)))
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL".join(asked), values)
        return {(number, pool_id): most for number, pool_id, most in cursor.fetchall()}
