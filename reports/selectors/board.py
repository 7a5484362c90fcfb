"""The capacity board: what there is, what is promised, booked and used, by pool or GPU class, by day or week.

Four queries (five with a change), whatever the span, the fleet and what is booked on it. Placements and awards are
counted in the database, which returns a row a bucket; what is reckoned here (the supply, and the steps of a change)
goes to it as a parameter, so that the most at one moment is exact in every bucket. What was let go of before its end
(a device that was replaced, a reservation that shrank) counts for as long as it was held; a MIG instance counts as its
part of a GPU.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Literal

from django.db import connection
from django.db.models import Count, Q
from django.db.models.functions import TruncDay
from django.utils import timezone

from allocations.lifecycle import OPEN
from cluster.models import Device, GpuClass, MaintenanceWindow, Pool
from cluster.selectors import WELL
from reports.capacity import Figures, NodeSupply, Span, Step, Window, edges, supply_steps

Rows = Literal["pool", "class"]
_GIVEN = ("at_pools", "ats", "physical", "out", "promised", "booked", "allowed")

_SWEEP = """
WITH shown AS (
    SELECT * FROM unnest(%(pools)s::bigint[], %(groups)s::bigint[]) AS t (pool_id, grp)
), windows AS MATERIALIZED (
    SELECT n.pool_id, lower(p.window) AS since, coalesce(upper(p.window), 'infinity') AS until,
           0 AS promised, 0 AS kept, count(*)::float8 AS booked
    FROM allocations_placement p JOIN cluster_node n ON n.id = p.node_id
    WHERE %(with_bookings)s AND NOT p.released AND p.lease_id IS NOT NULL AND n.pool_id = ANY(%(pools)s)
      AND lower(p.window) < %(end)s AND coalesce(upper(p.window), 'infinity') > %(start)s
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT n.pool_id, lower(p.window), coalesce(upper(p.window), 'infinity'), 0, 0, l.slices::float8 / l.slices_of - 1
    FROM cluster_device d
    JOIN allocations_placement p ON p.device_id = d.id
    JOIN allocations_lease l ON l.id = p.lease_id
    JOIN cluster_node n ON n.id = p.node_id
    WHERE %(with_bookings)s AND d.parent_id IS NOT NULL AND NOT p.released AND n.pool_id = ANY(%(pools)s)
      AND lower(p.window) < %(end)s AND coalesce(upper(p.window), 'infinity') > %(start)s
    UNION ALL
    SELECT n.pool_id, greatest(lower(p.window), l.starts_at), upper(p.window), 0, 0, l.slices::float8 / l.slices_of
    FROM allocations_placement p
    JOIN cluster_node n ON n.id = p.node_id
    JOIN allocations_lease l ON l.id = p.lease_id
    WHERE %(with_bookings)s AND p.released AND n.pool_id = ANY(%(pools)s) AND l.active_at < upper(p.window)
      AND lower(p.window) < %(end)s AND upper(p.window) > %(start)s AND l.starts_at < upper(p.window)
    UNION ALL
    SELECT pool_id, valid_from, valid_until, concurrent_gpus, 0, 0 FROM allocations_allocation
    WHERE state = ANY(%(open)s) AND valid_from < %(end)s AND valid_until > %(start)s
    UNION ALL
    SELECT a.pool_id, a.window_from, a.window_until, a.gpus, 0, 0
    FROM proposals_awardline a
    JOIN proposals_decision d ON d.id = a.decision_id
    JOIN proposals_proposal o ON o.id = d.proposal_id
    WHERE o.state = 'awarded' AND a.window_from < %(end)s AND a.window_until > %(start)s
    UNION ALL
    SELECT pool_id, starts_at, ends_at, 0, gpus, 0 FROM allocations_envelope
    WHERE let_go_at IS NULL AND starts_at < %(end)s AND ends_at > %(start)s
), steps AS (
    SELECT pool_id, greatest(since, %(start)s) AS at, 0 AS physical, 0 AS away, 0 AS allowed, promised, kept, booked
    FROM windows
    UNION ALL
    SELECT pool_id, until, 0, 0, 0, -promised, -kept, -booked FROM windows WHERE until < %(end)s
    UNION ALL
    SELECT pool_id, at, physical, away, allowed, promised, 0, booked
    FROM unnest(%(at_pools)s::bigint[], %(ats)s::timestamptz[], %(physical)s::int[], %(out)s::int[],
                %(promised)s::int[], %(booked)s::float8[], %(allowed)s::int[])
         AS t (pool_id, at, physical, away, promised, booked, allowed)
    UNION ALL
    SELECT s.pool_id, edge, 0, 0, 0, 0, 0, 0 FROM shown s, unnest(%(edges)s::timestamptz[]) AS edge
), moments AS (
    SELECT grp, at, sum(physical)::int AS physical, sum(away)::int AS away, sum(allowed)::int AS allowed,
           sum(promised)::int AS promised, sum(kept)::int AS kept, sum(booked) AS booked
    FROM steps JOIN shown USING (pool_id) GROUP BY grp, at
), levels AS (
    SELECT grp, at, lead(at) OVER moment AS until, sum(physical) OVER moment AS physical, sum(away) OVER moment AS away,
           sum(allowed) OVER moment AS allowed, sum(promised) OVER moment AS promised,
           sum(kept) OVER moment AS kept, sum(booked) OVER moment AS booked
    FROM moments WINDOW moment AS (PARTITION BY grp ORDER BY at)
)
SELECT grp, width_bucket(at, %(edges)s::timestamptz[]) - 1,
       max(physical), max(away), min(physical - away),
       max(promised), sum(promised * date_part('epoch', until - at)),
       max(booked), sum(booked * date_part('epoch', until - at)), min(physical - away - promised),
       max(kept), min(allowed) / 100, floor(min(allowed - 100 * promised) / 100.0)::int
