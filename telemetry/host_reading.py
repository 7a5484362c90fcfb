"""What machines did, step by step: processor, memory, disks, network beside their devices."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from telemetry.reading import parameters, rows, times
from telemetry.windows import DAYS, HOURS, MINUTES, Window


@dataclass(frozen=True)
class HostLine:
    """One line: its expression over a row of a node."""

    key: str
    name: Any
    expression: str
    look: str = ""


@dataclass(frozen=True)
class HostPicture:
    """One chart of a machine."""

    key: str
    unit: str
    name: Any
    lines: tuple[HostLine, ...]
    most: int | None = None


_MEBI, _GIBI = "/ 1048576.0", "/ 1024.0"
PICTURES = {
    each.key: each
    for each in (
        HostPicture(
            "cpu",
            "%",
            _("Processor"),
            (HostLine("cpu", pgettext_lazy("machine", "at work"), "t.cpu_percent"),),
            most=100,
        ),
        HostPicture(
            "ram",
            "GiB",
            _("Memory of the machine"),
            (
                HostLine("used", pgettext_lazy("machine", "used"), f"t.memory_used_mib {_GIBI}"),
                HostLine("total", pgettext_lazy("machine", "Limit"), f"t.memory_total_mib {_GIBI}", "limit"),
            ),
        ),
        HostPicture(
            "disk",
            "MiB/s",
            _("Disks"),
            (
                HostLine("read", pgettext_lazy("machine", "read"), f"t.disk_read_bytes {_MEBI}"),
                HostLine("written", pgettext_lazy("machine", "written"), f"t.disk_written_bytes {_MEBI}"),
            ),
        ),
        HostPicture(
            "space",
            "GiB",
            _("Disk space"),
            (
                HostLine("used", pgettext_lazy("machine", "used"), f"t.disk_used_mib {_GIBI}"),
                HostLine("total", pgettext_lazy("machine", "Limit"), f"t.disk_total_mib {_GIBI}", "limit"),
            ),
        ),
        HostPicture(
            "network",
            "MiB/s",
            _("Network"),
            (
                HostLine("received", pgettext_lazy("machine", "received"), f"t.network_received_bytes {_MEBI}"),
                HostLine("sent", pgettext_lazy("machine", "sent"), f"t.network_sent_bytes {_MEBI}"),
            ),
        ),
        HostPicture("load", "", _("Load"), (HostLine("load", _("processes that run or wait"), "t.load"),)),
    )
}
DEFAULT = "cpu"
FINEST = MINUTES
"""An agent speaks of its machine once a minute."""
_PLACES = {
    MINUTES.key: ("telemetry_nodeminute", "minute", "1"),
    HOURS.key: ("telemetry_nodehour", "hour", "t.samples"),
    DAYS.key: ("telemetry_nodehour", "hour", "t.samples"),
}
_LINES = """
SELECT {bin} AS bin, {values} FROM {table} t
WHERE t.node_id = %(node)s AND t.{column} >= %(start)s::timestamptz AND t.{column} < %(end)s::timestamptz
  AND NOT EXISTS (
    SELECT FROM unnest(%(from)s::timestamptz[], %(to)s::timestamptz[]) AS h (since, until)
    WHERE t.{column} < h.until AND t.{column} + interval '1 {length}' > h.since)
GROUP BY 1
"""


def lines(
    node_id: int, window: Window, picture: HostPicture, hidden: Iterable[tuple[datetime, datetime]] = ()
) -> dict[str, list[float | None]]:
    """Of each line of a picture a value a step of the window; None where nothing was said. One query.

    `hidden`: minutes (or hours) that touch these stretches are left out.
    """
    table, column, weight = _PLACES[window.source.key]
    sql = _LINES.format(
        table=table,
        column=column,
        length=column,
        bin=times(window, column, rolled_to_days=False)["bin"],
        values=", ".join(_mean(line.expression, weight) for line in picture.lines),
    )
    stretches = list(hidden)
    values = {
        "node": node_id,
        "from": [since for since, _until in stretches],
        "to": [until for _since, until in stretches],
        **parameters(window),
    }
    place = {at: number for number, at in enumerate(window.moments)}
    found: dict[str, list[float | None]] = {line.key: [None] * len(place) for line in picture.lines}
    for at, *measured in rows(sql, values):
        for line, value in zip(picture.lines, measured, strict=True):
            if at in place:
                found[line.key][place[at]] = value
    return found


def _mean(expression: str, weight: str) -> str:
    heavy = f"sum({weight}) FILTER (WHERE {expression} IS NOT NULL)"
    return f"(sum({expression} * {weight}) / nullif({heavy}, 0))::float8"
