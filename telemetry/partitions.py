"""Partitions of the tables that grow with every second: made ahead, dropped whole, told in bytes.

Whatever comes while none is made for it (the job was down, a clock runs ahead) lies in the table's default partition
and moves into its own when that is made: a missing partition costs nobody a row.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.utils.module_loading import import_string

log = logging.getLogger(__name__)
LOCK_TIMEOUT = "3s"
"""To make or drop one takes every reader's and writer's turn for a moment: whoever waits longer tries again later."""
MOVED_AT_ONCE = 50
_SIZES = """
SELECT p.relname, c.relname, pg_get_expr(c.relpartbound, c.oid), pg_total_relation_size(c.oid), pg_indexes_size(c.oid),
       greatest(c.reltuples, s.n_live_tup, 0)::bigint
FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_class c ON c.oid = i.inhrelid
LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE p.relname = ANY(%s) AND p.relkind = 'p'
"""
MONTH = "month"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Partitioned:
    """A table, its column of time, how long a partition is, how many days are kept (0: for good). `append_only`: the
    database refuses to delete of it.
    """

    table: str
    column: str
    step: timedelta | str
    keep_days: int
    append_only: bool = False

    def slot(self, moment: datetime) -> tuple[datetime, datetime]:
        """The bounds (UTC) of the partition that a moment belongs to."""
        moment = moment.astimezone(UTC)
        if self.step == MONTH:
            start = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            return start, (start + 32 * DAY).replace(day=1)
        assert isinstance(self.step, timedelta)
        epoch = datetime(2000, 1, 1, tzinfo=UTC)
        start = moment - (moment - epoch) % self.step
        return start, start + self.step

    @property
    def ahead(self) -> timedelta:
        """How far ahead there shall be partitions."""
        return 32 * DAY if self.step == MONTH else max(3 * DAY, 3 * self.slot_length)

    @property
    def slot_length(self) -> timedelta:
        """About how long a partition is."""
        return 31 * DAY if isinstance(self.step, str) else self.step


@dataclass(frozen=True)
class Partition:
    """One that is there."""

    name: str
    since: datetime
    until: datetime


@dataclass(frozen=True)
class Part(Partition):
    """One with what it takes: rows as the database last counted them."""

    bytes: int
    index_bytes: int
    rows: int


@dataclass(frozen=True)
class Size:
    """A table on the disk, its default partition included. `astray`: rows that wait there for one of their own."""

    table: str
    bytes: int
    index_bytes: int
    rows: int
    parts: tuple[Part, ...]
    keep_days: int
    astray: int

    @property
    def oldest(self) -> datetime | None:
        """Where the first partition that holds anything begins."""
        return next((part.since for part in self.parts if part.rows), None)


def tables() -> tuple[Partitioned, ...]:
    """Every table that is partitioned, with the settings of this moment."""
    hours = timedelta(hours=settings.TELEMETRY_PARTITION_HOURS)
    return (
        Partitioned("telemetry_sample", "at", hours, settings.TELEMETRY_KEEP_SAMPLES_DAYS),
        Partitioned("telemetry_deviceminute", "minute", DAY, settings.TELEMETRY_KEEP_MINUTES_DAYS),
        Partitioned("telemetry_devicehour", "hour", MONTH, settings.TELEMETRY_KEEP_HOURS_DAYS),
        Partitioned("telemetry_nodeminute", "minute", DAY, settings.TELEMETRY_KEEP_MINUTES_DAYS),
        Partitioned("telemetry_nodehour", "hour", MONTH, settings.TELEMETRY_KEEP_HOURS_DAYS),
        *(import_string(path) for path in settings.PARTITIONED_ELSEWHERE),
    )


def ensure(now: datetime, *, since: datetime | None = None) -> int:
    """Make the partitions from `since` (or now) to some days ahead, and those for whatever lies in a default partition;
    how many are new. One statement a table where all are there.
    """
    made = 0
    for table in tables():
        there = existing(table)
        try:
            for start, end in _missing(table, there, since or now, now + table.ahead):
                made += _make(table, start, end)
            made += _for_stray(table, now)
        except OperationalError as error:  # somebody has read for long: the next round comes in a minute
            log.warning("no partition of %s could be made: %s", table.table, error)
    return made


def drop_expired(now: datetime) -> int:
    """Drop the partitions of which nothing is kept any more, and the rows of the default ones; partitions gone."""
    gone = 0
    for table in tables():
        if not table.keep_days:
            continue
        before = now - timedelta(days=table.keep_days)
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table.table}_default WHERE {table.column} < %s", [before])  # noqa: S608
        for partition in existing(table):
            if partition.until <= before:
                gone += _drop(partition)
    return gone


def existing(table: Partitioned) -> list[Partition]:
    """The partitions of a table in their order, the default one left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c"
            " ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass",
            [table.table],
        )
        rows = cursor.fetchall()
    parts = [Partition(name, *bounds) for name, bound in rows if (bounds := _bounds(bound))]
    return sorted(parts, key=lambda part: part.since)


