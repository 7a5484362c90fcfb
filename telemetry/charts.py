"""Charts: points in time, gaps left as gaps, in the shape that static/js/charts.js draws and the API gives."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, DateTimeField, F, FloatField, Func, Sum, Value
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cluster.marks import Mark, gathered
from cluster.models import Device, Node
from telemetry import host_reading, reading
from telemetry.models import DeviceMinute, PoolMinute
from telemetry.reading import FIGURES
from telemetry.windows import EPOCH, MINUTES, Window, floor

Point = tuple[int, float | None]
NODES_ON_A_CHART = 12
DEVICES_ON_A_CHART = 16
Chart = dict[str, Any]


@dataclass(frozen=True)
class Range:
    """A range that the fleet's chart offers: how far back, in steps of how long."""

    key: str
    length: timedelta
    step: timedelta
    label: Any


SPANS = {
    span.key: span
    for span in (
        Range("1h", timedelta(hours=1), timedelta(minutes=1), gettext_lazy("1 hour")),
        Range("6h", timedelta(hours=6), timedelta(minutes=5), gettext_lazy("6 hours")),
        Range("24h", timedelta(hours=24), timedelta(minutes=15), gettext_lazy("24 hours")),
    )
}
DEFAULT_SPAN = "1h"


@dataclass(frozen=True)
class Picture:
    """One chart of a device: the figures that share its axis."""

    key: str
    figures: tuple[str, ...]
    name: Any
    limit: str = ""

    @property
    def unit(self) -> str:
        """What its axis is in."""
        return FIGURES[self.figures[0]].unit

    @property
    def most(self) -> int | None:
        """Where its axis ends; None: where the values do."""
        return 100 if self.unit == "%" else None


DEVICE_PICTURES = {
    each.key: each
    for each in (
        Picture("utilisation", ("utilisation", "sm_active", "tensor_active"), gettext_lazy("Utilisation")),
        Picture("memory", ("memory",), gettext_lazy("Memory used"), limit="memory_mib"),
        Picture("power", ("power",), gettext_lazy("Power"), limit="power_limit_watts"),
        Picture("temperature", ("temperature",), gettext_lazy("Temperature")),
        Picture("energy", ("energy",), gettext_lazy("Energy")),
        Picture("processes", ("processes",), gettext_lazy("Processes")),
    )
}
COMPARED = ("utilisation", "sm_active", "tensor_active", "memory", "power", "temperature", "energy")
"""Figures that several devices are compared by: one line a device."""
DEFAULT_FIGURE = "utilisation"


def metric_name(key: str) -> str:
    """The translated name of a figure, as a title."""
    name = str(FIGURES[key].name)
    return name[:1].upper() + name[1:]


def device_chart(device: Device, key: str, window: Window, marks: Sequence[Mark] = ()) -> Chart:
    """One picture of one device, its limit beside it. One query."""
    picture = DEVICE_PICTURES.get(key) or DEVICE_PICTURES[DEFAULT_FIGURE]
    window = _fit(window, picture.figures)
    span = reading.Span(0, device.pk, window.start, window.end)
    measured = reading.lines([span], window, picture.figures).get(0, {})
    named = [(metric_name(figure), measured.get(figure)) for figure in picture.figures]
    series = [_line(name, values, window) for name, values in named if values is not None or name == named[0][0]]
    limit = getattr(device, picture.limit) if picture.limit else None
    if limit:
        series.append(_line(_("Limit"), [limit] * len(window.moments), window) | {"look": "limit"})
    return _chart(picture.unit, series, window, marks) | {"summed": FIGURES[picture.figures[0]].summed}


def devices_chart(
    named: Iterable[tuple[str, str, reading.Span]], key: str, window: Window, marks: Sequence[Mark] = ()
) -> Chart:
    """One figure of several devices, (line, node, span) each; a line a node where they are more than a chart can show.

    A device whose span begins later or ends earlier than the window has gaps there. One query.
    """
    key = key if key in COMPARED else DEFAULT_FIGURE
    window = _fit(window, (key,))
    rows = list(named)
    many = len({line for line, _node, _span in rows}) > DEVICES_ON_A_CHART
    names = list(dict.fromkeys(node if many else line for line, node, _span in rows))
    spans = [
        reading.Span(names.index(node if many else line), span.device_id, span.since, span.until)
        for line, node, span in rows
    ]
    measured = reading.lines(spans, window, (key,))
    series = [_line(name, measured.get(place, {}).get(key), window) for place, name in enumerate(names)]
    chart = _chart(FIGURES[key].unit, series, window, marks) | {"summed": FIGURES[key].summed}
    if many:
        chart["notes"].insert(0, _("More than %(most)s GPUs: one line for each node.") % {"most": DEVICES_ON_A_CHART})
    return chart


