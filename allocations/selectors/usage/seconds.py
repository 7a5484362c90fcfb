"""How many seconds of each minute of an hour were held: sixty, but where a lease begins or ends."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from allocations.models import Lease, UsageHour
from allocations.selectors.usage import judging

_MINUTE = timedelta(minutes=1)
_SPANS = f"WITH {judging.SPANS} SELECT device_id, starts, ends FROM span"  # noqa: S608 (constants only)


def seconds_of(lease: Lease, hours: Iterable[UsageHour]) -> dict[Any, list[int]]:
    """The held seconds of the sixty minutes of each of these hours, by the hour's key; they add up to what it holds.

    One query, and that only where an hour is held in part.
    """
    rows = list(hours)
    whole = {row.pk: [0 if letter == " " else 60 for letter in row.codes.ljust(60)] for row in rows}
    parts = [row for row in rows if sum(whole[row.pk]) != row.held_seconds]
    if parts:
        spans = _spans(lease, parts)
        for row in parts:
            whole[row.pk] = _in_part(row, spans[row.device_id])
    return whole


def _spans(lease: Lease, rows: list[UsageHour]) -> dict[int, list[tuple[datetime, datetime]]]:
    until = max(row.hour for row in rows) + timedelta(hours=1)
    found: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    for device_id, starts, ends in judging.run(_SPANS, judging.window(lease.starts_at, until, [lease.pk])):
        found[device_id].append((starts, ends))
    return found


def _in_part(row: UsageHour, spans: list[tuple[datetime, datetime]]) -> list[int]:
    found = []
    for place, letter in enumerate(row.codes.ljust(60)):
        begins = row.hour + place * _MINUTE
        held = sum(
            max(0, int((min(end, begins + _MINUTE) - max(start, begins)).total_seconds())) for start, end in spans
        )
        found.append(0 if letter == " " else held or 60)
    # Where the lease turned out shorter after the hour was decided, what it holds is still what was decided.
    for place in range(59, -1, -1):
        missing = row.held_seconds - sum(found)
        if row.codes.ljust(60)[place] != " ":
            found[place] = min(60, max(0, found[place] + missing))
    return found
