"""Every GPU at one moment: what was measured, who had it, what of it is wrong. Two statements, whatever the fleet.

Now comes from the newest samples, the past from minutes, and what is older than those from hours. Whether a GPU was ill
then is kept (`cluster.IllSpell`), why not: reasons and a node's own state are told of now alone. Of the past a GPU that
nobody had and of which nothing was measured is told as not heard; one that joined later is not there.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from django.conf import settings
from django.db import connection
from django.utils.translation import get_language

from allocations.lifecycle import HELD
from common.moments import hour_of
from reports.selectors.fleet import FRESH

Source = Literal["now", "minutes", "hours"]
MINUTES_AFTER = timedelta(minutes=5)
"""A minute is made two minutes after its end, and a job may be late: what is younger than this is now."""
_FIGURES = {
    "now": "m.utilisation_percent, m.sm_active_permille / 10.0::float8, m.tensor_active_permille / 10.0::float8,"
    " m.memory_used_mib, m.power_watts, m.temperature_c",
    "minutes": "m.utilisation_percent, m.sm_active_percent, m.tensor_active_percent, m.memory_used_mib, m.power_watts,"
    " m.temperature_c",
}
_FIGURES["hours"] = _FIGURES["minutes"]
_MEASURED = {
    "now": "telemetry_latestsample m ON m.device_id = d.id AND m.at > %(fresh)s",
    "minutes": "LATERAL (SELECT * FROM telemetry_deviceminute WHERE device_id = d.id AND minute = %(at)s LIMIT 1)"
    " m ON true",
    "hours": "LATERAL (SELECT * FROM telemetry_devicehour WHERE device_id = d.id AND hour = %(at)s LIMIT 1) m ON true",
}
"""Of the past by the unique index, a row a device: joined as a whole, all of that day's minutes would be read."""
_HELD_NOW = """
SELECT p.device_id, p.lease_id, l.state IN ('active', 'draining') AND l.active_at IS NOT NULL AS handed,
       p.maintenance_id IS NOT NULL AS kept
FROM allocations_placement p LEFT JOIN allocations_lease l ON l.id = p.lease_id
WHERE NOT p.released AND p.envelope_id IS NULL AND p.window @> %(at)s::timestamptz
  AND (p.lease_id IS NULL OR l.state = ANY(%(held)s))
"""
_HANDED = """
l.active_at <= %(at)s AND coalesce(p.used_from, l.active_at) <= %(at)s
  AND %(at)s < coalesce(p.used_until, 'infinity') AND %(at)s < coalesce(l.drained_at, l.ended_at, 'infinity')
"""
_HELD_THEN = f"""
SELECT DISTINCT ON (device_id) device_id, lease_id, handed, kept FROM (
    SELECT p.device_id, p.lease_id, coalesce({_HANDED}, false) AS handed, p.maintenance_id IS NOT NULL AS kept
    FROM allocations_placement p LEFT JOIN allocations_lease l ON l.id = p.lease_id
    WHERE NOT p.released AND p.envelope_id IS NULL AND p.window @> %(at)s::timestamptz
    UNION ALL
    SELECT p.device_id, p.lease_id, true, false
    FROM allocations_placement p JOIN allocations_lease l ON l.id = p.lease_id
    WHERE p.released AND p.window @> %(at)s::timestamptz AND {_HANDED}
) AS either ORDER BY device_id, handed DESC
"""  # noqa: S608 (constants)
_ROWS = """
SELECT d.id, d.public_id, d.index, lower(d.slices), coalesce(d.parent_id, d.id), d.profile, d.memory_mib,
       d.power_limit_watts, {illness}, d.awaiting_confirmation,
       d.set_aside, n.name, n.public_id, n.state, n.last_seen_at, k.name, {figures}, h.lease_id,
       coalesce(h.handed, false), coalesce(h.kept, false) OR w.node_id IS NOT NULL
FROM cluster_device d
JOIN cluster_node n ON n.id = d.node_id
JOIN cluster_pool k ON k.id = n.pool_id
JOIN cluster_gpuclass c ON c.id = d.gpu_class_id
LEFT JOIN {measured}
LEFT JOIN ({held}) AS h ON h.device_id = d.id
{spells}
LEFT JOIN (
    SELECT DISTINCT node_id FROM cluster_maintenancewindow
    WHERE starts_at <= %(at)s AND ends_at > %(at)s AND (cancelled_at IS NULL OR cancelled_at > %(at)s)
) AS w ON w.node_id = n.id
WHERE d.state <> 'retired' {there} {narrowed}
ORDER BY k.name, n.name, d.index, d.parent_id NULLS FIRST, lower(d.slices), d.id
"""
_ILLNESS = {
    False: "d.state, d.state_reason, d.health, d.health_reasons::text",
    True: "coalesce(s.state, ''), '', coalesce(s.health, 'ok'), '[]'",
}
_SPELLS = """
LEFT JOIN (
    SELECT DISTINCT ON (device_id) device_id, state, health FROM cluster_illspell
    WHERE began_at <= %(at)s AND (ended_at > %(at)s OR ended_at IS NULL) ORDER BY device_id, began_at DESC
) AS s ON s.device_id = d.id
"""
_NARROWED = {
    "pool": "AND k.public_id = %(pool)s",
    "gpu_class": "AND c.code = %(gpu_class)s",
    "organisation": "AND h.lease_id IN (SELECT id FROM allocations_lease WHERE allocation_id IN"
    " (SELECT a.id FROM allocations_allocation a JOIN projects_project j ON j.id = a.project_id"
    " JOIN partners_organisation o ON o.id = j.organisation_id WHERE o.public_id = %(organisation)s))",
    "call": "AND h.lease_id IN (SELECT id FROM allocations_lease WHERE allocation_id IN"
    " (SELECT a.id FROM allocations_allocation a JOIN projects_project j ON j.id = a.project_id"
    " JOIN proposals_proposal r ON r.public_id = j.proposal_ref"
    " JOIN proposals_call q ON q.id = r.call_id WHERE q.public_id = %(call)s))",
}
_LEASES = """
SELECT l.id, l.public_id, l.device_count, l.state, l.ends_at, o.name_{language}, o.public_id
FROM allocations_lease l
JOIN allocations_allocation a ON a.id = l.allocation_id
JOIN projects_project j ON j.id = a.project_id
JOIN partners_organisation o ON o.id = j.organisation_id
WHERE l.id = ANY(%s)
"""


