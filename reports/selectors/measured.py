"""What a node's devices did, and what runs on them. Reads only."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cluster.models import Device, Node
from telemetry.models import LatestSample
from telemetry.reading import Span


@dataclass(frozen=True)
class Process:
    """A process on a device, as its node said it last; `name` and `user` are empty where the node may not read them."""

    device: Device
    pid: int
    name: str
    user: str
    memory_mib: int | None


def devices_of(node: Node, start: datetime, end: datetime) -> list[tuple[str, str, Span]]:
    """(line, node, span) of each whole GPU of a node; MIG instances have pages of their own."""
    devices = node.devices.filter(parent=None).exclude(state="retired").order_by("index", "pk")
    rows = list(devices.values_list("pk", "index"))
    return [(f"GPU {index}", node.name, Span(0, pk, start, end)) for pk, index in rows]


def processes_on(measured: Iterable[tuple[Device, LatestSample | None]]) -> list[Process]:
    """What runs on devices, by the newest sample of each; nothing where that is missing. No query."""
    return [
        Process(device, each["pid"], each.get("name") or "", each.get("user") or "", each.get("memory_mib"))
        for device, sample in measured
        if sample is not None
        for each in sample.processes
    ]