def host_chart(
    node: Node,
    key: str,
    window: Window,
    marks: Sequence[Mark] = (),
    *,
    hidden: Iterable[tuple[datetime, datetime]] = (),
) -> Chart:
    """What a machine did: processor, memory, disks, network. `hidden`: stretches that are not told. One query."""
    picture = host_reading.PICTURES.get(key) or host_reading.PICTURES[host_reading.DEFAULT]
    window = window.coarser(MINUTES) if window.source.step < MINUTES.step else window
    measured = host_reading.lines(node.pk, window, picture, hidden)
    series = [
        _line(str(line.name), measured.get(line.key), window) | ({"look": line.look} if line.look else {})
        for line in picture.lines
    ]
    return _chart(picture.unit, series, window, marks)


def fleet_series(span: Range, now: datetime) -> Chart:
    """Mean utilisation per node; per pool where there are more nodes than a chart can show."""
    many = Node.objects.count() > NODES_ON_A_CHART
    start = floor(now - span.length, span.step)
    table, name = (PoolMinute, "pool__name") if many else (DeviceMinute, "device__node__name")
    minutes: Any = table._default_manager.filter(minute__gte=start, minute__lt=now).order_by()
    bucket = Func(Value(span.step), F("minute"), Value(EPOCH), function="date_bin", output_field=DateTimeField())
    weight = Sum("devices", output_field=FloatField())
    mean = Sum(F("utilisation_percent") * F("devices")) / weight if many else Avg("utilisation_percent")
    means = minutes.annotate(bucket=bucket).values(name, "bucket").annotate(mean=mean)
    grouped: dict[str, dict[datetime, float | None]] = {}
    for line, at, mean in means.values_list(name, "bucket", "mean"):
        grouped.setdefault(str(line), {})[at] = mean
    steps = [start + number * span.step for number in range((now - start) // span.step)]
    series = [
        {"name": line, "points": [_point(at, values.get(at)) for at in steps]}
        for line, values in sorted(grouped.items())
    ]
    return {"unit": "%", "series": series, "step_seconds": int(span.step.total_seconds())}


def csv_table(chart: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """The values of a chart as (head, rows), oldest first: a row a moment (ISO 8601, UTC), a column a line."""
    units = [series.get("unit") or chart["unit"] for series in chart["series"]]
    head = [
        "at",
        *(
            f"{each['name']} ({unit})" if unit else each["name"]
            for each, unit in zip(chart["series"], units, strict=True)
        ),
    ]
    values = [dict(series["points"]) for series in chart["series"]]
    moments = sorted({at for line in values for at in line})
    return head, [[_iso(at), *(line.get(at) for line in values)] for at in moments]


def _fit(window: Window, figures: Sequence[str]) -> Window:
    """The window, in minutes where a figure is not to be had of single samples."""
    if window.source.step < MINUTES.step and any(not FIGURES[figure].samples for figure in figures):
        return window.coarser(MINUTES)
    return window


def _chart(unit: str, series: list[dict[str, Any]], window: Window, marks: Sequence[Mark]) -> Chart:
    events, left_out = gathered(marks, window.start, window.step)
    notes = list(window.notes)
    if left_out:
        notes.append(_("%(count)s older events are not marked.") % {"count": left_out})
    return {
        "unit": unit,
        "start": _milliseconds(window.start),
        "end": _milliseconds(window.end),
        "step_seconds": int(window.step.total_seconds()),
        "source": window.source.key,
        "notes": notes,
        "series": series,
        "events": events,
    }


def _line(name: str, values: Sequence[float | None] | None, window: Window) -> dict[str, Any]:
    found = values or [None] * len(window.moments)
    return {"name": name, "points": [_point(at, value) for at, value in zip(window.moments, found, strict=True)]}


def _point(at: datetime, value: float | None) -> Point:
    return _milliseconds(at), None if value is None else round(value, 1)


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, EPOCH.tzinfo).isoformat()
