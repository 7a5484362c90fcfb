"""Where every statement about the fleet reads from: each GPU with what was measured, who had it, and what it counts as.

Now comes from the newest samples, the past from minutes, and what is older than those from hours. Whether a GPU was ill
then is kept (`cluster.IllSpell`), why not: reasons and a node's own state are told of now alone. Of the past a GPU that
nobody had and of which nothing was measured is told as not heard; one that joined later is not there.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.utils.translation import get_language

from allocations.lifecycle import HELD
from reports.selectors.fleet import FRESH
from reports.selectors.fleet_parts import IDLE_MINUTES, ILL_NAMES, RANKED, RESTING

Source = Literal["now", "minutes", "hours"]


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


@dataclass(frozen=True)
class Bounds:
    """Nodes in the order of the map, from one up to before another: their public ids; empty: from the first, to the
    last. Of an id that nobody has there is none.
    """

    first: str = ""
    before: str = ""


EVERYWHERE = Bounds()
FIGURES = ("utilisation", "sm", "tensor", "memory", "power", "temperature")
"""What is measured of a GPU, as columns."""
ORDER = "place, position, parent_id NULLS FIRST, slice, id"
"""By pool, node and index."""
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
  AND (p.lease_id IS NULL OR l.state = ANY(%(held)s)) {among}
"""
_HANDED = """
l.active_at <= %(at)s AND coalesce(p.used_from, l.active_at) <= %(at)s
  AND %(at)s < coalesce(p.used_until, 'infinity') AND %(at)s < coalesce(l.drained_at, l.ended_at, 'infinity')
"""
_HELD_THEN = f"""
SELECT DISTINCT ON (device_id) device_id, lease_id, handed, kept FROM (
    SELECT p.device_id, p.lease_id, coalesce({_HANDED}, false) AS handed, p.maintenance_id IS NOT NULL AS kept
    FROM allocations_placement p LEFT JOIN allocations_lease l ON l.id = p.lease_id
    WHERE NOT p.released AND p.envelope_id IS NULL AND p.window @> %(at)s::timestamptz {{among}}
    UNION ALL
    SELECT p.device_id, p.lease_id, true, false
    FROM allocations_placement p JOIN allocations_lease l ON l.id = p.lease_id
    WHERE p.released AND p.window @> %(at)s::timestamptz AND {_HANDED} {{among}}
) AS either ORDER BY device_id, handed DESC
"""  # noqa: S608 (constants)
_SPELLS = """
LEFT JOIN (
    SELECT DISTINCT ON (device_id) device_id, state, health FROM cluster_illspell
    WHERE began_at <= %(at)s AND (ended_at > %(at)s OR ended_at IS NULL) ORDER BY device_id, began_at DESC
) AS s ON s.device_id = d.id
"""
_PLACES = """
WITH places AS (
    SELECT n.id, n.public_id, n.name, n.state, n.last_seen_at, k.name AS pool, k.public_id AS pool_key,
           row_number() OVER (ORDER BY k.name, n.name, n.id) AS place, dense_rank() OVER (ORDER BY k.name) AS pool_place
    FROM cluster_node n JOIN cluster_pool k ON k.id = n.pool_id
)
"""
_FROM = """
FROM cluster_device d
JOIN places n ON n.id = d.node_id
LEFT JOIN {measured}
LEFT JOIN ({held}) AS h ON h.device_id = d.id
{past}
LEFT JOIN (
    SELECT DISTINCT node_id FROM cluster_maintenancewindow
    WHERE starts_at <= %(at)s AND ends_at > %(at)s AND (cancelled_at IS NULL OR cancelled_at > %(at)s)
) AS w ON w.node_id = n.id
WHERE d.state <> 'retired' {there} {narrowed}
"""
_NARROWED = {
    "pool": "AND n.pool_key = %(pool)s",
    "gpu_class": "AND d.gpu_class_id IN (SELECT id FROM cluster_gpuclass WHERE code = %(gpu_class)s)",
    "organisation": "AND h.lease_id IN (SELECT id FROM allocations_lease WHERE allocation_id IN"
    " (SELECT a.id FROM allocations_allocation a JOIN projects_project j ON j.id = a.project_id"
    " JOIN partners_organisation o ON o.id = j.organisation_id WHERE o.public_id = %(organisation)s))",
    "call": "AND h.lease_id IN (SELECT id FROM allocations_lease WHERE allocation_id IN"
    " (SELECT a.id FROM allocations_allocation a JOIN projects_project j ON j.id = a.project_id"
    " JOIN proposals_proposal r ON r.public_id = j.proposal_ref"
    " JOIN proposals_call q ON q.id = r.call_id WHERE q.public_id = %(call)s))",
}
_BOUND = {
    "first": "{place} >= (SELECT place FROM places WHERE public_id = %(first)s)",
    "before": "{place} < (SELECT place FROM places WHERE public_id = %(before)s)",
}
_SAID = {
    "now": {
        "state": "d.state",
        "reason": "d.state_reason",
        "health": "d.health",
        "health_codes": "d.health_reasons::text",
        "sm": "m.sm_active_permille / 10.0::float8",
        "tensor": "m.tensor_active_permille / 10.0::float8",
    },
    "minutes": {
        "state": "coalesce(s.state, '')",
        "reason": "''",
        "health": "coalesce(s.health, 'ok')",
        "health_codes": "'[]'",
        "sm": "m.sm_active_percent",
        "tensor": "m.tensor_active_percent",
    },
}
_SAID["hours"] = _SAID["minutes"]
_SAME = {
    "id": "d.id",
    "public_id": "d.public_id",
    "position": "d.index",
    "slice": "lower(d.slices)",
    "parent_id": "d.parent_id",
    "board_id": "coalesce(d.parent_id, d.id)",
    "profile": "d.profile",
    "memory_mib": "d.memory_mib",
    "power_limit_watts": "d.power_limit_watts",
    "unconfirmed": "d.awaiting_confirmation",
    "cut": "d.set_aside AND d.profile = ''",
    "node": "n.name",
    "node_id": "n.public_id",
    "node_state": "n.state",
    "node_seen_at": "n.last_seen_at",
    "pool": "n.pool",
    "place": "n.place",
    "pool_place": "n.pool_place",
    "utilisation": "m.utilisation_percent",
    "memory": "m.memory_used_mib",
    "power": "m.power_watts",
    "temperature": "m.temperature_c",
    "lease_id": "h.lease_id",
}


