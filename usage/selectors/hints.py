"""What reservations could make more of, from what was measured. Reads only: two queries, whatever their number."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from allocations.models import Lease
from allocations.selectors.usage import judging
from allocations.usage_classes import UsageClass
from common.errors import Text
from usage import hint_words
from usage.hint_rules import HINT_RULE, LOOKED_AT, MOST_HINTS, MOST_LEASES
from usage.selectors.evidence_sql import HOURS_OF_LEASES

_ALONE = (
    "NOT EXISTS (SELECT FROM company o WHERE o.lease_id = {lease} AND o.node_id = {node}"
    " AND o.window && tstzrange({hour}, {hour} + interval '1 hour'))"
)
"""What a machine did tells of everybody on it: hours in which others had GPUs of it are not looked at."""
_SEEN = f"""
WITH evidence AS (
    SELECT lease_id, device_id, hour, sum(used) AS used, sum(idle) AS idle, sum(parked) AS parked, sum(hung) AS hung
    FROM ({HOURS_OF_LEASES}) AS hours GROUP BY 1, 2, 3
),
company AS MATERIALIZED (
    SELECT DISTINCT mine.lease_id, mine.node_id, p.window
    FROM (SELECT DISTINCT e.lease_id, c.node_id FROM evidence e JOIN cluster_device c ON c.id = e.device_id) AS mine
    JOIN allocations_placement p ON p.node_id = mine.node_id AND p.lease_id <> mine.lease_id
      AND p.window && tstzrange(%(since)s, %(until)s)
    JOIN allocations_lease l ON l.id = p.lease_id AND l.active_at < %(until)s
),
spells AS (
    SELECT m.node_id, n.hour, array_agg(extract(minute FROM m.minute)::int) AS minutes, avg(m.cpu_percent) AS cpu,
           avg(m.disk_read_bytes) AS disk
    FROM (
        SELECT DISTINCT c.node_id, e.hour FROM evidence e JOIN cluster_device c ON c.id = e.device_id
        WHERE e.idle + e.parked > 0
    ) AS asked
    JOIN telemetry_nodehour n ON n.node_id = asked.node_id AND n.hour = asked.hour
      AND n.hour >= %(since)s AND n.hour < %(until)s
      AND (n.cpu_percent >= %(loading_share)s * %(loading_cpu)s
           OR n.disk_read_bytes >= %(loading_share)s * %(loading_disk)s)
    JOIN telemetry_nodeminute m ON m.node_id = n.node_id AND m.minute >= n.hour
      AND m.minute < n.hour + interval '1 hour' AND m.minute >= %(since)s AND m.minute < %(until)s
    WHERE m.cpu_percent >= %(loading_cpu)s OR m.disk_read_bytes >= %(loading_disk)s
    GROUP BY 1, 2
),
waits AS (
    SELECT u.lease_id, u.device_id, u.hour, s.cpu, s.disk, codes.idle, codes.parked
    FROM spells s
    JOIN cluster_device c ON c.node_id = s.node_id
    JOIN allocations_usagehour u ON u.device_id = c.id AND u.hour = s.hour
      AND u.lease_id = ANY(%(leases)s::bigint[]) AND u.hour >= %(since)s AND u.hour < %(until)s
      AND {_ALONE.format(lease="u.lease_id", node="s.node_id", hour="s.hour")}
      AND u.idle_seconds + u.parked_seconds > 0
    CROSS JOIN LATERAL (
        SELECT 60 * count(*) FILTER (WHERE code = '{UsageClass.IDLE.letter}') AS idle,
               60 * count(*) FILTER (WHERE code = '{UsageClass.PARKED.letter}') AS parked
        FROM (SELECT substr(u.codes, at + 1, 1) AS code FROM unnest(s.minutes) AS at) AS minutes
    ) AS codes
),
joined AS (
    SELECT e.*, e.used + e.idle + e.parked + e.hung AS measured, d.utilisation_percent AS utilisation,
           d.sm_active_percent AS sm, d.tensor_active_percent AS tensor, n.cpu_percent AS cpu,
           n.disk_read_bytes AS disk, w.cpu AS waits_cpu, w.disk AS waits_disk,
           least(e.idle, coalesce(w.idle, 0)) AS waits_idle, least(e.parked, coalesce(w.parked, 0)) AS waits_parked,
           count(*) FILTER (WHERE e.used >= %(busy_seconds)s) OVER same AS busy, count(*) OVER same AS devices
    FROM evidence e
    JOIN cluster_device c ON c.id = e.device_id
    LEFT JOIN telemetry_devicehour d
      ON d.device_id = e.device_id AND d.hour = e.hour AND d.hour >= %(since)s AND d.hour < %(until)s
    LEFT JOIN telemetry_nodehour n
      ON n.node_id = c.node_id AND n.hour = e.hour AND n.hour >= %(since)s AND n.hour < %(until)s
      AND {_ALONE.format(lease="e.lease_id", node="c.node_id", hour="e.hour")}
    LEFT JOIN waits w ON w.lease_id = e.lease_id AND w.device_id = e.device_id AND w.hour = e.hour
    WINDOW same AS (PARTITION BY e.lease_id, e.hour)
),
seen AS (
    SELECT *,
        coalesce(measured > 0 AND utilisation < %(loading_utilisation)s
                 AND (cpu >= %(loading_cpu)s OR disk >= %(loading_disk)s), false) AS loading,
        devices >= 2 AND busy >= 1 AND 2 * busy <= devices AS few,
        coalesce(used >= %(busy_seconds)s AND utilisation >= %(plain_utilisation)s AND tensor < %(plain_tensor)s, false)
            AS plain,
        coalesce(used >= %(busy_seconds)s AND utilisation >= %(waiting_utilisation)s AND sm < %(waiting_sm)s, false)
            AS waiting
    FROM joined
)
SELECT lease_id, sum(measured)::bigint AS measured,
    sum(CASE WHEN loading THEN measured ELSE waits_idle + waits_parked END)::bigint AS loading,
    avg(utilisation) FILTER (WHERE loading) AS loading_utilisation,
    avg(CASE WHEN loading THEN cpu ELSE waits_cpu END) AS loading_cpu,
    avg(CASE WHEN loading THEN disk ELSE waits_disk END) AS loading_disk,
    sum(idle + parked - waits_idle - waits_parked) FILTER (WHERE few AND NOT loading)::bigint AS few,
    avg(busy) FILTER (WHERE few) AS few_busy,
    avg(devices) FILTER (WHERE few) AS few_devices,
    sum(hung)::bigint AS hung,
    sum(parked - waits_parked) FILTER (WHERE NOT few AND NOT loading)::bigint AS parked,
    sum(idle - waits_idle) FILTER (WHERE NOT few AND NOT loading)::bigint AS idle,
    sum(used) FILTER (WHERE plain)::bigint AS plain, avg(utilisation) FILTER (WHERE plain) AS plain_utilisation,
    avg(tensor) FILTER (WHERE plain) AS plain_tensor,
    sum(used) FILTER (WHERE waiting)::bigint AS waiting, avg(utilisation) FILTER (WHERE waiting) AS waiting_utilisation,
    avg(sm) FILTER (WHERE waiting) AS waiting_sm
