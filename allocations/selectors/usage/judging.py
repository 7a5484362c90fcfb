"""The one rule that says what a held minute of a device was, as one statement for deciding, showing and revising.

Spans (who holds which device from when to when) are cut into hours, hours into minutes, and each minute is held
against the device's rollup of it. Every held second comes out exactly once, whatever is missing.
"""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import connection

from allocations.usage_rule import RULE, UsageRule
from cluster.xids import DEFAULTS
from common.moments import hour_of

PUNCTUAL_SECONDS = 60
"""A handover this soon after the start is on time: preparing takes a moment when somebody books from now on."""
LOSSES = ("lost", "quarantined")
"""What takes a device away from a lease that runs; it never comes back to the same lease."""

SPANS = """
span AS MATERIALIZED (
    SELECT p.id, p.lease_id, p.device_id, p.node_id, at.starts, ended.ends, given_back.at AS given_back,
           ready.at AS ready,
           ready.at - greatest(l.starts_at, l.created_at) > make_interval(secs => %(punctual)s) AS late,
           trouble.at AS fault_at, d.power_limit_watts, i.watts AS idle_watts
    FROM allocations_placement p
    JOIN allocations_lease l ON l.id = p.lease_id
    JOIN cluster_device d ON d.id = p.device_id
    LEFT JOIN telemetry_idlepower i ON i.gpu_class_id = d.gpu_class_id AND d.parent_id IS NULL
    CROSS JOIN LATERAL (SELECT coalesce(p.used_from, l.starts_at) AS held_from) begun
    CROSS JOIN LATERAL (SELECT date_trunc('second', begun.held_from) AS starts) at
    CROSS JOIN LATERAL (SELECT least(coalesce(l.drained_at, l.ends_at), p.used_until) AS at) given_back
    CROSS JOIN LATERAL (
        SELECT least(date_trunc('second', %(until)s::timestamptz), at.starts + make_interval(
            secs => greatest(0, floor(extract(epoch FROM given_back.at - begun.held_from))::int))) AS ends
    ) ended
    CROSS JOIN LATERAL (SELECT coalesce(p.used_from, greatest(l.starts_at, l.active_at)) AS at) ready
    LEFT JOIN LATERAL (
        SELECT min(e.at) AS at FROM cluster_deviceevent e
        WHERE e.device_id IN (p.device_id, p.board_id) AND e.at > greatest(begun.held_from, l.active_at)
          AND e.at < ended.ends
          AND (e.kind = ANY(%(losses)s) OR e.kind = 'xid' AND coalesce(
              (SELECT x.level = 'fail' FROM cluster_xidpolicy x WHERE x.xid = (e.detail ->> 'xid')::int),
              (e.detail ->> 'xid')::int = ANY(%(fatal)s::int[])
          ))
    ) trouble ON true
    WHERE l.active_at IS NOT NULL
      AND l.starts_at < %(until)s::timestamptz AND coalesce(l.drained_at, l.ends_at) > %(since)s::timestamptz
      AND (%(leases)s::bigint[] IS NULL OR l.id = ANY(%(leases)s::bigint[]))
      AND (NOT p.released OR upper_inf(p.window) OR upper(p.window) > l.active_at)
      AND (p.came_by_id IS NULL OR p.used_from IS NOT NULL)
)"""

_UNDECIDED = """
      AND NOT EXISTS (
          SELECT 1 FROM allocations_usagehour u
          WHERE u.lease_id = s.lease_id AND u.device_id = s.device_id AND u.hour = h.hour
      )"""