FROM levels WHERE at < %(end)s GROUP BY 1, 2
"""
"""One pass over the placements, grouped by window, as fast as a scan is: a covering index is no faster. Bounds, not
`&&`, let it be a parallel one."""
_USED = """
WITH shown AS (
    SELECT * FROM unnest(%(pools)s::bigint[], %(groups)s::bigint[]) AS t (pool_id, grp)
)
SELECT grp, width_bucket(hour, %(edges)s::timestamptz[]) - 1, sum(used_seconds)::bigint
FROM telemetry_poolhour JOIN shown USING (pool_id)
WHERE hour >= %(start)s AND hour < %(end)s AND hour < %(now)s GROUP BY 1, 2
"""


@dataclass(frozen=True)
class Scope:
    """What the board shows: which pools, each by itself or by their class, in which buckets."""

    pools: tuple[Pool, ...]
    rows: Rows
    step: Span
    edges: tuple[datetime, ...]

    @property
    def start(self) -> datetime:
        """The beginning of the first bucket."""
        return self.edges[0]

    @property
    def end(self) -> datetime:
        """The end of the last bucket."""
        return self.edges[-1]

    def group_of(self, pool: Pool) -> int:
        """The key of the row that a pool is in."""
        return pool.pk if self.rows == "pool" else pool.gpu_class_id


@dataclass(frozen=True)
class Bucket:
    """A day or a week. `changed`: as it would be; None where nothing is asked."""

    since: datetime
    until: datetime
    now: Figures
    changed: Figures | None = None

    @property
    def shown(self) -> Figures:
        """What is drawn: as it would be, else as it is."""
        return self.changed or self.now


@dataclass(frozen=True)
class Group:
    """A pool, or all pools of a class."""

    key: int
    name: str
    gpu_class: GpuClass
    pools: tuple[Pool, ...]
    buckets: tuple[Bucket, ...]

    @property
    def over(self) -> list[Bucket]:
        """The buckets in which more is promised than could be lent."""
        return [bucket for bucket in self.buckets if bucket.shown.over]


def scope_of(
    pools: Iterable[Pool], first: date, until: date, *, step: Span, rows: Rows = "pool", zone: tzinfo | None = None
) -> Scope:
    """Pools (with their classes) from the beginning of one day to that of another, in the reader's zone."""
    found = edges(first, until, step, zone or timezone.get_current_timezone())
    return Scope(tuple(pools), rows, step, tuple(found))


def board(scope: Scope, now: datetime, steps: Sequence[Step] = ()) -> list[Group]:
    """Every row of the board; with `steps`, beside what they would make of it."""
    if not scope.pools:
        return []
    supply = [step for node in supplies(scope.pools, scope.start, scope.end) for step in supply_steps(node, now)]
    key = scope.group_of
    measured = _used(scope, key, now)
    today = swept(scope.pools, scope.edges, supply, key=key)
    changed = swept(scope.pools, scope.edges, [*supply, *steps], key=key) if steps else None
    groups: dict[int, list[Pool]] = defaultdict(list)
    for pool in scope.pools:
        groups[key(pool)].append(pool)
    return [
        Group(
            group,
            pools[0].name if scope.rows == "pool" else pools[0].gpu_class.name,
            pools[0].gpu_class,
            tuple(pools),
            tuple(
                Bucket(
                    since,
                    until,
                    replace(today[group, at], used_mean=measured.get((group, at))),
                    replace(changed[group, at], used_mean=measured.get((group, at))) if changed else None,
                )
                for at, (since, until) in enumerate(zip(scope.edges, scope.edges[1:], strict=False))
            ),
        )
        for group, pools in groups.items()
    ]