FROM seen GROUP BY lease_id
"""  # noqa: S608 (constants only)
"""`company`: when others had GPUs of a machine; `spells`: minutes in which a machine worked while GPUs on it did
nothing, of hours in which it worked for a quarter; `waits`: what each GPU idled in just these minutes. An hour of slow
GPUs beside a busy machine is `loading` as a whole.
"""
_COLUMNS = (
    *("lease", "measured", "loading", "loading_utilisation", "loading_cpu", "loading_disk"),
    *("few", "few_busy", "few_devices", "hung", "parked", "idle", "plain", "plain_utilisation", "plain_tensor"),
    *("waiting", "waiting_utilisation", "waiting_sm"),
)


@dataclass(frozen=True)
class Fact:
    """Something that was measured. `unit`: %, MB/s, GPU or h."""

    name: Text
    value: float
    unit: str

    @property
    def form(self) -> Text:
        """How a reader of pages is told it: a form with a place for `value`."""
        return hint_words.UNITS[self.unit]


@dataclass(frozen=True)
class Hint:
    """What was seen of a reservation, from where on it is said, and how to mend it; device-seconds concerned."""

    kind: str
    lease: Lease
    seconds: int
    measured_seconds: int
    facts: tuple[Fact, ...]

    @property
    def title(self) -> Text:
        """What it looks like, in a few words."""
        return hint_words.TITLES[self.kind]

    @property
    def threshold(self) -> str:
        """From which figures on it is said."""
        return hint_words.threshold(self.kind)

    @property
    def mend(self) -> Text:
        """What helps."""
        return hint_words.MEND[self.kind]


@dataclass(frozen=True)
class Hints:
    """The weightiest first, of hours in [since, until); `left_out` reservations were too many to look at."""

    since: datetime
    until: datetime
    rows: tuple[Hint, ...]
    left_out: int = 0


def hints(scope: QuerySet[Lease], since: datetime, until: datetime) -> Hints:
    """Of the last fourteen days before `until`, at most from `since` on: what was decided of these reservations."""
    since = max(since, until - LOOKED_AT)
    over = Q(ended_at=None) | Q(ended_at__gt=since)
    begun = scope.filter(over, active_at__lt=until).select_related("allocation__project").order_by("-starts_at", "-pk")
    leases = list(begun[: MOST_LEASES + 1])
    looked_at = {lease.pk: lease for lease in leases[:MOST_LEASES]}
    if not looked_at:
        return Hints(since, until, ())
    values = asdict(HINT_RULE) | {"leases": list(looked_at), "since": since, "until": until}
    rows = [dict(zip(_COLUMNS, row, strict=True)) for row in judging.run(_SEEN, values)]
    found = [hint for row in rows for hint in _of(looked_at[row["lease"]], row)]
    found.sort(key=lambda hint: (-hint.seconds, hint.lease.public_id, hint.kind))
    return Hints(since, until, tuple(found[:MOST_HINTS]), len(leases) - len(looked_at))


def _of(lease: Lease, row: dict[str, Any]) -> Iterator[Hint]:
    measured = row["measured"] or 0
    for kind, facts in _FACTS.items():
        seconds = row[kind] or 0
        enough = seconds >= max(HINT_RULE.least_seconds, HINT_RULE.least_share * measured)
        if enough or (kind == "hung" and seconds >= HINT_RULE.hung_seconds):
            yield Hint(kind, lease, seconds, measured, tuple(facts(row)))


def _said(*asked: tuple[str, str, float]) -> Callable[[dict[str, Any]], Iterator[Fact]]:
    """The figures of a row under their names: (column, unit, divided by); what was not measured is not said."""

    def facts(row: dict[str, Any]) -> Iterator[Fact]:
        for column, unit, by in asked:
            if row[column] is not None:
                yield Fact(hint_words.FACTS[column], round(float(row[column]) / by, 1), unit)

    return facts


_FACTS = {
    "hung": _said(("hung", "h", 3600)),
    "few": _said(("few_busy", "GPU", 1), ("few_devices", "GPU", 1)),
    "loading": _said(("loading_utilisation", "%", 1), ("loading_cpu", "%", 1), ("loading_disk", "MB/s", 1e6)),
    "parked": _said(("parked", "h", 3600)),
    "idle": _said(("idle", "h", 3600)),
    "waiting": _said(("waiting_utilisation", "%", 1), ("waiting_sm", "%", 1)),
    "plain": _said(("plain_utilisation", "%", 1), ("plain_tensor", "%", 1)),
}
"""By kind of hint, whose column holds its device-seconds."""