def fleet(
    names: tuple[str, ...],
    moment: When,
    which: Narrowed,
    *,
    devices: list[int] | None = None,
    bounds: Bounds = EVERYWHERE,
) -> tuple[str, dict[str, Any]]:
    """`WITH .. fleet AS (..)` with these columns, and its values: a row a GPU that is not retired. Only `devices`
    (keys), or those on the nodes within the bounds.
    """
    past, narrowed, among = moment.past, [], ""
    values: dict[str, Any] = {"at": moment.at, "fresh": moment.at - FRESH, "idle_since": moment.at - IDLE_MINUTES}
    values["held"] = list(HELD)
    for name, condition in _NARROWED.items():
        if said := getattr(which, name):
            narrowed.append(condition)
            values[name] = said
    if devices is not None:
        values["devices"], among = devices, "AND p.device_id = ANY(%(devices)s::bigint[])"
        narrowed.append("AND d.id = ANY(%(devices)s::bigint[])")
    limits = [condition for name, condition in _BOUND.items() if getattr(bounds, name)]
    if limits:
        values |= {"first": bounds.first, "before": bounds.before}
        narrowed += [f"AND {limit.format(place='n.place')}" for limit in limits]
        nodes = " AND ".join(limit.format(place="place") for limit in limits)
        among = f"AND p.node_id IN (SELECT id FROM places WHERE {nodes})"  # noqa: S608 (constants)
    said_of = _SAME | _SAID[moment.source] | {"rank": RANKED[past]}
    ill = f"{said_of['health']} <> 'ok' OR {said_of['state']} IN ({ILL_NAMES})"
    said_of["ill"] = f"({ill})"
    read = _FROM.format(
        measured=_MEASURED[moment.source],
        held=(_HELD_THEN if past else _HELD_NOW).format(among=among),
        past=_SPELLS if past else RESTING,
        there="AND d.joined_at <= %(at)s" if past else "",
        narrowed=" ".join(narrowed),
    )
    columns = ", ".join(f"{said_of[name]} AS {name}" for name in names)
    return f"{_PLACES}, fleet AS MATERIALIZED (SELECT {columns} {read})", values


def language() -> str:
    """Whose of the two names of an organisation or a call the reader sees."""
    return "en" if (get_language() or "ko").startswith("en") else "ko"
