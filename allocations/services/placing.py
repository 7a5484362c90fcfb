"""Which devices a booking gets, and the rows that forbid them to anybody else."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from django.db import connection
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange
from django.db.models import Exists, OuterRef, Q

from allocations import shapes
from allocations.models import Lease, Placement
from allocations.selectors.availability import Window, boards_in_use, of_others, overlapping, own_nodes
from allocations.selectors.boards import on_any
from allocations.shapes import Shape
from cluster.models import Device, Pool
from cluster.selectors import bookable_devices, maintenance_between


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
    devices: Sequence[Device], starts_at: datetime, ends_at: datetime, *, tenant: int, but: Lease | None = None
) -> None:
    """LostRace when another lease's placement overlaps, or another organisation is on one of the nodes then.

    Asked after the lock, it sees what the holder wrote.
    """
    same = on_any(devices)
    others = of_others([tenant]) & Q(node__in={device.node_id for device in devices})
    taken = Placement.objects.filter(overlapping(starts_at, ends_at)).filter(same | others)
    if but is not None:
        taken = taken.exclude(lease=but)
    if taken.exists():
        raise LostRace


def check_bookable(
    pool: Pool, device_ids: Iterable[int], starts_at: datetime, ends_at: datetime, *, profile: str = ""
) -> None:
    """LostRace when one of these was drained, quarantined or announced for work since the choice.

    Asked after the lock: operators lock a node's devices before they take it out of service, so what is seen stays so.
    """
    wanted = set(device_ids)
    closed = maintenance_between(starts_at, ends_at).filter(node_id=OuterRef("node_id"))
    if bookable_devices(pool, profile=profile).filter(~Exists(closed), pk__in=wanted).count() < len(wanted):
        raise LostRace


def check_open(device_ids: Iterable[int], starts_at: datetime, ends_at: datetime) -> None:
    """LostRace when work is announced then on a node of these devices; asked after the lock."""
    if maintenance_between(starts_at, ends_at).filter(node__devices__in=list(device_ids)).exists():
        raise LostRace


def place(lease: Lease, devices: Iterable[Device], starts_at: datetime, ends_at: datetime) -> None:
    """One placement a device, all its slices, in one statement, under the rule that the pool has at this moment."""
    shared = _shares_nodes(lease.allocation.pool_id)
    Placement.objects.bulk_create(
        Placement(
            lease=lease,
            device=device,
            board_id=device.board_id,
            slices=device.slices or NumericRange(0, device.gpu_class.memory_slices),
            window=DateTimeTZRange(starts_at, ends_at),
            node_id=device.node_id,
            organisation_id=lease.allocation.project.organisation_id,
            shared=shared,
        )
        for device in devices
    )


def move_end(lease: Lease, ends_at: datetime) -> None:
    """The open placements end then; each keeps its own beginning, which is later where a device was replaced."""
    rows = list(lease.placements.filter(released=False))
    for row in rows:
        row.window = DateTimeTZRange(row.window.lower, ends_at)
    Placement.objects.bulk_update(rows, ["window"])


def _shares_nodes(pool_id: int) -> bool:
    """The pool's rule, which cannot change before this transaction is over (it would not see what is placed here)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT shared_nodes FROM cluster_pool WHERE id = %s FOR SHARE", [pool_id])
        return bool(cursor.fetchone()[0])
