"""What was made of single GPUs since a moment of their own: for whoever must say now whether they are used."""

from collections.abc import Hashable, Iterable
from datetime import datetime, timedelta

from allocations.selectors.usage import judging
from allocations.selectors.usage.adding import decided_until
from allocations.selectors.usage.figures import UsageSums
from allocations.usage_classes import UsageClass

_NEVER_DECIDED = timedelta(hours=1)
"""An hour waits for late data for so long after its end: nothing of the last hour is ever decided."""
_KINDS = tuple(UsageClass)


def _letters(kind: UsageClass) -> str:
    """Seconds of a class from the minute of `since` to the end of its hour, by the hour's letters."""
    rest = "substr(h.codes, extract(minute FROM a.since)::int + 1)"
    return f"60 * (length({rest}) - length(replace({rest}, '{kind.letter}', '')))"


_DECIDED = ", ".join(f"CASE WHEN h.hour >= a.since THEN h.{kind.field} ELSE {_letters(kind)} END" for kind in _KINDS)
_MOVED = ", ".join(
    f"c.seconds * ((c.to_class = '{kind.value}')::int - (c.from_class = '{kind.value}')::int)" for kind in _KINDS
)
_LIVE = ", ".join(f"CASE WHEN j.code = '{kind.letter}' THEN j.seconds ELSE 0 END" for kind in _KINDS)
_SINCE = f"""{judging.UNDECIDED},
asked AS MATERIALIZED (
    SELECT * FROM unnest(%(places)s::int[], %(of_leases)s::bigint[], %(devices)s::bigint[], %(moments)s::timestamptz[])
        AS asked (place, lease_id, device_id, since)
),
parts (place, {", ".join(kind.value for kind in _KINDS)}) AS (
    SELECT a.place, {_DECIDED}
    FROM asked a JOIN allocations_usagehour h ON h.lease_id = a.lease_id AND h.device_id = a.device_id
     AND h.hour > a.since - interval '1 hour'
    UNION ALL
    SELECT a.place, {_MOVED}
    FROM asked a JOIN allocations_usagecorrection c ON c.lease_id = a.lease_id AND c.device_id = a.device_id
     AND c.hour + make_interval(mins => c.first_minute) >= date_trunc('minute', a.since)
    UNION ALL
    SELECT a.place, {_LIVE}
    FROM asked a JOIN judged j ON j.lease_id = a.lease_id AND j.device_id = a.device_id
     AND j.minute >= date_trunc('minute', a.since)
)
SELECT place, {", ".join(f"sum({kind.value})::bigint" for kind in _KINDS)} FROM parts GROUP BY place
"""  # noqa: S608 (constants only)

Span = tuple[Hashable, int, int, datetime]
"""Whose it is, the keys of lease and device, since when."""


def use_since(spans: Iterable[Span], now: datetime) -> dict[Hashable, UsageSums]:
    """What was made of each of these devices by its lease from a moment to now, added up by whose it is, in seconds of
    the device; whoever has nothing is missing. Decided hours with their corrections, and the rest as it looks now.

    Begun minutes count whole. Two queries at most.
    """
    rows = list(spans)
    if not rows:
        return {}
    first = min(row[3] for row in rows)
    mark = decided_until() if first < now - _NEVER_DECIDED else None
    leases = [row[1] for row in rows]
    values = judging.window(max(first, mark) if mark else first, now, set(leases))
    values |= {"places": list(range(len(rows))), "of_leases": leases}
    values |= {"devices": [row[2] for row in rows], "moments": [row[3] for row in rows]}
    found: dict[Hashable, UsageSums] = {}
    for place, *seconds in judging.run(_SINCE, values):
        parts = {kind.field: int(each) for kind, each in zip(_KINDS, seconds, strict=True)}
        sums = UsageSums(held_seconds=sum(parts.values()), **parts)
        found[rows[place][0]] = found.get(rows[place][0], UsageSums()) + sums
    return found
