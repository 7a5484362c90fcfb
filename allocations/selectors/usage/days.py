"""Days out of hours and their corrections: what `UsageDay` keeps, and what a proof works out anew."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from django.utils import timezone

from allocations.selectors.usage import judging
from allocations.selectors.usage.figures import NAMES, UsageSums
from common.moments import begin_of

NEWEST = 2**62
"""All corrections, as a key that none of them passes."""
_CLASSES = ("used", "idle", "parked", "hung", "no_data", "fault", "maintenance")

_MOVED = ", ".join(
    f"sum(CASE WHEN to_class = '{name}' THEN seconds WHEN from_class = '{name}' THEN -seconds ELSE 0 END)"
    for name in _CLASSES
)
_RAW = ", ".join(f"sum({name}_seconds) AS {name}_seconds" for name in _CLASSES)
_RUNNING = ", ".join(
    "("
    + " + ".join(f"r.{each}_seconds" for each in _CLASSES[: place + 1])
    + f")::bigint * l.slices / l.slices_of AS c{place}"
    for place in range(len(_CLASSES))
)
_PARTS = ", ".join(
    f"c{place} AS {name}_seconds" if place == 0 else f"c{place} - c{place - 1} AS {name}_seconds"
    for place, name in enumerate(_CLASSES)
)

DAYS = f"""
WITH entered AS (
    SELECT lease_id, hour, {", ".join(f"{name}_seconds" for name in _CLASSES)}, samples, energy_j
    FROM allocations_usagehour
    WHERE hour >= %(since)s::timestamptz AND hour < %(until)s::timestamptz AND decided_at <= %(as_of)s::timestamptz
      AND (%(leases)s::bigint[] IS NULL OR lease_id = ANY(%(leases)s::bigint[]))
    UNION ALL
    SELECT lease_id, hour, {_MOVED}, sum(samples), sum(energy_j)
    FROM allocations_usagecorrection
    WHERE hour >= %(since)s::timestamptz AND hour < %(until)s::timestamptz AND id <= %(known)s
      AND (%(leases)s::bigint[] IS NULL OR lease_id = ANY(%(leases)s::bigint[]))
    GROUP BY lease_id, hour
),
raw AS (
    SELECT lease_id, (hour AT TIME ZONE %(zone)s)::date AS day, {_RAW}, sum(samples) AS samples,
           sum(energy_j) AS energy_j
    FROM entered GROUP BY 1, 2
),
running AS (
    SELECT r.lease_id, r.day, {_RUNNING}, r.samples, r.energy_j
    FROM raw r JOIN allocations_lease l ON l.id = r.lease_id
),
days AS (
    SELECT lease_id, day, c{len(_CLASSES) - 1} AS held_seconds, {_PARTS}, samples, energy_j FROM running
)
"""  # noqa: S608 (constants only)
"""Begin of a statement about `days`. Class after class the part of the running sum, as `figures.weighed` takes it."""


def values(
    first: date,
    last: date,
    leases: Iterable[int] | None = None,
    *,
    known: int = NEWEST,
    as_of: datetime | None = None,
    zone: tzinfo | None = None,
) -> dict[str, Any]:
    """For `DAYS`: the days from first to last, of these leases (None: all). With `known` and `as_of` as they were: the
    corrections up to a key, the hours that were decided by a moment. An hour is of the day in which it begins, in the
    agency's zone, whatever the reader's; `zone`: in the one that was the agency's then.
    """
    zone = zone or timezone.get_default_timezone()
    return {
        "since": begin_of(first, zone),
        "until": begin_of(last + timedelta(days=1), zone),
        "zone": str(zone),
        "leases": None if leases is None else list(leases),
        "known": known,
        "as_of": as_of or "infinity",
    }


def as_they_were(
    first: date,
    last: date,
    leases: Iterable[int],
    *,
    known: int,
    as_of: datetime,
    zone: tzinfo | None = None,
) -> list[tuple[int, date, UsageSums]]:
    """(lease, day, sums) worked out anew from hours and corrections, as `UsageDay` had them then."""
    names = ", ".join(NAMES)
    sql = f"{DAYS} SELECT lease_id, day, {names} FROM days ORDER BY 1, 2"  # noqa: S608 (constants only)
    found = judging.run(sql, values(first, last, leases, known=known, as_of=as_of, zone=zone))
    return [(row[0], row[1], UsageSums(*(int(figure) for figure in row[2:]))) for row in found]
