"""Which devices a booking gets, and the rows that forbid them to anybody else."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from django.db import connection
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange
from django.db.models import Q, QuerySet

from allocations import shapes
from allocations.models import Allocation, Lease, Placement
from allocations.selectors.availability import Window, boards_in_use, not_kept_for, of_others, overlapping, own_nodes
from allocations.selectors.boards import on_any
from allocations.services import keeping
from allocations.shapes import Shape
from cluster.models import Device, Pool
from cluster.selectors import bookable_devices


class LostRace(Exception):
    """Somebody else took a device between the choice and the lock."""


def choose(
    candidates: Sequence[Device],
    count: int,
    shape: Shape,
    *,
    pool: Pool,
    tenant: int,
    window: Window,
    near: Collection[int] = (),
) -> list[Device] | None:
    """The devices to take of those that are free for an organisation in a window; None: too few in that shape.

    Nodes that the organisation has then, and those in `near` (by key), go first; of MIG instances those on GPUs that
    are begun.
    """
    begun = boards_in_use(candidates, *window)
    return shapes.choose(candidates, count, shape, own_nodes(pool, tenant, *window) | set(near), begun)


def lock(device_ids: Iterable[int]) -> list[Device]:
    """The devices' rows, locked in id order: whoever wants some of the same ones waits in a queue, not in a knot.

    The GPU of a MIG instance is locked with it: whoever cuts it anew, or lends it whole, waits for the same row.

    Where a node is lent whole, all of its devices are locked: another organisation may be after its other half.
    """
    wanted = set(device_ids)
    boards = Q(pk__in=Device.objects.filter(pk__in=wanted, parent__isnull=False).values("parent"))
    whole = Q(node__in=Device.objects.filter(pk__in=wanted).values("node"), node__pool__shared_nodes=False)
    rows = (
        Device.objects.select_for_update(of=("self",), no_key=True)
        .select_related("gpu_class", "node")
        .filter(Q(pk__in=wanted) | boards | whole)
        .order_by("pk")
    )
    return [device for device in rows if device.pk in wanted]


def check_free(
    devices: Sequence[Device],
    starts_at: datetime,
    ends_at: datetime,
    *,
    allocation: Allocation,
    but: Lease | None = None,
) -> None:
    """LostRace when somebody else's placement overlaps the window or the cleaning after it, or when another
    organisation is on one of the nodes then. What the allocation's own envelope keeps is free for it.

    Asked after the lock, it sees what the holder wrote.
    """
    taken = _taken(devices, starts_at, ends_at + allocation.pool.turnaround, allocation.project.organisation_id)
    # A promise is kept with whole GPUs: no part of one is lent out of it.
    own = None if any(device.profile for device in devices) else allocation.envelope_key
    taken = taken.filter(not_kept_for(own))
    if but is not None:
        taken = taken.filter(~Q(lease_id=but.pk))
    if taken.exists():
        raise LostRace


def check_untouched(devices: Sequence[Device], starts_at: datetime, ends_at: datetime, *, tenant: int) -> None:
    """LostRace when anything takes these devices in [starts_at, ends_at), or others than `tenant` their nodes."""
    if _taken(devices, starts_at, ends_at, tenant).exists():
        raise LostRace


def _taken(devices: Sequence[Device], starts_at: datetime, ends_at: datetime, tenant: int) -> QuerySet[Placement]:
    others = of_others([tenant]) & Q(node__in={device.node_id for device in devices})
    return Placement.objects.filter(overlapping(starts_at, ends_at)).filter(on_any(devices) | others)


def check_bookable(pool: Pool, device_ids: Iterable[int], *, profile: str = "") -> None:
    """LostRace when one of these was drained, quarantined or cut up since the choice.

    Asked after the lock: operators lock a node's devices before they take it out of service, so what is seen stays so.
    """
    wanted = set(device_ids)
    if bookable_devices(pool, profile=profile).filter(pk__in=wanted).count() < len(wanted):
        raise LostRace


def place(lease: Lease, devices: Iterable[Device], starts_at: datetime, ends_at: datetime) -> None:
    """One placement a device, all its slices, in one statement, under the rules that the pool has at this moment.

    It takes the cleaning after the window, too. What the allocation's own envelope keeps makes way.
    """
    allocation = lease.allocation
    shared, cleaning = _rules_of(allocation.pool_id)
    devices = list(devices)
    keeping.make_way(allocation, devices)
    Placement.objects.bulk_create(
        Placement(
            lease=lease,
            device=device,
            board_id=device.board_id,
            slices=device.slices or NumericRange(0, device.gpu_class.memory_slices),
            window=DateTimeTZRange(starts_at, ends_at + cleaning),
            node_id=device.node_id,
            organisation_id=allocation.project.organisation_id,
            shared=shared,
        )
        for device in devices
    )
    keeping.keep(allocation, devices)


def move_end(lease: Lease, ends_at: datetime) -> None:
    """The open placements end then, and the cleaning after it; each keeps its own beginning, which is later where a
    device was replaced.
    """
    allocation = lease.allocation
    _shared, cleaning = _rules_of(allocation.pool_id)
    rows = list(lease.placements.filter(released=False).select_related("device__gpu_class"))
    devices = [row.device for row in rows]
    keeping.make_way(allocation, devices)
    for row in rows:
        row.window = DateTimeTZRange(row.window.lower, ends_at + cleaning)
    Placement.objects.bulk_update(rows, ["window"])
    keeping.keep(allocation, devices)


def _rules_of(pool_id: int) -> tuple[bool, timedelta]:
    """Whether nodes are shared, and how long cleaning takes; neither can change before this transaction is over (who
    changes them would not see what is placed here).
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT shared_nodes, turnaround_seconds FROM cluster_pool WHERE id = %s FOR SHARE", [pool_id])
        shared, seconds = cursor.fetchone()
    return bool(shared), timedelta(seconds=seconds)
