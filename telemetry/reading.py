"""What devices and machines measured, step by step: one query a chart, whatever the number of lines."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext_lazy as _

from telemetry.selectors import USED_ABOVE_PERCENT
from telemetry.windows import DAYS, EPOCH, HOURS, MINUTES, SAMPLES, Window


@dataclass(frozen=True)
class Figure:
    """One thing that is measured. `samples` is the column of single samples, `rolled` that of minutes, hours and days.

    `summed`: a sum over the step, not a mean.
    """

    key: str
    unit: str
    name: Any
    samples: str
    rolled: str
    summed: bool = False


FIGURES = {
    each.key: each
    for each in (
        Figure("utilisation", "%", _("utilisation"), "utilisation_percent", "utilisation_percent"),
        Figure("sm_active", "%", _("SM active"), "sm_active_permille / 10.0", "sm_active_percent"),
        Figure(
            "tensor_active", "%", _("tensor cores active"), "tensor_active_permille / 10.0", "tensor_active_percent"
        ),
        Figure("memory", "MiB", _("memory used"), "memory_used_mib", "memory_used_mib"),
        Figure("power", "W", _("power"), "power_watts", "power_watts"),
        Figure("temperature", "°C", _("temperature"), "temperature_c", "temperature_c"),
        Figure("processes", "", _("processes"), "process_count", "process_count"),
        Figure("energy", "Wh", _("energy"), "", "energy_j / 3600.0", summed=True),
    )
}
_PLACES = {
    SAMPLES.key: ("telemetry_sample", "at", ""),
    MINUTES.key: ("telemetry_deviceminute", "minute", ""),
    HOURS.key: ("telemetry_devicehour", "hour", "minutes"),
    DAYS.key: ("telemetry_deviceday", "day", "minutes"),
}
"""Table, its moment, and what a row weighs in a mean of several."""
# A row belongs to a span that has all of it: half an hour of somebody else's would be told with the rest.
# The bounds stand beside the join, too: as constants they choose the partitions and the index.
_LINES = """
SELECT span.key, {bin} AS bin, {values}
FROM {table} t
JOIN unnest(%(keys)s::integer[], %(devices)s::bigint[], %(since)s::timestamptz[], %(until)s::timestamptz[])
  AS span (key, device_id, since, until) ON span.device_id = t.device_id
WHERE t.device_id = ANY(%(devices)s::integer[]) AND t.{column} >= {start} AND t.{column} < {end}
  AND {at} >= span.since AND {over} <= span.until
GROUP BY 1, 2
"""


_TOTALS = """
SELECT span.key, {minutes}, {busy}, sum(t.energy_j)::float8, {values}
FROM {table} t
JOIN unnest(%(keys)s::integer[], %(devices)s::bigint[], %(since)s::timestamptz[], %(until)s::timestamptz[])
  AS span (key, device_id, since, until) ON span.device_id = t.device_id
WHERE t.device_id = ANY(%(devices)s::integer[]) AND t.{column} >= {start} AND t.{column} < {end}
  AND {at} >= span.since AND {over} <= span.until
