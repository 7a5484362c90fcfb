"""Samples in, minutes made of them, old rows out."""

import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from cluster.models import Device, Node
from cluster.services import refusals
from telemetry.models import SampleBatch
from telemetry.samples import COLUMNS, FUTURE_TOLERANCE, Counts, Known, Row, parse
from telemetry.selectors import USED_ABOVE_PERCENT

ROLL_UP_WINDOW = timedelta(hours=2)
POOL_HOURS_WINDOW = timedelta(hours=3)
"""A minute is at most two hours late, and hours are whole ones."""
KEEP_RAW = timedelta(days=7)
TIDY_BATCH_ROWS = 20_000
TIDY_BATCHES = 25

_FIELDS = ", ".join(("device_id", "at", *COLUMNS))
_INCOMING = """
CREATE TEMPORARY TABLE IF NOT EXISTS telemetry_incoming (
    device_id bigint, at timestamptz, utilisation_percent smallint, sm_active_percent float8,
    tensor_active_percent float8, memory_used_mib integer, power_watts float8, energy_mj bigint,
    temperature_c smallint, process_count smallint
) ON COMMIT DELETE ROWS
"""  # one table a session, not one a batch: the catalogue does not grow
_MOVE = (
    f"WITH moved AS (DELETE FROM telemetry_incoming RETURNING {_FIELDS}) "  # noqa: S608
    f"INSERT INTO telemetry_sample ({_FIELDS}) SELECT {_FIELDS} FROM moved ON CONFLICT DO NOTHING"
)
_ROLLED = (
    "samples",
    "utilisation_percent",
    "sm_active_percent",
    "memory_used_mib",
    "power_watts",
    "temperature_c",
    "process_count",
)
_ROLL_UP = f"""
INSERT INTO telemetry_deviceminute AS m (device_id, minute, {", ".join(_ROLLED)})
SELECT device_id, date_trunc('minute', at), count(*), {", ".join(f"avg({name})" for name in _ROLLED[1:])}
FROM telemetry_sample
WHERE at >= date_trunc('minute', %(since)s::timestamptz) AND at < %(until)s::timestamptz
  AND (%(devices)s::bigint[] IS NULL OR device_id = ANY(%(devices)s::bigint[]))
GROUP BY 1, 2
ON CONFLICT (device_id, minute) DO UPDATE SET {", ".join(f"{name} = EXCLUDED.{name}" for name in _ROLLED)}
WHERE m.samples <> EXCLUDED.samples
"""  # noqa: S608 (constants only)

_POOL_HOURS = """
INSERT INTO telemetry_poolhour AS h (pool_id, hour, used_seconds, idle_seconds)
SELECT n.pool_id, date_trunc('hour', m.minute),
       60 * count(*) FILTER (WHERE m.utilisation_percent > %(above)s),
       60 * count(*) FILTER (WHERE m.utilisation_percent <= %(above)s)
FROM telemetry_deviceminute m
JOIN cluster_device d ON d.id = m.device_id
JOIN cluster_node n ON n.id = d.node_id
WHERE m.minute >= date_trunc('hour', %(since)s::timestamptz) AND m.utilisation_percent IS NOT NULL
GROUP BY 1, 2
ON CONFLICT (pool_id, hour) DO UPDATE SET used_seconds = EXCLUDED.used_seconds, idle_seconds = EXCLUDED.idle_seconds
WHERE (h.used_seconds, h.idle_seconds) <> (EXCLUDED.used_seconds, EXCLUDED.idle_seconds)
"""

REFUSED_ROWS = ("unknown_devices", "bad_times", "malformed")


@dataclass(frozen=True)
class Ingested:
    """The answer to one delivery; `repeated` when this batch was taken before."""

    accepted: int
    repeated: bool
    unknown_devices: int = 0
    bad_times: int = 0
    malformed: int = 0
    bad_values: int = 0


