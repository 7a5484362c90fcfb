"""Which devices a booking gets, and the rows that forbid them to anybody else."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange
from django.db.models import Exists, OuterRef

from allocations.models import Lease, Placement
from allocations.selectors import overlapping
from cluster.models import Device, Pool
from cluster.selectors import bookable_devices, maintenance_between


class LostRace(Exception):
    """Somebody else took a device between the choice and the lock."""


def choose(candidates: Sequence[Device], count: int) -> list[Device] | None:
    """The devices to take: fewest nodes first, then the node with the least but sufficient free ones. None: too few.

    Filling the fullest node that still fits keeps whole nodes whole for those who need them.
    """
    by_node: dict[int, list[Device]] = defaultdict(list)
    for device in candidates:
        by_node[device.node_id].append(device)
    if sum(map(len, by_node.values())) < count:
        return None
    taken: list[Device] = []
    while (missing := count - len(taken)) > 0:
        fitting = [node for node, devices in by_node.items() if len(devices) >= missing]
        if fitting:
            node = min(fitting, key=lambda pk: (len(by_node[pk]), pk))
        else:
            node = max(by_node, key=lambda pk: (len(by_node[pk]), -pk))
        taken += sorted(by_node.pop(node), key=lambda device: (device.index, device.pk))[:missing]
    return taken


def lock(device_ids: Iterable[int]) -> list[Device]:
    """The devices' rows, locked in id order: whoever wants some of the same ones waits in a queue, not in a knot."""
    return list(
        Device.objects.select_for_update(of=("self",))
        .select_related("gpu_class", "node")
        .filter(pk__in=list(device_ids))
        .order_by("pk")
    )


def check_free(device_ids: Iterable[int], starts_at: datetime, ends_at: datetime, *, but: Lease | None = None) -> None:
    """LostRace when another lease's placement overlaps; asked after the lock, it sees what the holder wrote."""
    taken = Placement.objects.filter(overlapping(starts_at, ends_at), device_id__in=list(device_ids))
    if but is not None:
        taken = taken.exclude(lease=but)
    if taken.exists():
        raise LostRace


def check_bookable(pool: Pool, device_ids: Iterable[int], starts_at: datetime, ends_at: datetime) -> None:
    """LostRace when one of these was drained, quarantined or announced for work since the choice.

    Asked after the lock: operators lock a node's devices before they take it out of service, so what is seen stays so.
    """
    wanted = set(device_ids)
    closed = maintenance_between(starts_at, ends_at).filter(node_id=OuterRef("node_id"))
    if bookable_devices(pool).filter(~Exists(closed), pk__in=wanted).count() < len(wanted):
        raise LostRace


def check_open(device_ids: Iterable[int], starts_at: datetime, ends_at: datetime) -> None:
    """LostRace when work is announced then on a node of these devices; asked after the lock."""
    if maintenance_between(starts_at, ends_at).filter(node__devices__in=list(device_ids)).exists():
        raise LostRace


def place(lease: Lease, devices: Iterable[Device], starts_at: datetime, ends_at: datetime) -> None:
    """One placement a device, all its slices, in one statement."""
    Placement.objects.bulk_create(
        Placement(
            lease=lease,
            device=device,
            slices=NumericRange(0, device.gpu_class.memory_slices),
            window=DateTimeTZRange(starts_at, ends_at),
        )
        for device in devices
    )
