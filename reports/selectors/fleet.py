"""What is said of the machines in many places: their counts, a cell of a node's page, who holds a device now."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q

from allocations.lifecycle import COMING, HELD
from allocations.models import Lease, Placement
from cluster.models import Device, Node
from telemetry.models import LatestSample
from telemetry.selectors import USED_ABOVE_PERCENT, latest

ILL_HEALTH = (Device.Health.WARN, Device.Health.DRAIN, Device.Health.FAIL)
ILL_STATES = ("offline", "quarantined", "rma")
GONE_STATES = ("retired",)
ILL = Q(health__in=ILL_HEALTH) | Q(state__in=ILL_STATES)
ILL_BY_ITSELF = ILL & ~(Q(parent__health__in=ILL_HEALTH) | Q(parent__state__in=ILL_STATES))
"""A MIG instance that is as ill as its GPU is not named beside it."""
FRESH = timedelta(minutes=2)
"""A sample older than this says nothing about now: twelve missed ones."""
ROWS_SHOWN = 50


@dataclass(frozen=True)
class DeviceCounts:
    """GPUs by what matters to an operator. `ill` overlaps the rest; the others add up to `total`. Of those that are
    `cut` up the MIG instances are counted apart: they are no GPUs.

    What waits for an operator's confirmation is not free yet: it counts as turning.
    """

    total: int
    in_use: int
    free: int
    turning: int
    offline: int
    quarantined: int
    cut: int
    ill: int
    instances: int
    instances_in_use: int


@dataclass(frozen=True)
class Cell:
    """One device on the grid. `utilisation_percent` None: nothing fresh was measured."""

    device: Device
    sample: LatestSample | None
    lease: Lease | None
    level: str

    @property
    def figures(self) -> LatestSample:
        """The measured figures; all None where nothing fresh was measured, so that a page shows gaps."""
        return self.sample or LatestSample()

    @property
    def utilisation_percent(self) -> int | None:
        """What NVML said last, where that is fresh."""
        return self.sample.utilisation_percent if self.sample else None


@dataclass(frozen=True)
class NodeRow:
    """One node of the grid with its devices in index order."""

    node: Node
    cells: list[Cell]
    mean_percent: float | None
    in_use: int

    @property
    def gpus(self) -> int:
        """How many of them are GPUs; the others are MIG instances."""
        return sum(not cell.device.profile for cell in self.cells)


def device_counts(now: datetime) -> DeviceCounts:
    """The counts alone, in one query."""
    gpu, out = Q(parent=None), Q(state__in=ILL_STATES)
    whole = gpu & Q(set_aside=False)
    turning = Q(state__in=("preparing", "cleaning")) | Q(state="available", awaiting_confirmation=True)
    row = Device.objects.exclude(state__in=GONE_STATES).aggregate(
        total=Count("pk", filter=gpu),
        in_use=Count("pk", filter=whole & Q(state="in_use")),
        free=Count("pk", filter=whole & Q(state="available", awaiting_confirmation=False)),
        turning=Count("pk", filter=whole & turning),
        offline=Count("pk", filter=gpu & Q(state="offline")),
        quarantined=Count("pk", filter=gpu & Q(state__in=("quarantined", "rma"))),
        cut=Count("pk", filter=gpu & Q(set_aside=True) & ~out),
        ill=Count("pk", filter=gpu & (Q(health__in=ILL_HEALTH) | out)),
        instances=Count("pk", filter=~gpu),
        instances_in_use=Count("pk", filter=~gpu & Q(state="in_use")),
    )
    return DeviceCounts(**row)


def level_of(utilisation_percent: float | None) -> str:
    """The class of a cell: gap, idle, low, mid, high, full."""
    if utilisation_percent is None:
        return "gap"
    for name, above in (("full", 90), ("high", 60), ("mid", 30), ("low", USED_ABOVE_PERCENT)):
        if utilisation_percent > above:
            return name
    return "idle"


def latest_fresh(devices: list[Device], now: datetime) -> dict[int, LatestSample]:
    """The newest sample of each device that is fresh enough to speak of now."""
    return {pk: sample for pk, sample in latest(devices).items() if sample.at > now - FRESH}


def holders(devices: list[Device]) -> dict[int, Lease]:
    """The lease that holds each device at this moment (its window has begun and its devices are not back)."""
    placements = (
        Placement.objects.filter(device__in=[device.pk for device in devices], released=False)
        .filter(lease__state__in=[state for state in HELD if state not in COMING])
        .select_related("lease__allocation__project__organisation", "lease__allocation__pool")
    )
    return {placement.device_id: placement.lease for placement in placements if placement.lease}


def cell_of(device: Device, samples: Mapping[int, LatestSample], held: Mapping[int, Lease]) -> Cell:
    """A device with what is known of it now."""
    sample = samples.get(device.pk)
    return Cell(device, sample, held.get(device.pk), level_of(sample.utilisation_percent if sample else None))


def node_row(cells: list[Cell]) -> NodeRow:
    """One node's cells (at least one) with their mean."""
    measured = [cell.utilisation_percent for cell in cells if cell.utilisation_percent is not None]
    mean = sum(measured) / len(measured) if measured else None
    in_use = sum(cell.device.state == "in_use" and not cell.device.profile for cell in cells)
    return NodeRow(cells[0].device.node, cells, mean, in_use)
