"""What the fleet is doing now: one screen's worth of figures, in a fixed number of queries."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from django.db.models import Avg, Count, Max, OuterRef, Q, Subquery

from allocations.lifecycle import COMING, HELD
from allocations.models import Lease, Placement
from allocations.selectors.leases import gpus_in
from allocations.selectors.windows import device_windows
from cluster.models import Device, Node
from telemetry.models import DeviceMinute, LatestSample
from telemetry.selectors import USED_ABOVE_PERCENT, latest, used_device_seconds

ILL_HEALTH = (Device.Health.WARN, Device.Health.DRAIN, Device.Health.FAIL)
ILL_STATES = ("offline", "quarantined", "rma")
GONE_STATES = ("retired",)
ILL = Q(health__in=ILL_HEALTH) | Q(state__in=ILL_STATES)
ILL_BY_ITSELF = ILL & ~(Q(parent__health__in=ILL_HEALTH) | Q(parent__state__in=ILL_STATES))
"""A MIG instance that is as ill as its GPU is not named beside it."""
IDLE_MINUTES = 10
IDLE_LOOK_BACK = timedelta(hours=24)
FRESH = timedelta(minutes=2)
"""A sample older than this says nothing about now: twelve missed ones."""
ROWS_SHOWN = 50
COMING_SHOWN = 8
SOON = timedelta(days=2)


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


@dataclass(frozen=True)
class IdleDevice:
    """A held device that does nothing. `since` is when it last did something (or was handed over)."""

    device: Device
    lease: Lease
    since: datetime
    idle_seconds: int
    mean_percent: float


@dataclass(frozen=True)
class Fleet:
    """The dashboard. Times are UTC, amounts device-seconds."""

    at: datetime
    counts: DeviceCounts
    nodes: list[NodeRow]
    idle: list[IdleDevice]
    ill: list[Cell]
    silent_nodes: list[Node]
    upcoming: list[Lease]
    ending: list[Lease]
    held_seconds: int
    used_seconds: int
    samples_at: datetime | None
    levels: dict[str, int] = field(default_factory=dict)


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


def fleet(now: datetime) -> Fleet:
    """Everything the dashboard shows."""
    devices = list(
        Device.objects.exclude(state__in=GONE_STATES)
        .select_related("node__pool", "gpu_class")
        .order_by("node__pool__name", "node__name", "index", "parent", "slices", "pk")
    )
    samples, held = latest_fresh(devices, now), holders(devices)
    cells = [cell_of(device, samples, held) for device in devices]
    by_node: dict[int, list[Cell]] = {}
    for cell in cells:
        by_node.setdefault(cell.device.node_id, []).append(cell)
    since = now - timedelta(hours=24)
    return Fleet(
        at=now,
        counts=_counts(devices),
        nodes=[node_row(rows) for rows in by_node.values()],
        idle=idle_devices(cells, now),
        ill=_ill_by_themselves(cells)[:ROWS_SHOWN],
        silent_nodes=[rows[0].device.node for rows in by_node.values() if rows[0].device.node.state != "ready"],
        upcoming=_upcoming(now),
        ending=_ending(held.values(), now),
        held_seconds=held_seconds(since, now),
        used_seconds=_used_seconds(devices, since, now),
        samples_at=max((sample.at for sample in samples.values()), default=None),
        levels=dict(Counter(cell.level for cell in cells)),
    )


def _used_seconds(devices: list[Device], start: datetime, end: datetime) -> int:
    """Measured use in seconds of a GPU: a MIG instance's count as much as it is of its GPU."""
    by_share: dict[Fraction, list[int]] = {}
    for device in devices:
        part = device.slices.upper - device.slices.lower if device.slices else 0
        share = Fraction(part, device.gpu_class.memory_slices) if part else Fraction(1)
        by_share.setdefault(share, []).append(device.pk)
    return int(sum(used_device_seconds(ids, start, end) * share for share, ids in by_share.items()))


def _ill_by_themselves(cells: list[Cell]) -> list[Cell]:
    """A MIG instance that is as ill as its GPU is not named beside it."""
    ill = {cell.device.pk for cell in cells if is_ill(cell.device)}
    return [cell for cell in cells if cell.device.pk in ill and cell.device.parent_id not in ill]


def is_ill(device: Device) -> bool:
    """Health not ok, or out of service."""
    return device.health in ILL_HEALTH or device.state in ILL_STATES