_JUDGED = """
piece AS (
    SELECT s.*, h.hour, greatest(s.starts, h.hour, %(since)s::timestamptz) AS begins,
           least(s.ends, h.hour + interval '1 hour') AS stops
    FROM span s
    CROSS JOIN LATERAL generate_series(
        date_trunc('hour', greatest(s.starts, %(since)s::timestamptz)), s.ends - interval '1 microsecond', '1 hour'
    ) AS h (hour)
    WHERE s.ends > s.starts{undecided}
),
held AS (
    SELECT p.*, m.*, extract(epoch FROM
        least(p.stops, m.minute + interval '1 minute') - greatest(p.begins, m.minute))::int AS seconds
    FROM piece p
    CROSS JOIN LATERAL (
        SELECT g.minute, d.samples, d.utilisation_percent, d.sm_active_percent, d.power_watts, d.memory_used_mib,
               d.process_count, d.energy_j
        FROM generate_series(date_trunc('minute', p.begins), p.stops - interval '1 microsecond', '1 minute') g (minute)
        LEFT JOIN telemetry_deviceminute d ON d.device_id = p.device_id AND d.minute = g.minute
         AND d.minute >= date_trunc('minute', p.begins) AND d.minute < p.stops
         AND d.minute >= %(since)s::timestamptz AND d.minute < %(until)s::timestamptz
        OFFSET 0
    ) AS m
),
hung AS (
    SELECT lease_id, device_id, min(minute) AS first, max(minute) AS last
    FROM (
        SELECT s.lease_id, s.device_id, m.minute, m.minute - interval '1 minute'
               * row_number() OVER (PARTITION BY s.lease_id, s.device_id ORDER BY m.minute) AS island
        FROM span s
        CROSS JOIN LATERAL (
            SELECT d.minute FROM telemetry_deviceminute d
            WHERE d.device_id = s.device_id AND d.minute >= date_trunc('minute', s.ready) AND d.minute < s.given_back
              AND d.minute > %(since)s::timestamptz - make_interval(mins => %(hung_minutes)s)
              AND d.minute < %(until)s::timestamptz + make_interval(mins => %(hung_minutes)s)
              AND d.utilisation_percent >= %(hung_utilisation)s AND d.sm_active_percent <= %(hung_sm)s
              AND coalesce(d.power_watts < %(hung_power_share)s * s.power_limit_watts, true)
            OFFSET 0
        ) AS m
    ) AS candidates
    GROUP BY lease_id, device_id, island HAVING count(*) >= %(hung_minutes)s
),
closed AS MATERIALIZED (
    SELECT node_id, starts_at, least(ends_at, cancelled_at) AS ends_at FROM cluster_maintenancewindow
    WHERE starts_at < %(until)s::timestamptz AND least(ends_at, cancelled_at) > greatest(starts_at, %(since)s)
),
judged AS (
    SELECT h.id, h.lease_id, h.device_id, h.hour, h.minute, h.seconds, coalesce(h.samples, 0) AS samples,
           coalesce(h.energy_j * h.seconds / 60.0, 0) AS energy_j,
           CASE
               WHEN h.minute + interval '1 minute' <= h.ready THEN CASE WHEN h.late THEN 'F' ELSE 'N' END
               WHEN h.minute + interval '1 minute' > h.fault_at THEN 'F'
               WHEN h.utilisation_percent > %(idle_utilisation)s OR h.sm_active_percent > %(idle_sm)s
                 OR h.power_watts > h.idle_watts + CASE
                        WHEN h.process_count > 0 OR h.memory_used_mib > %(parked_mib)s THEN %(context_watts_above)s
                        ELSE %(idle_watts_above)s END
                    AND coalesce(h.utilisation_percent, h.sm_active_percent) IS NOT NULL
                 THEN CASE WHEN g.first IS NULL THEN 'U' ELSE 'H' END
               WHEN EXISTS (
                   SELECT 1 FROM closed c WHERE c.node_id = h.node_id
                    AND c.starts_at < h.minute + interval '1 minute' AND c.ends_at > h.minute
               ) THEN 'M'
               WHEN coalesce(h.utilisation_percent, h.sm_active_percent) IS NULL THEN 'N'
               WHEN h.memory_used_mib > %(parked_mib)s THEN 'P'
               ELSE 'I'
           END AS code
    FROM held h
    LEFT JOIN hung g ON g.lease_id = h.lease_id AND g.device_id = h.device_id AND h.minute BETWEEN g.first AND g.last
)"""

