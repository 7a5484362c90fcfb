"""What a rule would have done with what was measured, before anybody switches it on. Reads only."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from common.errors import RuleBroken
from usage.models import IdleRule
from usage.selectors.evidence_sql import HOURS, HOURS_OF_ONE
from usage.selectors.finding import decided_until

MOST_DAYS = 92
MOST_SECONDS = 20
SHOWN = 50
"""Reservations that are named, those of the most GPU-hours first; all are counted."""

_SUBJECT = """FROM allocations_lease l
    JOIN allocations_allocation a ON a.id = l.allocation_id
    JOIN projects_project j ON j.id = a.project_id
    WHERE l.active_at < %(until)s AND coalesce(l.drained_at, l.ends_at) > %(since)s AND l.state <> 'cancelled'
      AND (%(agreement)s::bigint IS NULL OR j.agreement_id = %(agreement)s)
      AND (%(pool)s::bigint IS NULL OR a.pool_id = %(pool)s)"""
_NARROWER = """EXISTS (
        SELECT 1 FROM usage_idlerule n WHERE n.state = 'on' AND %(agreement)s::bigint IS NULL
          AND (n.agreement_id = j.agreement_id
               OR n.agreement_id IS NULL AND n.pool_id = a.pool_id AND %(pool)s::bigint IS NULL))"""
_WOULD = """
WITH leases AS MATERIALIZED (
    SELECT l.id, l.public_id, least(coalesce(l.drained_at, l.ends_at), %(until)s::timestamptz) AS gone, l.active_at,
           l.starts_at, l.slices, l.slices_of
    $SUBJECT AND NOT $NARROWER
      AND (SELECT sum(d.idle_seconds + d.parked_seconds + d.hung_seconds) * l.slices_of FROM allocations_usageday d
           WHERE d.lease_id = l.id AND d.day >= (%(since)s::timestamptz AT TIME ZONE %(zone)s)::date)
          >= l.slices * %(window)s * %(idle)s / 100.0 * %(measured)s / 100.0
),
held AS (
    SELECT l.id AS lease_id, p.device_id, min(greatest(l.starts_at, l.active_at, coalesce(p.used_from, l.active_at)))
             AS began
    FROM leases l JOIN allocations_placement p ON p.lease_id = l.id
    WHERE p.came_by_id IS NULL OR p.used_from IS NOT NULL
    GROUP BY 1, 2
),
spans AS MATERIALIZED (
    SELECT lease_id, device_id, greatest(%(since)s::timestamptz, began + make_interval(secs => %(first)s)) AS since,
           %(until)s::timestamptz AS until FROM held
),
hours AS ($HOURS),
idle_hours AS (
    SELECT lease_id, device_id, hour,
           idle + CASE WHEN %(parked)s THEN parked ELSE 0 END + CASE WHEN %(hung)s THEN hung ELSE 0 END AS idle
    FROM hours WHERE idle <> 0 OR parked <> 0 OR hung <> 0
),
rolled AS (
    SELECT lease_id, device_id, hour, sum(idle) OVER past AS idle FROM idle_hours
    WINDOW past AS (PARTITION BY lease_id, device_id ORDER BY hour
                    RANGE BETWEEN make_interval(secs => %(window)s - 3600) PRECEDING AND CURRENT ROW)
),
likely AS MATERIALIZED (
    SELECT r.lease_id, r.device_id, r.hour, r.idle,
           greatest(s.since, r.hour - make_interval(secs => %(window)s - 3600)) AS first,
           r.hour + make_interval(secs => %(grace)s + 3600) AS last
    FROM rolled r JOIN spans s ON s.lease_id = r.lease_id AND s.device_id = r.device_id
    WHERE 10000 * r.idle >= %(idle)s * %(measured)s * %(window)s::bigint
),
hits AS (
    SELECT l.lease_id, l.device_id, min(l.hour) + make_interval(secs => 7200 + %(grace)s) AS due
    FROM likely l
    CROSS JOIN LATERAL (
        SELECT sum(h.used + h.idle + h.parked + h.hung) FILTER (WHERE h.hour <= l.hour) AS measured,
               sum(h.used) FILTER (WHERE h.hour > l.hour) AS used_again
        FROM ($ONE) h
    ) around
    WHERE 100 * around.measured >= %(measured)s * %(window)s AND 100 * l.idle >= %(idle)s * around.measured
      AND coalesce(around.used_again, 0) < %(used_again)s
    GROUP BY 1, 2
),
taken AS (
    SELECT h.lease_id, l.public_id, l.gone, CASE WHEN %(part)s THEN h.due ELSE max(h.due) OVER one END AS due,
           count(*) OVER one AS idle_devices, l.slices::float8 / l.slices_of AS share,
           (SELECT count(*) FROM held d WHERE d.lease_id = h.lease_id) AS devices
    FROM hits h JOIN leases l ON l.id = h.lease_id
    WINDOW one AS (PARTITION BY h.lease_id)
)
SELECT public_id, count(*), sum(extract(epoch FROM gone - due) * share)::bigint, min(due)
FROM taken WHERE due < gone AND (%(part)s OR idle_devices = devices)
GROUP BY lease_id, public_id ORDER BY 3 DESC
"""
_WOULD = _WOULD.replace("$SUBJECT", _SUBJECT).replace("$NARROWER", _NARROWER)
_WOULD = _WOULD.replace("$HOURS", HOURS).replace("$ONE", HOURS_OF_ONE)
_LEFT_OUT = f"SELECT count(*) {_SUBJECT} AND {_NARROWER}"


@dataclass(frozen=True)
class Tryout:
    """What a rule would have taken back in [since, until), in device-seconds of whole GPUs.

    `left_out`: reservations of these days for which a narrower rule is on, idle or not; in no other figure.
    """

    days: int
    since: str
    until: str
    leases: int
    devices: int
    seconds: int
    left_out: int
    named: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """As it is kept with the rule."""
        return asdict(self)


def try_out(rule: IdleRule, days: int, now: datetime) -> Tryout:
    """Every reservation that the rule would have taken GPUs back from: found, not used again within the grace, taken
    back then. Those for which a narrower rule is on are left out, as that one holds, and counted. Two statements.

    An hour is found idle two hours after it began: when it is over and has waited for late data.
    """
    until = decided_until(now)
    since = until - timedelta(days=days)
    rows, left_out = _rows(_asked(rule) | {"since": since, "until": until, "zone": settings.TIME_ZONE})
    named = [
        {"lease": lease, "devices": devices, "seconds": int(seconds), "due_at": due.isoformat()}
        for lease, devices, seconds, due in rows[:SHOWN]
    ]
    return Tryout(
        days=days,
        since=since.isoformat(),
        until=until.isoformat(),
        leases=len(rows),
        devices=sum(row[1] for row in rows),
        seconds=sum(int(row[2]) for row in rows),
        left_out=left_out,
        named=named,
    )


def narrower_than(rule: IdleRule) -> QuerySet[IdleRule]:
    """The rules that are on and go before it: those of agreements, and of pools where it is the house's."""
    if rule.scope == "agreement":
        return IdleRule.objects.none()
    of = Q(agreement__isnull=False) | Q(pool__isnull=False) if rule.scope == "house" else Q(agreement__isnull=False)
    return IdleRule.objects.filter(of, state="on").select_related("pool", "agreement").order_by("agreement", "pool")


def _asked(rule: IdleRule) -> dict[str, Any]:
    return {
        "pool": rule.pool_id,
        "agreement": rule.agreement_id,
        "window": rule.window_seconds,
        "idle": rule.idle_percent,
        "measured": rule.measured_percent,
        "parked": rule.counts_parked,
        "hung": rule.counts_hung,
        "first": rule.first_seconds,
        "grace": rule.grace_seconds,
        "used_again": rule.used_again_seconds,
        "part": rule.takes_part,
    }


def _rows(values: dict[str, Any]) -> tuple[list[Any], int]:
    """In bounded time: whoever asks waits for it."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = %s", [f"{MOST_SECONDS}s"])
            cursor.execute(_WOULD, values)
            rows: list[Any] = cursor.fetchall()
            cursor.execute(_LEFT_OUT, values)
            (left_out,) = cursor.fetchone()
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
            return rows, left_out
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", None) != "57014":
            raise
        raise RuleBroken(
            _("So much history takes longer than %(seconds)s seconds to look through.") % {"seconds": MOST_SECONDS},
            code="too_much_history",
            remedy=_("Choose fewer days, or a rule of one pool or agreement."),
            field="days",
        ) from None
