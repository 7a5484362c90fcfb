"""One node or one device: what it is, what it was told, who had it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q, QuerySet

from allocations.models import Lease, Placement
from allocations.promises import Promise, promises_on
from cluster.models import Device, DeviceEvent, Handover, Inspection, MaintenanceWindow, Node, NodeCommand
from cluster.selectors import with_meaning
from reports.selectors.fleet import (
    GONE_STATES,
    ILL_HEALTH,
    ILL_STATES,
    Cell,
    NodeRow,
    cell_of,
    holders,
    latest_fresh,
    node_row,
)
from reports.selectors.refused import Refused, refused

ROWS_SHOWN = 20
COUNTERS = (
    *("ecc_sbe_volatile", "ecc_dbe_volatile", "ecc_sbe_aggregate", "ecc_dbe_aggregate"),
    *("remap_correctable", "remap_uncorrectable", "nvlink_replay", "nvlink_recovery", "pcie_replay"),
)
"""What a device counts of its own wear, by the names of a reading."""


@dataclass(frozen=True)
class NodeSheet:
    """A node's page."""

    cells: list[Cell]
    commands: list[NodeCommand]
    events: list[DeviceEvent]
    windows: list[MaintenanceWindow]
    booked: list[Promise]
    refused: list[Refused]

    @property
    def unconfirmed(self) -> int:
        """GPUs that no operator has confirmed yet."""
        return sum(cell.device.awaiting_confirmation for cell in self.cells)

    @property
    def rows(self) -> list[NodeRow]:
        """The same devices as one row of the grid."""
        return [node_row(self.cells)] if self.cells else []


@dataclass(frozen=True)
class DeviceSheet:
    """A device's page."""

    cell: Cell
    history: list[Lease]
    handovers: list[Handover]
    inspections: list[Inspection]
    events: list[DeviceEvent]
    booked: list[Promise]
    instances: list[Cell]

    @property
    def counters(self) -> "Counters | None":
        """What the device counted at its newest check, and at the one before; None where no check read it."""
        taken = [(row.taken_at, row.reading) for row in self.handovers if row.reading]
        taken += [(row.at, row.reading) for row in self.inspections if row.reading]
        taken.sort(key=lambda each: each[0], reverse=True)
        if not taken:
            return None
        (at, newest), (before_at, before) = taken[0], taken[1] if len(taken) > 1 else (None, {})
        rows = [(name, newest[name], before.get(name)) for name in COUNTERS if newest.get(name) is not None]
        return Counters(at, before_at, rows)


@dataclass(frozen=True)
class Counters:
    """When, when before that, and (name, then, before) of each counter that the device has."""

    at: datetime
    before_at: datetime | None
    rows: list[tuple[str, Any, Any]]

    @property
    def told(self) -> list[tuple[str, Any, Any]]:
        """Those that count something, or did at the check before."""
        return [row for row in self.rows if row[1] or row[2]]

    @property
    def zeros(self) -> list[str]:
        """The names of the others."""
        return [row[0] for row in self.rows if not (row[1] or row[2])]


def nodes_with_counts() -> QuerySet[Node]:
    """Nodes with how many GPUs they have, how many are in use and how many are ill. MIG instances are no GPUs."""
    gpu, ill = Q(devices__parent=None), Q(devices__health__in=ILL_HEALTH) | Q(devices__state__in=ILL_STATES)
    return Node.objects.select_related("pool").annotate(
        device_total=Count("devices", filter=gpu & ~Q(devices__state__in=GONE_STATES)),
        device_in_use=Count("devices", filter=gpu & Q(devices__state="in_use")),
        device_ill=Count("devices", filter=gpu & ill),
    )


def node_sheet(node: Node, now: datetime) -> NodeSheet:
    """Devices with what they do now, the latest commands and events."""
    gone = Q(parent__isnull=False, state="retired")
    devices = list(node.devices.exclude(gone).select_related("gpu_class").order_by("index", "parent", "slices", "pk"))
    for device in devices:
        device.node = node
    samples, held = latest_fresh(devices, now), holders(devices)
    return NodeSheet(
        cells=[cell_of(device, samples, held) for device in devices],
        commands=list(node.commands.order_by("-id")[:ROWS_SHOWN]),
        events=list(with_meaning(node.events.select_related("device__node"))[:ROWS_SHOWN]),
        windows=list(node.maintenance_windows.order_by("-starts_at")[:ROWS_SHOWN]),
        booked=promises_on([device.pk for device in devices])[:ROWS_SHOWN],
        refused=refused(now, node),
    )


def device_sheet(device: Device, now: datetime) -> DeviceSheet:
    """What it does now, who holds and held it, its evidence and its events; of a GPU its MIG instances, too."""
    parts = list(device.instances.exclude(state="retired").select_related("node").order_by("slices", "pk"))
    samples, held = latest_fresh([device, *parts], now), holders([device, *parts])
    placements = (
        Placement.objects.filter(device=device, lease__isnull=False)
        .select_related("lease__allocation__project__organisation")
        .order_by("-lease__starts_at")[:ROWS_SHOWN]
    )
    return DeviceSheet(
        cell=cell_of(device, samples, held),
        history=[placement.lease for placement in placements if placement.lease],
        handovers=list(device.handovers.order_by("-taken_at")[:ROWS_SHOWN]),
        inspections=list(device.inspections.order_by("-at")[:ROWS_SHOWN]),
        events=list(with_meaning(device.events.all())[:ROWS_SHOWN]),
        booked=promises_on([device.pk, *(each.pk for each in parts)])[:ROWS_SHOWN],
        instances=[cell_of(each, samples, held) for each in parts],
    )
