"""GPUs at one moment: what was measured, who had each, what of it is wrong. One statement for any of them."""

import json
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection

from common.moments import hour_of
from reports.selectors.fleet_parts import PARTS, Part
from reports.selectors.fleet_sql import FIGURES, ORDER, Bounds, Narrowed, When, fleet, language

MINUTES_AFTER = timedelta(minutes=5)
"""A minute is made two minutes after its end, and a job may be late: what is younger than this is now."""
MOST_ROWS = 5000
"""So many GPUs are read for one answer at most; `fleet_list` reads all."""
ENDING_SHOWN = 8
COLUMNS = (
    *("id", "public_id", "position", "slice", "board_id", "profile", "memory_mib", "power_limit_watts", "state"),
    *("reason", "health", "health_codes", "ill", "node", "node_id", "node_state", "node_seen_at", "pool"),
    *(*FIGURES, "lease_id", "rank"),
)
_ORDERED = ("place", "parent_id")
_HOLDINGS = """
SELECT l.id, l.public_id, l.device_count, l.state, l.ends_at, o.name_{language}, o.public_id
FROM allocations_lease l
JOIN allocations_allocation a ON a.id = l.allocation_id
JOIN projects_project j ON j.id = a.project_id
JOIN partners_organisation o ON o.id = j.organisation_id
WHERE l.id = ANY(%(wanted)s::bigint[])
"""


class Gpu(NamedTuple):
    """One GPU or MIG instance. Figures are None where nothing was measured. Of the past `state` is what it was out of
    service for, else empty. `ill`: marked as ill, or so it was then.
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
    ill: bool
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
    rank: int

    @property
    def part(self) -> Part:
        """What it counts as."""
        return PARTS[self.rank]

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


def gpus_of(moment: When, devices: list[int]) -> dict[int, Gpu]:
    """These, by key, in the order of pool, node and index. One statement."""
    return {gpu.pk: gpu for gpu in _gpus(*fleet((*COLUMNS, *_ORDERED), moment, Narrowed(), devices=devices))}


def gpus_between(moment: When, which: Narrowed, bounds: Bounds) -> list[Gpu]:
    """Those on the nodes within the bounds, in that order, `MOST_ROWS` at most. One statement."""
    return _gpus(*fleet((*COLUMNS, *_ORDERED), moment, which, bounds=bounds))


def _gpus(source: str, values: dict[str, Any]) -> list[Gpu]:
    columns = ", ".join(COLUMNS)
    sql = f"{source} SELECT {columns} FROM fleet ORDER BY {ORDER} LIMIT {MOST_ROWS}"  # noqa: S608 (constants)
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return [Gpu._make(row) for row in cursor.fetchall()]


def holdings(leases: set[int], held: list[int] | None = None, until: datetime | None = None) -> dict[int, Holding]:
    """These reservations, by key, and of those `held` the first to end before `until`. One statement."""
    more = " OR l.id IN (SELECT id FROM allocations_lease WHERE id = ANY(%(held)s::bigint[]) AND ends_at < %(until)s"
    sql = _HOLDINGS.format(language=language())
    if held is not None:
        sql += f"{more} ORDER BY ends_at, id LIMIT {ENDING_SHOWN})"
    with connection.cursor() as cursor:
        cursor.execute(sql, {"wanted": list(leases), "held": held, "until": until})
        return {row[0]: Holding(*row) for row in cursor.fetchall()}