def sizes() -> list[Size]:
    """What each partitioned table takes: two statements in all."""
    specs = tables()
    with connection.cursor() as cursor:
        cursor.execute(_SIZES, [[spec.table for spec in specs]])
        rows = cursor.fetchall()
        cursor.execute(" UNION ALL ".join(f"SELECT count(*) FROM {spec.table}_default" for spec in specs))  # noqa: S608
        astray = [count for (count,) in cursor.fetchall()]
    return [
        _size(spec, [row[1:] for row in rows if row[0] == spec.table], n) for spec, n in zip(specs, astray, strict=True)
    ]


def _size(spec: Partitioned, rows: list[tuple[Any, ...]], astray: int) -> Size:
    parts = [
        Part(name, bounds[0], bounds[1], bytes=row[0], index_bytes=row[1], rows=row[2])
        for name, bound, *row in rows
        if (bounds := _bounds(bound))
    ]
    return Size(
        table=spec.table,
        bytes=sum(row[2] for row in rows),
        index_bytes=sum(row[3] for row in rows),
        rows=sum(row[4] for row in rows),
        parts=tuple(sorted(parts, key=lambda part: part.since)),
        keep_days=spec.keep_days,
        astray=astray,
    )


def _missing(
    table: Partitioned, there: list[Partition], since: datetime, until: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """Slots without a partition; where the length of one was changed, only what the old ones do not cover."""
    at = table.slot(since)[0]
    while at <= until:
        covering = next((part for part in there if part.since <= at < part.until), None)
        if covering:
            at = covering.until
            continue
        after = min((part.since for part in there if part.since > at), default=None)
        end = table.slot(at)[1]
        end = min(end, after) if after else end
        yield at, end
        at = end


def _for_stray(table: Partitioned, now: datetime) -> int:
    """Partitions for rows of the default one that are still kept."""
    made, oldest = 0, now - timedelta(days=table.keep_days or 36_500)
    for _turn in range(MOVED_AT_ONCE):
        with connection.cursor() as cursor:
            column = table.column
            cursor.execute(
                f"SELECT {column} FROM {table.table}_default WHERE {column} >= %s LIMIT 1",  # noqa: S608 (constants)
                [oldest],
            )
            row = cursor.fetchone()
        if row is None:
            return made
        start, end = table.slot(row[0])
        for part in existing(table):  # of another length, perhaps
            start = max(start, part.until) if part.until <= row[0] else start
            end = min(end, part.since) if part.since > row[0] else end
        made += _make(table, start, end)
    return made


@transaction.atomic
def _make(table: Partitioned, since: datetime, until: datetime) -> int:
    """One partition, with what the default one holds of it."""
    name = f"{table.table}_p{since:%Y%m%d%H}"
    parent, column = table.table, table.column
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {name} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        cursor.execute(f"LOCK TABLE {parent}_default IN SHARE ROW EXCLUSIVE MODE")
        with _movable(table, cursor):
            cursor.execute(
                f"WITH moved AS (DELETE FROM {parent}_default WHERE {column} >= %s AND {column} < %s RETURNING *)"  # noqa: S608
                f" INSERT INTO {name} SELECT * FROM moved",
                [since, until],
            )
        cursor.execute(
            f"ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)",
            [since.isoformat(), until.isoformat()],
        )
        cursor.execute("SET LOCAL lock_timeout = 0")
    return 1


@contextmanager
def _movable(table: Partitioned, cursor: Any) -> Iterator[None]:
    """Rows that nobody may delete go from the default partition into their own, in one transaction and under its lock:
    the trigger rests for that alone.
    """
    if table.append_only:
        cursor.execute(f"ALTER TABLE {table.table}_default DISABLE TRIGGER append_only")
    yield
    if table.append_only:
        cursor.execute(f"ALTER TABLE {table.table}_default ENABLE TRIGGER append_only")


def _drop(partition: Partition) -> int:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            cursor.execute(f"DROP TABLE {partition.name}")
            cursor.execute("SET LOCAL lock_timeout = 0")
    except OperationalError as error:
        log.warning("%s could not be dropped: %s", partition.name, error)
        return 0
    return 1


def _bounds(said: str) -> list[datetime]:
    """The two ends of a partition as the catalogue says them; none of the default one."""
    return [datetime.fromisoformat(text).astimezone(UTC) for text in re.findall(r"'([^']+)'", said)]
