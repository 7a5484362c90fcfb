"""Charts of nodes and devices as a query string asks for them: for the pages and the API."""

from datetime import datetime
from typing import Any

from cluster.marks import device_marks, node_marks
from cluster.models import Device, Node
from reports.selectors import measured
from telemetry import charts, host_reading
from telemetry.windows import asked_of, window


def device_chart(device: Device, query: Any, now: datetime) -> charts.Chart:
    """One chart of a device as a query string asks for it, with what happened to it."""
    shown = window(asked_of(query, now), now)
    marks = device_marks(device.pk, device.node_id, shown.start, shown.end)
    return charts.device_chart(device, str(query.get("metric", "")), shown, marks)


def node_chart(node: Node, query: Any, now: datetime) -> charts.Chart:
    """The devices of a node side by side."""
    shown = window(asked_of(query, now), now)
    marks = node_marks(node.pk, shown.start, shown.end)
    named = measured.devices_of(node, shown.start, shown.end)
    return charts.devices_chart(named, str(query.get("metric", "")), shown, marks)


def machine_chart(node: Node, query: Any, now: datetime) -> charts.Chart:
    """The machine itself."""
    shown = window(asked_of(query, now), now, finest=host_reading.FINEST)
    return charts.host_chart(node, str(query.get("metric", "")), shown)
