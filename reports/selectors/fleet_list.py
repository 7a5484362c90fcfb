"""Every GPU as a line of a file: the figures of the table alone, so that 25,000 are read and written at once."""

from datetime import datetime
from typing import NamedTuple

from django.db import connection

from reports.selectors.fleet_counts import held_join, order_of
from reports.selectors.fleet_parts import RANK, Part
from reports.selectors.fleet_sql import FIGURES, Narrowed, When, fleet

_COLUMNS = ("node", "position", "slice", "pool", "rank", "health", *FIGURES)
_NEEDED = (*_COLUMNS, "id", "parent_id", "place", "pool_place", "lease_id")


class Line(NamedTuple):
    """One GPU or MIG instance, as the table has it. `rank`: of its part."""

    node: str
    position: int
    first_slice: int | None
    pool: str
    rank: int
    health: str
    utilisation_percent: float | None
    sm_active_percent: float | None
    tensor_active_percent: float | None
    memory_used_mib: float | None
    power_watts: float | None
    temperature_c: float | None
    holder: str | None
    until: datetime | None


def listed(moment: When, which: Narrowed, *, sort: str = "", part: str = "") -> list[Line]:
    """All of them, in the order of a column of the table; only those that count as `part`. One statement."""
    source, values = fleet(_NEEDED, moment, which)
    chosen = f"WHERE rank = {RANK[Part(part)]}" if part else ""
    columns = ", ".join((*_COLUMNS, "holder", "ends_at"))
    sql = f"{source} SELECT {columns} FROM fleet {held_join('holder')} {chosen} ORDER BY {order_of(sort)}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return [Line._make(row) for row in cursor.fetchall()]