GROUP BY 1
"""
TOTALLED = ("utilisation", "sm_active", "tensor_active", "memory", "power", "temperature")


@dataclass(frozen=True)
class Totals:
    """One device over a whole stretch: minutes with a measurement, those above the idle line, joules, means by figure.

    None where nothing was measured.
    """

    minutes: int
    busy_minutes: int
    energy_j: float | None
    means: dict[str, float | None]


@dataclass(frozen=True)
class Span:
    """A device for a time, drawn as line `key`; several devices of one key are one line, their mean (or sum)."""

    key: int
    device_id: int
    since: datetime
    until: datetime


Lines = dict[int, dict[str, list[float | None]]]


def lines(spans: Iterable[Span], window: Window, figures: Sequence[str]) -> Lines:
    """Of each line and figure a value a step of the window, in its order; None where nothing was measured. One query.

    Energy is not to be had below a minute.
    """
    drawn = list(spans)
    if not drawn:
        return {}
    table, column, weight = _PLACES[window.source.key]
    sql = _LINES.format(
        table=table,
        column=column,
        values=", ".join(_value(FIGURES[key], window, weight) for key in figures),
        **times(window, column),
    )
    place = {at: number for number, at in enumerate(window.moments)}
    found: Lines = {}
    for key, at, *measured in rows(sql, _spans(drawn, window)):
        if at not in place:
            continue  # the step that has only begun
        line = found.setdefault(key, {figure: [None] * len(place) for figure in figures})
        for figure, value in zip(figures, measured, strict=True):
            line[figure][place[at]] = value
    return found


def totals(spans: Iterable[Span], window: Window) -> dict[int, Totals]:
    """Of each line what it comes to over the whole window; a line that has no measurement is missing. One query."""
    drawn = list(spans)
    window = window.coarser(MINUTES) if window.source == SAMPLES else window
    table, column, weight = _PLACES[window.source.key]
    above = f"t.utilisation_percent > {USED_ABOVE_PERCENT}"
    sql = _TOTALS.format(
        table=table,
        column=column,
        minutes=f"coalesce(sum(t.{weight}), 0)" if weight else "count(t.utilisation_percent)",
        busy="coalesce(sum(t.busy_minutes), 0)" if weight else f"count(*) FILTER (WHERE {above})",
        values=", ".join(_value(FIGURES[key], window, weight) for key in TOTALLED),
        **{name: text for name, text in times(window, column).items() if name != "bin"},
    )
    return {
        key: Totals(int(minutes), int(busy), energy, dict(zip(TOTALLED, means, strict=True)))
        for key, minutes, busy, energy, *means in (rows(sql, _spans(drawn, window)) if drawn else ())
    }


def _spans(drawn: Sequence[Span], window: Window) -> dict[str, Any]:
    return {
        "keys": [row.key for row in drawn],
        "devices": [row.device_id for row in drawn],
        "since": [row.since for row in drawn],
        "until": [row.until for row in drawn],
        **parameters(window),
    }


def _value(figure: Figure, window: Window, weight: str) -> str:
    if window.source == SAMPLES:
        return f"avg({figure.samples})::float8" if figure.samples else "NULL::float8"
    column = f"t.{figure.rolled}"
    if figure.summed:
        return f"sum({column})::float8"
    if not weight:
        return f"avg({column})::float8"
    heavy = f"t.{weight}"
    return f"(sum({column} * {heavy}) / nullif(sum({heavy}) FILTER (WHERE {column} IS NOT NULL), 0))::float8"


def times(window: Window, column: str, *, rolled_to_days: bool = True) -> dict[str, str]:
    """How the table's moments become steps: days are days of the portal's zone, and weeks begin on Monday.

    `rolled_to_days`: what is read in days has a table of them.
    """
    if window.source != DAYS or not rolled_to_days:
        over = f"t.{column}" if window.source == SAMPLES else f"t.{column} + interval '1 {column}'"
        moments = {"at": f"t.{column}", "over": over, "start": "%(start)s::timestamptz", "end": "%(end)s::timestamptz"}
        if window.step < DAYS.step:
            return {**moments, "bin": f"date_bin(%(step)s::interval, t.{column}, %(epoch)s::timestamptz)"}
        unit = "week" if window.step > DAYS.step else "day"
        return {**moments, "bin": f"date_trunc('{unit}', t.{column}, %(zone)s)"}
    unit = "week" if window.step > DAYS.step else "day"
    local = "(%({name})s::timestamptz AT TIME ZONE %(zone)s)::date"
    return {
        "at": "(t.day::timestamp AT TIME ZONE %(zone)s)",
        "over": "((t.day + 1)::timestamp AT TIME ZONE %(zone)s)",
        "start": local.format(name="start"),
        "end": local.format(name="end"),
        "bin": f"(date_trunc('{unit}', t.day::timestamp) AT TIME ZONE %(zone)s)",
    }


def parameters(window: Window) -> dict[str, Any]:
    """What the SQL of a window needs."""
    return {
        "start": window.start,
        "end": window.end,
        "step": window.step,
        "epoch": EPOCH,
        "zone": settings.TIME_ZONE,
    }


def rows(sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """One query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