def idle_devices(cells: list[Cell], now: datetime) -> list[IdleDevice]:
    """Held devices whose every measured minute of the last ten stayed at 2 % or less; a gap is not idle."""
    started_before = now - timedelta(minutes=IDLE_MINUTES)
    candidates = {
        cell.device.pk: cell
        for cell in cells
        if cell.lease and cell.lease.state == "active" and (cell.lease.active_at or now) <= started_before
    }
    if not candidates:
        return []
    found = []
    for row in _quiet(list(candidates), started_before, now):
        cell = candidates[row["device"]]
        assert cell.lease is not None and cell.lease.active_at is not None
        since = max(cell.lease.active_at, row["last_busy"] or now - IDLE_LOOK_BACK)
        idle_seconds = int((now - since).total_seconds())
        found.append(IdleDevice(cell.device, cell.lease, since, idle_seconds, row["mean"]))
    return sorted(found, key=lambda row: row.since)


def _quiet(device_ids: list[int], since: datetime, now: datetime) -> Any:
    """Devices quiet throughout with at least half of the minutes measured, and when each last did something."""
    busy = DeviceMinute.objects.filter(
        device=OuterRef("device"), minute__gt=now - IDLE_LOOK_BACK, utilisation_percent__gt=USED_ABOVE_PERCENT
    )
    return (
        DeviceMinute.objects.filter(device__in=device_ids, minute__gte=since)
        .order_by()
        .values("device")
        .annotate(
            peak=Max("utilisation_percent"), mean=Avg("utilisation_percent"), measured=Count("utilisation_percent")
        )
        .filter(peak__lte=USED_ABOVE_PERCENT, measured__gte=IDLE_MINUTES // 2)
        .annotate(last_busy=Subquery(busy.order_by("-minute").values("minute")[:1]))
    )


def held_seconds(start: datetime, end: datetime) -> int:
    """Device-seconds that handed-over leases held between two moments, counted from their start as the ledger does."""
    leases = Lease.objects.filter(active_at__lt=end).filter(Q(drained_at=None) | Q(drained_at__gt=start))
    total = sum(_reshaped_seconds(lease, start, end) for lease in leases.filter(reshaped=True))
    columns = ("starts_at", "drained_at", "ended_at", "device_count", "slices", "slices_of")
    for starts_at, drained_at, ended_at, *size in leases.filter(reshaped=False).values_list(*columns):
        until = min(drained_at or ended_at or end, end)
        total += int(gpus_in(*size) * max(0, int((until - max(starts_at, start)).total_seconds())))
    return total


def _reshaped_seconds(lease: Lease, start: datetime, end: datetime) -> int:
    """The same of a lease whose devices were changed while it ran: each has its own time of use."""
    windows = device_windows(lease, min(lease.drained_at or lease.ended_at or end, end))
    seconds = sum(max(0, int((window.end - max(window.start, start)).total_seconds())) for window in windows)
    return int(seconds * lease.share)


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


def _counts(devices: list[Device]) -> DeviceCounts:
    """The same figures as `device_counts`, of rows already fetched."""
    gpus, parts = [each for each in devices if not each.profile], [each for each in devices if each.profile]
    cut = sum(each.set_aside and each.state not in ILL_STATES for each in gpus)
    states = Counter(each.state for each in gpus if not each.set_aside or each.state in ILL_STATES)
    unconfirmed = sum(each.state == "available" and each.awaiting_confirmation and not each.set_aside for each in gpus)
    return DeviceCounts(
        total=len(gpus),
        in_use=states["in_use"],
        free=states["available"] - unconfirmed,
        turning=states["preparing"] + states["cleaning"] + unconfirmed,
        offline=states["offline"],
        quarantined=states["quarantined"] + states["rma"],
        cut=cut,
        ill=sum(is_ill(device) for device in gpus),
        instances=len(parts),
        instances_in_use=sum(each.state == "in_use" for each in parts),
    )


def _upcoming(now: datetime) -> list[Lease]:
    return list(
        Lease.objects.filter(state="scheduled", starts_at__lt=now + SOON)
        .select_related("allocation__project__organisation", "allocation__pool")
        .order_by("starts_at")[:COMING_SHOWN]
    )


def _ending(held: Iterable[Lease], now: datetime) -> list[Lease]:
    leases = {lease.pk: lease for lease in held if lease.ends_at < now + SOON}
    return sorted(leases.values(), key=lambda lease: lease.ends_at)[:COMING_SHOWN]
