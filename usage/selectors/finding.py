"""Which GPUs of running reservations stand idle by the rule that holds for them. One statement for the whole house."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from common.moments import hour_of
from usage.lifecycle import CASE_OPEN
from usage.selectors.evidence_sql import HOURS

LATENESS = timedelta(hours=1)
"""So long an hour waits for late data before it is decided; a rule looks at decided hours only."""

_FOUND = """
WITH held AS (
    SELECT l.id AS lease_id, p.device_id, r.*,
           count(*) OVER (PARTITION BY l.id) AS devices,
           greatest(l.starts_at, l.active_at, coalesce(p.used_from, l.active_at)) AS began
    FROM allocations_lease l
    JOIN allocations_allocation a ON a.id = l.allocation_id
    JOIN projects_project j ON j.id = a.project_id
    JOIN allocations_placement p ON p.lease_id = l.id AND NOT p.released AND p.left_by_id IS NULL
     AND p.used_until IS NULL AND (p.came_by_id IS NULL OR p.used_from IS NOT NULL)
    CROSS JOIN LATERAL (
        SELECT rule.id AS rule_id, rule.window_seconds, rule.idle_percent, rule.measured_percent, rule.counts_parked,
               rule.counts_hung, rule.first_seconds, rule.grace_seconds, rule.takes_part
        FROM usage_idlerule rule
        WHERE rule.state = 'on' AND (rule.agreement_id = j.agreement_id
           OR rule.agreement_id IS NULL AND (rule.pool_id = a.pool_id OR rule.pool_id IS NULL))
        ORDER BY rule.agreement_id IS NULL, rule.pool_id IS NULL LIMIT 1
    ) r
    WHERE l.state = 'active' AND l.active_at IS NOT NULL
      AND l.ends_at > %(now)s::timestamptz + make_interval(secs => r.grace_seconds)
      AND NOT EXISTS (SELECT 1 FROM usage_idlecase c
                      WHERE c.lease_id = l.id AND (c.state = ANY(%(open)s) OR c.exempt_until > %(now)s))
),
spans AS MATERIALIZED (
    SELECT held.*, %(until)s::timestamptz - make_interval(secs => window_seconds) AS since,
           %(until)s::timestamptz AS until
    FROM held
    WHERE began + make_interval(secs => first_seconds)
          <= %(until)s::timestamptz - make_interval(secs => window_seconds)
),
hours AS ($HOURS),
sums AS (
    SELECT s.lease_id, s.device_id, s.rule_id, s.devices, s.takes_part, s.since,
           sum(h.used + h.idle + h.parked + h.hung) AS measured,
           sum(h.idle + CASE WHEN s.counts_parked THEN h.parked ELSE 0 END
                      + CASE WHEN s.counts_hung THEN h.hung ELSE 0 END) AS idle
    FROM spans s JOIN hours h ON h.lease_id = s.lease_id AND h.device_id = s.device_id
    GROUP BY s.lease_id, s.device_id, s.rule_id, s.devices, s.takes_part, s.since, s.window_seconds,
             s.measured_percent, s.idle_percent
    HAVING 100 * sum(h.used + h.idle + h.parked + h.hung) >= s.measured_percent * s.window_seconds
       AND 100 * sum(h.idle + CASE WHEN s.counts_parked THEN h.parked ELSE 0 END
                            + CASE WHEN s.counts_hung THEN h.hung ELSE 0 END)
           >= s.idle_percent * sum(h.used + h.idle + h.parked + h.hung)
),
found AS (SELECT sums.*, count(*) OVER (PARTITION BY lease_id) AS idle_devices FROM sums)
SELECT lease_id, rule_id, device_id, idle, measured, idle_devices = devices, since
FROM found WHERE takes_part OR idle_devices = devices
ORDER BY lease_id, device_id
""".replace("$HOURS", HOURS)


@dataclass(frozen=True)
class IdleDevice:
    """A GPU of a running reservation that stood idle in the rule's window, with its device-seconds there."""

    device_id: int
    idle_seconds: int
    measured_seconds: int


@dataclass(frozen=True)
class Finding:
    """A reservation of which GPUs stand idle by a rule in [since, until); `whole`: all that it has."""

    lease_id: int
    rule_id: int
    devices: tuple[IdleDevice, ...]
    whole: bool
    since: datetime
    until: datetime


def decided_until(now: datetime) -> datetime:
    """The end of the last hour that may be decided by now."""
    return hour_of(now - LATENESS)


def find_idle(now: datetime) -> list[Finding]:
    """Every reservation without an open case that a rule would notice now; one statement.

    Gaps, maintenance and faults never count: what is not measured is missing from the share that must be. Hours that
    are not decided yet are gaps.
    """
    until = decided_until(now)
    found: dict[int, list[Any]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_FOUND, {"now": now, "until": until, "open": list(CASE_OPEN)})
        for row in cursor.fetchall():
            found[row[0]].append(row)
    return [
        Finding(
            lease_id=key,
            rule_id=rows[0][1],
            devices=tuple(IdleDevice(row[2], int(row[3]), int(row[4])) for row in rows),
            whole=rows[0][5],
            since=rows[0][6],
            until=until,
        )
        for key, rows in found.items()
    ]
