"""What the measurements take on the disk, how fast they grow, and how large they will be by the settings of now."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils.translation import gettext_lazy as _

from telemetry import partitions
from telemetry.models import RollupMark

DAY = timedelta(days=1)
WHAT: dict[str, Any] = {
    "telemetry_sample": _("Samples, every ten seconds"),
    "telemetry_deviceminute": _("Minutes of each GPU"),
    "telemetry_nodeminute": _("Minutes of the machines"),
    "telemetry_devicehour": _("Hours of each GPU"),
    "telemetry_nodehour": _("Hours of the machines"),
    "telemetry_deviceday": _("Days of each GPU"),
    "telemetry_poolminute": _("Minutes of the pools"),
    "telemetry_poolhour": _("Hours of the pools"),
    "telemetry_latestsample": _("The newest sample of each GPU"),
    "allocations_usagehour": _("Use of each held hour"),
    "allocations_usageday": _("Use of each reservation and day"),
}
SETTINGS = {
    "telemetry_sample": "TELEMETRY_KEEP_SAMPLES_DAYS",
    "telemetry_deviceminute": "TELEMETRY_KEEP_MINUTES_DAYS",
    "telemetry_nodeminute": "TELEMETRY_KEEP_MINUTES_DAYS",
    "telemetry_devicehour": "TELEMETRY_KEEP_HOURS_DAYS",
    "telemetry_nodehour": "TELEMETRY_KEEP_HOURS_DAYS",
}
PLAIN = (
    "telemetry_latestsample",
    "telemetry_deviceday",
    "telemetry_poolminute",
    "telemetry_poolhour",
    "allocations_usageday",
)
_PLAIN = """
SELECT c.relname, pg_total_relation_size(c.oid), pg_indexes_size(c.oid),
       greatest(c.reltuples, s.n_live_tup, 0)::bigint
FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relname = ANY(%s) AND c.relkind = 'r' ORDER BY array_position(%s, c.relname::text)
"""


@dataclass(frozen=True)
class Table:
    """One table. Rows as the database last counted them; `full_bytes`: at this rate when all is kept that shall be,
    None where it is kept for good or nothing was measured yet.
    """

    name: str
    bytes: int
    index_bytes: int
    rows: int
    partitions: int
    oldest: datetime | None
    keep_days: int
    setting: str
    rows_a_day: int | None
    astray: int

    @property
    def what(self) -> str:
        """What lies in it, in the reader's language."""
        return str(WHAT.get(self.name, self.name))

    @property
    def bytes_a_row(self) -> float | None:
        """With indexes; None of fewer rows than say anything."""
        return self.bytes / self.rows if self.rows >= 1000 else None

    @property
    def bytes_a_day(self) -> int | None:
        """At the rate of the last days."""
        each = self.bytes_a_row
        return None if self.rows_a_day is None or each is None else int(self.rows_a_day * each)

    @property
    def full_bytes(self) -> int | None:
        """When all is kept that the setting says."""
        day = self.bytes_a_day
        return day * self.keep_days if day is not None and self.keep_days else None

    @property
    def full_at(self) -> datetime | None:
        """When the oldest row is as old as any becomes."""
        return self.oldest + self.keep_days * DAY if self.oldest and self.keep_days else None


@dataclass(frozen=True)
class Storage:
    """Every table, the whole database beside it, and how far the rollups have come."""

    at: datetime
    tables: list[Table]
    database_bytes: int
    marks: list[RollupMark]

    @property
    def bytes(self) -> int:
        """Of all these tables."""
        return sum(table.bytes for table in self.tables)

    @property
    def full_bytes(self) -> int:
        """Of all these tables when each is full; what is kept for good as it is now."""
        return sum(table.bytes if table.full_bytes is None else table.full_bytes for table in self.tables)

    @property
    def astray(self) -> int:
        """Rows that wait for a partition."""
        return sum(table.astray for table in self.tables)


def storage(now: datetime) -> Storage:
    """Five queries, whatever the number of tables and partitions."""
    with connection.cursor() as cursor:
        cursor.execute(_PLAIN, [list(PLAIN), list(PLAIN)])
        plain = cursor.fetchall()
        cursor.execute("SELECT pg_database_size(current_database())")
        whole = cursor.fetchone()[0]
    found = [_partitioned(size, now) for size in partitions.sizes()]
    found += [Table(name, size, indexes, rows, 0, None, 0, "", None, 0) for name, size, indexes, rows in plain]
    return Storage(now, found, whole, list(RollupMark.objects.order_by("name")))


def _partitioned(size: partitions.Size, now: datetime) -> Table:
    return Table(
        name=size.table,
        bytes=size.bytes,
        index_bytes=size.index_bytes,
        rows=size.rows,
        partitions=len(size.parts),
        oldest=size.oldest,
        keep_days=size.keep_days,
        setting=SETTINGS.get(size.table, ""),
        rows_a_day=_rate(size, now),
        astray=size.astray,
    )


def _rate(size: partitions.Size, now: datetime) -> int | None:
    """Rows a day: of the newest partition that is over and has any, else of the one that is being filled."""
    filled = [part for part in size.parts if part.rows and part.since < now]
    over = [part for part in filled if part.until <= now]
    part = over[-1] if over else filled[-1] if filled else None
    return None if part is None else int(part.rows * DAY / max(min(part.until, now) - part.since, DAY / 24))