@dataclass(frozen=True)
class When:
    """The moment that is shown, and from which table. `kept_since`: nothing older is kept."""

    at: datetime
    source: Source
    kept_since: datetime

    @property
    def past(self) -> bool:
        """Whether it is not now."""
        return self.source != "now"


@dataclass(frozen=True)
class Narrowed:
    """Which GPUs: public ids, and the code of the class; empty: all. Organisation and call: those that hold them."""

    pool: str = ""
    gpu_class: str = ""
    organisation: str = ""
    call: str = ""


class Gpu(NamedTuple):
    """One GPU or MIG instance. Figures are None where nothing was measured. `handed`: somebody has access to it;
    `kept`: work on it, or on its node, is announced for this moment. Of the past `state` is what it was out of service
    for, else empty.
    """

    pk: int
    public_id: str
    position: int
    first_slice: int | None
    board_id: int
    profile: str
    memory_mib: int
    power_limit_watts: int | None
    state: str
    state_reason: str
    health: str
    health_codes: str
    unconfirmed: bool
    set_aside: bool
    node: str
    node_id: str
    node_state: str
    node_seen_at: datetime | None
    pool: str
    utilisation_percent: float | None
    sm_active_percent: float | None
    tensor_active_percent: float | None
    memory_used_mib: float | None
    power_watts: float | None
    temperature_c: float | None
    lease_id: int | None
    handed: bool
    kept: bool

    @property
    def place(self) -> str:
        """Where on its node: the index, of an instance with its first slice."""
        return str(self.position) if self.first_slice is None else f"{self.position}:{self.first_slice}"

    @property
    def name(self) -> str:
        """As people call it."""
        return f"{self.node}/{self.place}"

    @property
    def memory_percent(self) -> float | None:
        """Of what it has."""
        used, whole = self.memory_used_mib, self.memory_mib
        return used / whole * 100 if used is not None and whole else None

    @property
    def power_percent(self) -> float | None:
        """Of its limit; None where it has none of its own."""
        drawn, limit = self.power_watts, self.power_limit_watts
        return drawn / limit * 100 if drawn is not None and limit else None

    @property
    def reasons(self) -> list[str]:
        """Why its health is what it is: codes, as its node said them."""
        found: list[str] = json.loads(self.health_codes)
        return found


class Holding(NamedTuple):
    """A reservation that holds some of them."""

    pk: int
    public_id: str
    device_count: int
    state: str
    ends_at: datetime
    organisation: str
    organisation_id: str


def when(asked: datetime | None, now: datetime) -> When:
    """What can be shown for a moment that somebody asked for: no later than now, no older than what is kept."""
    hours_days = settings.TELEMETRY_KEEP_HOURS_DAYS
    kept_since = hour_of(now - timedelta(days=hours_days or 36_500))
    if asked is None or asked > now - MINUTES_AFTER:
        return When(now, "now", kept_since)
    if asked >= now - timedelta(days=settings.TELEMETRY_KEEP_MINUTES_DAYS):
        return When(asked.replace(second=0, microsecond=0), "minutes", kept_since)
    return When(hour_of(max(asked, kept_since)), "hours", kept_since)


def gpus_at(moment: When, which: Narrowed = Narrowed()) -> list[Gpu]:
    """All that is not retired, by pool, node and index; of the past, what had joined by then. One statement."""
    asked = {name: value for name in Narrowed.__dataclass_fields__ if (value := getattr(which, name))}
    sql = _ROWS.format(
        figures=_FIGURES[moment.source],
        measured=_MEASURED[moment.source],
        held=_HELD_THEN if moment.past else _HELD_NOW,
        illness=_ILLNESS[moment.past],
        spells=_SPELLS if moment.past else "",
        there="AND d.joined_at <= %(at)s" if moment.past else "",
        narrowed=" ".join(_NARROWED[name] for name in asked),
    )
    values = {**asked, "at": moment.at, "fresh": moment.at - FRESH, "held": list(HELD)}
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return [Gpu._make(row) for row in cursor.fetchall()]


def language() -> str:
    """Whose of the two names of an organisation or a call the reader sees."""
    return "en" if (get_language() or "ko").startswith("en") else "ko"


def holdings(gpus: list[Gpu]) -> dict[int, Holding]:
    """The reservations that hold them, by key. One statement."""
    wanted = list({gpu.lease_id for gpu in gpus if gpu.lease_id})
    with connection.cursor() as cursor:
        cursor.execute(_LEASES.format(language=language()), [wanted])
        return {row[0]: Holding(*row) for row in cursor.fetchall()}