_SUMS = """
    sum(seconds)::int AS held_seconds,
    coalesce(sum(seconds) FILTER (WHERE code = 'U'), 0)::int AS used_seconds,
    coalesce(sum(seconds) FILTER (WHERE code = 'I'), 0)::int AS idle_seconds,
    coalesce(sum(seconds) FILTER (WHERE code = 'P'), 0)::int AS parked_seconds,
    coalesce(sum(seconds) FILTER (WHERE code = 'H'), 0)::int AS hung_seconds,
    coalesce(sum(seconds) FILTER (WHERE code = 'N'), 0)::int AS no_data_seconds,
    coalesce(sum(seconds) FILTER (WHERE code = 'F'), 0)::int AS fault_seconds,
    coalesce(sum(seconds) FILTER (WHERE code = 'M'), 0)::int AS maintenance_seconds,
    sum(samples)::int AS samples, round(sum(energy_j))::bigint AS energy_j"""

# A device that left a lease and came back to it within an hour has two parts of it: their letters are put together.
_HOURS = f""",
part AS (
    SELECT id, lease_id, device_id, hour, min(minute) AS first, max(minute) AS last,
           string_agg(code, '' ORDER BY minute) AS letters, {_SUMS}
    FROM judged GROUP BY id, lease_id, device_id, hour
),
placed AS (
    SELECT part.*, coalesce(extract(epoch FROM first - lag(last) OVER same)::int / 60,
           extract(epoch FROM first - hour)::int / 60 + 1) AS gap
    FROM part WINDOW same AS (PARTITION BY lease_id, device_id, hour ORDER BY first)
),
hours AS (
    SELECT lease_id, device_id, hour,
           rpad(string_agg(repeat(' ', greatest(gap - 1, 0)) || substr(letters, greatest(2 - gap, 1)), ''
                ORDER BY first), 60) AS codes,
           sum(held_seconds)::int AS held_seconds, sum(used_seconds)::int AS used_seconds,
           sum(idle_seconds)::int AS idle_seconds, sum(parked_seconds)::int AS parked_seconds,
           sum(hung_seconds)::int AS hung_seconds, sum(no_data_seconds)::int AS no_data_seconds,
           sum(fault_seconds)::int AS fault_seconds, sum(maintenance_seconds)::int AS maintenance_seconds,
           sum(samples)::int AS samples, sum(energy_j)::bigint AS energy_j
    FROM placed GROUP BY lease_id, device_id, hour
)"""  # noqa: S608 (constants only)

UNDECIDED = f"WITH {SPANS}, {_JUDGED.format(undecided=_UNDECIDED)}"
"""Begin of a statement about `judged`: a row a minute that is held in [since, until) and not decided."""
UNDECIDED_HOURS = UNDECIDED + _HOURS
"""The same about `hours`: a row an hour of a device of a lease, as `UsageHour` keeps it."""
ANEW = f"WITH {SPANS}, {_JUDGED.format(undecided='')}"
"""As `UNDECIDED`, of decided minutes as well: what the rule says now."""
ANEW_HOURS = ANEW + _HOURS
SUMS = _SUMS


def window(
    since: datetime, until: datetime, leases: Iterable[int] | None = None, rule: UsageRule = RULE
) -> dict[str, Any]:
    """The values of these statements, for the leases with these keys; None: all."""
    return asdict(rule) | {
        "since": hour_of(since),
        "until": until,
        "leases": None if leases is None else list(leases),
        "punctual": PUNCTUAL_SECONDS,
        "losses": list(LOSSES),
        "fatal": [xid for xid, rule in DEFAULTS.items() if rule.level == "fail"],
    }


def run(sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of one statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
