"""Charts: points in time, gaps left as gaps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Avg, DateTimeField, F, Func, Value
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cluster.models import Device, Node
from telemetry.models import DeviceMinute, Sample

Point = tuple[int, float | None]
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
NODES_ON_A_CHART = 12
SHORT = timedelta(minutes=30)
"""Up to here a chart is made of samples: a minute is written only when it is over, and somebody is looking now."""
SHORT_STEP = timedelta(seconds=20)  # samples come every 10 s, a little early or late: each step has one at least
DEVICES_ON_A_CHART = 16


@dataclass(frozen=True)
class Span:
    """A range that a chart offers: how far back, in steps of how long."""

    key: str
    length: timedelta
    step: timedelta
    label: Any


SPANS = {
    span.key: span
    for span in (
        Span("1h", timedelta(hours=1), timedelta(minutes=1), gettext_lazy("1 hour")),
        Span("6h", timedelta(hours=6), timedelta(minutes=5), gettext_lazy("6 hours")),
        Span("24h", timedelta(hours=24), timedelta(minutes=15), gettext_lazy("24 hours")),
    )
}
DEFAULT_SPAN = "1h"

METRICS = {
    "utilisation": ("utilisation_percent", "%"),
    "memory": ("memory_used_mib", "MiB"),
    "power": ("power_watts", "W"),
    "temperature": ("temperature_c", "°C"),
}
DEFAULT_METRIC = "utilisation"


def fleet_series(span: Span, now: datetime) -> dict[str, Any]:
    """Mean utilisation per node; per pool where there are more nodes than a chart can show."""
    many = Node.objects.count() > NODES_ON_A_CHART
    name = "device__node__pool__name" if many else "device__node__name"
    start = floor(now - span.length, span.step)
    rows = _minutes(start, now).annotate(name=F(name))
    return _chart("%", _grouped(rows, "utilisation_percent", span.step), start, now, span.step)


def device_series(device: Device, metric: str, span: Span, now: datetime) -> dict[str, Any]:
    """One figure of one device."""
    column, unit = METRICS[metric]
    start = floor(now - span.length, span.step)
    rows = _minutes(start, now).filter(device=device).annotate(name=Value(metric_name(metric)))
    return _chart(unit, _grouped(rows, column, span.step), start, now, span.step)


def devices_series(named: Sequence[tuple[int, str, int]], begin: datetime, end: datetime) -> dict[str, Any]:
    """Utilisation of some devices, (id, node name, index) each; one line a node where they are many.

    The first step may be cut: minutes that began before `begin` belong to whoever had the devices then.
    """
    short = end - begin <= SHORT
    step = next((span.step for span in SPANS.values() if end - begin <= span.length), timedelta(minutes=15))
    step = SHORT_STEP if short else step
    start = floor(begin, step)
    rows = _samples(begin, end) if short else _minutes(begin, end)
    rows = rows.filter(device__in=[device_id for device_id, _node, _index in named])
    if len(named) > DEVICES_ON_A_CHART:
        grouped = _grouped(rows.annotate(name=F("device__node__name")), "utilisation_percent", step)
        return _chart("%", grouped, start, end, step)
    grouped = _grouped(rows.annotate(name=F("device_id")), "utilisation_percent", step)
    labelled = {f"{node}/{index}": grouped.get(device_id, {}) for device_id, node, index in named}
    return _chart("%", labelled, start, end, step)


def metric_name(metric: str) -> str:
    """The translated name of a figure."""
    return {
        "utilisation": _("utilisation"),
        "memory": _("memory used"),
        "power": _("power"),
        "temperature": _("temperature"),
    }[metric]


def floor(moment: datetime, step: timedelta) -> datetime:
    """The start of the step that a moment lies in, counted from EPOCH as the database's date_bin counts."""
    return moment - (moment - EPOCH) % step


def _minutes(start: datetime, end: datetime) -> Any:
    return DeviceMinute.objects.filter(minute__gte=start, minute__lt=end).annotate(moment=F("minute")).order_by()


def _samples(start: datetime, end: datetime) -> Any:
    return Sample.objects.filter(at__gte=start, at__lt=end).annotate(moment=F("at")).order_by()


def _grouped(rows: Any, column: str, step: timedelta) -> dict[Any, dict[datetime, float | None]]:
    """name -> step -> mean."""
    bucket = Func(Value(step), F("moment"), Value(EPOCH), function="date_bin", output_field=DateTimeField())
    grouped: dict[Any, dict[datetime, float | None]] = {}
    means = rows.annotate(bucket=bucket).values("name", "bucket").annotate(mean=Avg(column))
    for name, at, mean in means.values_list("name", "bucket", "mean"):
        grouped.setdefault(name, {})[at] = mean
    return dict(sorted(grouped.items(), key=lambda item: str(item[0])))


def _chart(
    unit: str, grouped: dict[Any, dict[datetime, float | None]], start: datetime, end: datetime, step: timedelta
) -> dict[str, Any]:
    steps = list(_steps(start, end, step))
    series = [
        {"name": str(name), "points": [_point(at, points.get(at)) for at in steps]} for name, points in grouped.items()
    ]
    return {"unit": unit, "series": series}


def _steps(start: datetime, end: datetime, step: timedelta) -> Iterable[datetime]:
    """Every step of the range, measured or not; the one that has only begun is left out."""
    at = start
    while at + step <= end:
        yield at
        at += step


def _point(at: datetime, value: float | None) -> Point:
    return int(at.timestamp() * 1000), None if value is None else round(value, 1)
