"""What a node's agent says of its machine once a minute: one row a minute, and the hour's means kept up with it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from cluster.models import Node
from telemetry.samples import DIGITS, FUTURE_TOLERANCE, PAST_TOLERANCE, moment

HALF = timedelta(seconds=30)
"""An agent's figures are of the minute before it spoke: they lie in the minute of its middle."""
BOUNDS: dict[str, float] = {
    "disk_read_bytes": 2**50,
    "disk_written_bytes": 2**50,
    "network_received_bytes": 2**50,
    "network_sent_bytes": 2**50,
    "cpu_percent": 100,
    "load": 1_000_000,
    "memory_used_mib": 2**31 - 1,
    "memory_total_mib": 2**31 - 1,
    "disk_used_mib": 2**31 - 1,
    "disk_total_mib": 2**31 - 1,
}
"""The most that any machine could say; the least is nothing."""
_FLOATS = ("cpu_percent", "load")
_NAMES = ", ".join(BOUNDS)
_VALUES = ", ".join(f"%({name})s" for name in BOUNDS)
_MINUTE = f"INSERT INTO telemetry_nodeminute (node_id, minute, {_NAMES}) VALUES (%(node)s, %(minute)s, {_VALUES}) ON CONFLICT DO NOTHING"  # noqa: S608, E501 (constants only)


def _mean(name: str) -> str:
    step = f"h.{name} + (EXCLUDED.{name} - h.{name}) / (h.samples + 1)"
    return f"{name} = CASE WHEN h.{name} IS NULL THEN EXCLUDED.{name} WHEN EXCLUDED.{name} IS NULL THEN h.{name} ELSE {step} END"  # noqa: E501


_HOUR = f"""
INSERT INTO telemetry_nodehour AS h (node_id, hour, samples, {_NAMES})
VALUES (%(node)s, date_trunc('hour', %(minute)s::timestamptz, 'UTC'), 1, {_VALUES})
ON CONFLICT (node_id, hour) DO UPDATE SET samples = h.samples + 1, {", ".join(_mean(name) for name in BOUNDS)}
"""  # noqa: S608 (constants only)


def keep_host(node: Node, said: Any, now: datetime) -> bool:
    """Keep what a node said of its machine; whether it is new.

    What has no time, or one of the far past or the future, is no statement at all; impossible figures are gaps. Of a
    minute the first statement counts. Two statements, within the delivery's transaction.
    """
    at = moment(said.get("at")) if isinstance(said, dict) else None
    if at is None or not now - PAST_TOLERANCE <= at <= now + FUTURE_TOLERANCE:
        return False
    minute = (at - HALF).astimezone(UTC).replace(second=0, microsecond=0)
    values = {name: _figure(name, said.get(name)) for name in BOUNDS} | {"node": node.pk, "minute": minute}
    for used, total in (("memory_used_mib", "memory_total_mib"), ("disk_used_mib", "disk_total_mib")):
        if values[used] is not None and values[total] is not None and values[used] > values[total]:
            values[used] = None
    with connection.cursor() as cursor:
        cursor.execute(_MINUTE, values)
        if not cursor.rowcount:
            return False
        cursor.execute(_HOUR, values)
    return True


def _figure(name: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= BOUNDS[name]:  # nor what is no number: it compares with nothing
        return None
    return round(float(value), DIGITS) if name in _FLOATS else int(value)