@transaction.atomic
def ingest(*, node: Node, boot_id: str, sequence: int, samples: list[Any]) -> Ingested:
    """Take one delivery of a node exactly once.

    Rows of devices that are not this node's are refused, as are times more than ten minutes ahead or two hours back;
    impossible values become null; all of them are counted. At most one statement of each kind, whatever the size.
    """
    batch, created = SampleBatch.objects.get_or_create(
        node=node, boot_id=boot_id, sequence=sequence, defaults={"rows": 0}
    )
    if not created:
        return Ingested(accepted=batch.rows, repeated=True)
    known = {
        uuid: Known(pk, memory_mib)
        for pk, uuid, memory_mib in Device.objects.filter(node=node).values_list("pk", "uuid", "memory_mib")
    }
    rows, counts = parse(samples, known, timezone.now())
    if rows:
        counts.accepted = _copy(rows)
        _touch(rows)
        SampleBatch.objects.filter(pk=batch.pk).update(rows=counts.accepted)
    answer = _answer(counts)
    for code in REFUSED_ROWS:
        refusals.count(node=node, code=f"samples_{code}", times=getattr(answer, code))
    return answer


def roll_up(now: datetime, *, device_ids: Iterable[int] | None = None, window: timedelta = ROLL_UP_WINDOW) -> int:
    """Make minutes of the samples of the last two hours; the rows written. May run again at any time: same result.

    `device_ids` narrows it to some devices (sealing a lease's usage does not wait for the next round).
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _ROLL_UP,
            {
                "since": now - window,
                "until": now + FUTURE_TOLERANCE,
                "devices": None if device_ids is None else list(device_ids),
            },
        )
        written: int = cursor.rowcount
    return written


def roll_up_pools(now: datetime, *, window: timedelta = POOL_HOURS_WINDOW) -> int:
    """Make hours a pool of the minutes of the last three hours; the rows written. May run again at any time.

    A device counts for the pool that its node is in at that time.
    """
    with connection.cursor() as cursor:
        cursor.execute(_POOL_HOURS, {"since": now - window, "above": USED_ABOVE_PERCENT})
        written: int = cursor.rowcount
    return written


def tidy(now: datetime) -> int:
    """Delete raw samples and batch keys older than a week, in bounded batches, each its own transaction; rows gone."""
    gone = 0
    for table, column in (("telemetry_sample", "at"), ("telemetry_samplebatch", "received_at")):
        for _turn in range(TIDY_BATCHES):
            with connection.cursor() as cursor:
                cursor.execute(
                    f"DELETE FROM {table} WHERE ctid = ANY(ARRAY("  # noqa: S608
                    f"SELECT ctid FROM {table} WHERE {column} < %s LIMIT {TIDY_BATCH_ROWS}))",
                    [now - KEEP_RAW],
                )
                gone += cursor.rowcount
                if cursor.rowcount < TIDY_BATCH_ROWS:
                    break
    return gone


def _copy(rows: list[Row]) -> int:
    """COPY into the session's own table, then one INSERT that skips what is there already; the rows that were new."""
    text = io.StringIO()
    for row in rows:
        text.write("\t".join("\\N" if value is None else str(value) for value in row) + "\n")
    text.seek(0)
    with connection.cursor() as cursor:
        cursor.execute(_INCOMING)
        cursor.cursor.copy_expert(f"COPY telemetry_incoming ({_FIELDS}) FROM STDIN", text)
        cursor.execute(_MOVE)
        inserted: int = cursor.rowcount
    return inserted


def _touch(rows: list[Row]) -> None:
    """When each device was last heard of: one statement. Two deliveries of a node carry ever newer times, and
    nodes never share a device."""
    newest: dict[int, datetime] = {}
    for device_id, at, *_values in rows:
        newest[device_id] = max(at, newest.get(device_id, at))
    ids = sorted(newest)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE cluster_device d SET last_sample_at = GREATEST(d.last_sample_at, n.at) "
            "FROM unnest(%s::bigint[], %s::timestamptz[]) AS n(id, at) WHERE d.id = n.id",
            [ids, [newest[pk] for pk in ids]],
        )


def _answer(counts: Counts) -> Ingested:
    return Ingested(repeated=False, **asdict(counts))
