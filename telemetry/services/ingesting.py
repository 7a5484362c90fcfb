"""One delivery of a node: taken exactly once, judged row by row, written by COPY, in one commit."""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from cluster.models import Node
from cluster.services import refusals
from common.compiled import Statement
from common.moments import hour_of
from telemetry.samples import COLUMNS, Known, Parsed, Row, parse, step_of
from telemetry.services.hosts import keep_host

LATE_AFTER = timedelta(minutes=2)
"""A row older than this may belong to a minute that is made already: its hour is noted, and made anew."""
REFUSED_ROWS = ("unknown_devices", "bad_times", "malformed")

_FIELDS = ", ".join(("device_id", "at", *COLUMNS))
_ONCE = Statement(
    """
INSERT INTO telemetry_samplefeed AS f (node_id, boot_id, seen, last_at)
VALUES (%(node)s, %(boot)s, int8multirange(int8range(%(sequence)s, %(sequence)s, '[]')), %(now)s)
ON CONFLICT (node_id, boot_id) DO UPDATE SET seen = f.seen + EXCLUDED.seen, last_at = EXCLUDED.last_at
WHERE NOT f.seen @> EXCLUDED.seen
""",
    node="bigint",
    boot="text",
    sequence="bigint",
    now="timestamptz",
)  # also the lock under which a node's deliveries wait for each other
_KNOWN = Statement(
    """
SELECT d.uuid, d.id, d.memory_mib, l.newest_at
FROM cluster_device d LEFT JOIN telemetry_latestsample l ON l.device_id = d.id WHERE d.node_id = %(node)s
""",
    node="bigint",
)
_THERE = "SELECT device_id, at FROM telemetry_sample WHERE device_id = ANY(%s) AND at BETWEEN %s AND %s"
_LATEST = Statement(
    f"""
INSERT INTO telemetry_latestsample AS l (device_id, at, newest_at, processes, {", ".join(COLUMNS)})
SELECT device_id, at, at, processes, {", ".join(COLUMNS)}
FROM jsonb_to_recordset(%(rows)s::jsonb) AS t (device_id bigint, at timestamptz, processes jsonb, energy_mj bigint,
    memory_used_mib integer, power_watts real, utilisation_percent smallint, temperature_c smallint,
    process_count smallint, sm_active_permille smallint, tensor_active_permille smallint)
ORDER BY device_id
ON CONFLICT (device_id) DO UPDATE SET at = EXCLUDED.at, newest_at = greatest(l.newest_at, EXCLUDED.at),
    processes = EXCLUDED.processes, {", ".join(f"{name} = EXCLUDED.{name}" for name in COLUMNS)}
WHERE EXCLUDED.at > l.at OR l.at > %(now)s
""",  # noqa: S608 (constants only). What says that it is of the future makes way for what is of now.
    rows="jsonb",
    now="timestamptz",
)
_LATE = """
INSERT INTO telemetry_latehour (node_id, hour, noted_at)
SELECT %s, hour, %s FROM unnest(%s::timestamptz[]) AS hour
"""


@dataclass(frozen=True)
class Ingested:
    """The answer to one delivery; `repeated` when this batch was taken before."""

    accepted: int
    repeated: bool
    unknown_devices: int = 0
    bad_times: int = 0
    malformed: int = 0
    bad_values: int = 0


def ingest(*, node: Node, boot_id: str, sequence: int, samples: list[Any], host: Any = None) -> Ingested:
    """Take one delivery of a node exactly once.

    Rows of devices that are not this node's are refused, as are times more than ten minutes ahead or two hours back;
    impossible values become null; all of them are counted. Rows that are there already are passed over in silence.
    At most one statement of each kind, whatever the size. `host`: what the machine did, once a minute.
    """
    try:
        return _take(node, boot_id, sequence, samples, host)
    except IntegrityError:  # rows on their way to the default partition while theirs was made: now there is a place
        return _take(node, boot_id, sequence, samples, host)


@transaction.atomic
def _take(node: Node, boot_id: str, sequence: int, samples: list[Any], host: Any) -> Ingested:
    now = timezone.now()
    with connection.cursor() as cursor:
        _ONCE.run(cursor, node=node.pk, boot=boot_id, sequence=sequence, now=now)
        if not cursor.rowcount:
            return Ingested(accepted=0, repeated=True)
        _KNOWN.run(cursor, node=node.pk)
        known = {uuid: Known(*row) for uuid, *row in cursor.fetchall()}
    parsed = parse(samples, known, now)
    rows = _unknown_yet(parsed.rows, known)
    if rows:
        _copy(rows)
        _keep_latest(rows, parsed, now)
        _note_late(node, rows, now)
    if host is not None:
        keep_host(node, host, now)
    parsed.counts.accepted = len(rows)
    answer = Ingested(repeated=False, **asdict(parsed.counts))
    for code in REFUSED_ROWS:
        refusals.count(node=node, code=f"samples_{code}", times=getattr(answer, code))
    return answer


def _unknown_yet(rows: list[Row], known: Mapping[str, Known]) -> list[Row]:
    """The rows that are not in the table. What is newer than the device's newest cannot be; only the rest is looked
    for.
    """
    newest = {device.device_id: step_of(device.newest_at) for device in known.values() if device.newest_at}
    old = [row for row in rows if row[0] in newest and step_of(row[1]) <= newest[row[0]]]
    if not old:
        return rows
    moments = [row[1] for row in old]
    margin = timedelta(seconds=1)
    with connection.cursor() as cursor:
        cursor.execute(_THERE, [list({row[0] for row in old}), min(moments) - margin, max(moments) + margin])
        there = {(device_id, step_of(at)) for device_id, at in cursor.fetchall()}
    return [row for row in rows if (row[0], step_of(row[1])) not in there]


def _copy(rows: list[Row]) -> None:
    text = io.StringIO()
    for row in rows:
        text.write("\t".join("\\N" if value is None else str(value) for value in row) + "\n")
    text.seek(0)
    with connection.wrap_database_errors, connection.cursor() as cursor:  # psycopg2's own call raises its own errors
        cursor.cursor.copy_expert(f"COPY telemetry_sample ({_FIELDS}) FROM STDIN", text)


def _keep_latest(rows: list[Row], parsed: Parsed, now: datetime) -> None:
    """The newest row of each device. Nodes never share a device, and deliveries of one wait for each other."""
    newest: dict[int, Row] = {}
    for row in rows:
        if row[0] not in newest or row[1] > newest[row[0]][1]:
            newest[row[0]] = row
    said = [
        dict(zip(COLUMNS, values, strict=True))
        | {"device_id": device_id, "at": at.isoformat(), "processes": parsed.processes.get(device_id, [])}
        for device_id, at, *values in newest.values()
    ]
    with connection.cursor() as cursor:
        _LATEST.run(cursor, rows=json.dumps(said), now=now)


def _note_late(node: Node, rows: list[Row], now: datetime) -> None:
    late = {_hour(row[1]) for row in rows if row[1] < now - LATE_AFTER}
    if late:
        with connection.cursor() as cursor:
            cursor.execute(_LATE, [node.pk, now, sorted(late)])


def _hour(moment: datetime) -> datetime:
    return hour_of(moment.astimezone(UTC))