def supplies(pools: Iterable[Pool], start: datetime, end: datetime, *, nodes: Q | None = None) -> list[NodeSupply]:
    """The nodes of these pools (those of them that are asked for) and when they are closed: two queries.

    Whole GPUs are counted, also those that are lent in parts, from the day on which they joined (of the agency's zone):
    a node with GPUs of several days is here once for each.
    """
    closed: dict[int, list[Window]] = defaultdict(list)
    windows = MaintenanceWindow.objects.filter(
        cancelled_at=None, starts_at__lt=end, ends_at__gt=start, node__pool__in=pools
    )
    for node_id, since, until in windows.values_list("node_id", "starts_at", "ends_at"):
        closed[node_id].append((since, until))
    devices = Device.objects.filter(nodes or Q(), node__pool__in=pools, parent=None).exclude(state="retired")
    rows = (
        devices.exclude(node__state="retired")
        .order_by()
        .annotate(joined=TruncDay("joined_at", tzinfo=timezone.get_default_timezone()))
        .values_list("node_id", "node__name", "node__pool_id", "joined")
        .annotate(devices=Count("pk"), well=Count("pk", filter=WELL))
    )
    return [
        NodeSupply(node_id, name, pool_id, joined.astimezone(UTC), devices, devices - well, tuple(closed[node_id]))
        for node_id, name, pool_id, joined, devices, well in rows
    ]


def swept(
    pools: Sequence[Pool],
    between: Sequence[datetime],
    steps: Iterable[Step],
    *,
    key: Callable[[Pool], int] = lambda pool: pool.pk,
    bookings: bool = True,
) -> dict[tuple[int, int], Figures]:
    """Figures by (row, bucket) of these pools with these steps: one query. Without `bookings` none are counted."""
    start, end = between[0], between[-1]
    given = _given(steps, start, end, {pool.pk: 100 + pool.overcommit_percent for pool in pools})
    columns: list[Any] = [[row[place] for row in given] for place in range(len(_GIVEN))]
    values = dict(zip(_GIVEN, columns, strict=True))
    values |= {"with_bookings": bookings, "open": list(OPEN)}
    found = {}
    for group, at, *figures in _asked(_SWEEP, pools, between, key, values):
        physical, out, bookable, promised, promised_seconds, booked, booked_seconds, room, *promises = figures
        seconds = (between[at + 1] - between[at]).total_seconds()
        means = (promised_seconds / seconds, booked_seconds / seconds)
        most = math.ceil(round(booked, 6))  # parts of GPUs add up to whole ones
        found[group, at] = Figures(physical, out, bookable, promised, means[0], most, means[1], room, *promises)
    return found


def _given(steps: Iterable[Step], start: datetime, end: datetime, percents: dict[int, int]) -> list[tuple[Any, ...]]:
    """One row a pool and moment; what was before the beginning holds from it on. Last, what its pool's bound allows, in
    hundredths: `percents` are of these pools, steps of others are left out.
    """
    sums: dict[tuple[int, datetime], list[float]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for step in steps:
        if step.at < end and step.pool_id in percents:
            row = sums[step.pool_id, max(step.at, start)]
            allowed = step.physical * percents[step.pool_id]
            for place, value in enumerate((step.physical, step.out, step.promised, step.booked, allowed)):
                row[place] += value
    return [(pool_id, at, *row) for (pool_id, at), row in sums.items()]


def _used(scope: Scope, key: Callable[[Pool], int], now: datetime) -> dict[tuple[int, int], float]:
    """GPUs in use on average over that part of a bucket that has passed; buckets without a measurement are missing."""
    if scope.start >= now:
        return {}
    found = {}
    for group, at, seconds in _asked(_USED, scope.pools, scope.edges, key, {"now": now}):
        passed = (min(now, scope.edges[at + 1]) - scope.edges[at]).total_seconds()
        found[group, at] = seconds / max(1.0, passed)
    return found


def _asked(
    sql: str, pools: Sequence[Pool], between: Sequence[datetime], key: Callable[[Pool], int], values: dict[str, Any]
) -> list[tuple[Any, ...]]:
    values = values | {
        "pools": [pool.pk for pool in pools],
        "groups": [key(pool) for pool in pools],
        "edges": list(between),
        "start": between[0],
        "end": between[-1],
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


__all__ = ["Bucket", "Group", "Scope", "board", "scope_of", "supplies", "swept"]
