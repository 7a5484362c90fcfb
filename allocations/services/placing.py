"""Which devices a booking gets, and the rows that forbid them to anybody else."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.contrib.postgres.expressions import ArraySubquery
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange
from django.db.models import Exists, OuterRef, Q, QuerySet

from allocations import shapes
from allocations.models import Allocation, Lease, Placement
from allocations.selectors.availability import Window, boards_in_use, not_kept_for, of_others, overlapping, own_nodes
from allocations.selectors.boards import on_any, on_device
from allocations.services import keeping
from allocations.shapes import Shape, Spot
from cluster.models import Device, Pool
from cluster.selectors import bookable_devices
from common.compiled import Among, question
from common.inserting import insert

S = TypeVar("S", bound=Spot)


@dataclass(frozen=True)
class Terms:
    """What a pool asks of every placement."""

    shared: bool
    turnaround: timedelta


class LostRace(Exception):
    """Somebody else took a device between the choice and the lock."""


def choose(
    candidates: Sequence[S],
    count: int,
    shape: Shape,
    *,
    pool: Pool,
    tenant: int,
    window: Window,
    near: Collection[int] = (),
    own: Collection[int] | None = None,
    salt: int = 0,
) -> list[S] | None:
    """The devices to take of those that are free for an organisation in a window; None: too few in that shape.

    Nodes that the organisation has then (`own`, where the caller knows them), and those in `near` (by key), go first;
    of MIG instances those on GPUs that are begun.
    """
    begun = boards_in_use(candidates, *window)
    first = own_nodes(pool, tenant, *window) if own is None else set(own)
    return shapes.choose(candidates, count, shape, first | set(near), begun, salt)


def lock(device_ids: Iterable[int], *, wait: bool = True) -> list[Device]:
    """The devices' rows, locked in id order: whoever wants some of the same ones waits in a queue, not in a knot.

    The GPU of a MIG instance is locked with it: whoever cuts it anew, or lends it whole, waits for the same row.

    Where a node is lent whole, all of its devices are locked: another organisation may be after its other half.

    Not to `wait` gives those that nobody else has locked at this moment, and is no queue: only where devices are lent
    one by one, and before anything else of the kind is locked.
    """
    wanted = set(device_ids)
    return [device for device in _locked.rows(list(wanted), wait=wait) if device.pk in wanted]


@question
def _locked(wanted: list[int], *, wait: bool) -> QuerySet[Device]:
    named = Device.objects.filter(Among("pk", wanted)).order_by()
    boards = named.filter(parent__isnull=False)
    whole = Device.objects.filter(node__in=named.values("node"), node__pool__shared_nodes=False).order_by()
    # First the keys, each of which an index finds: of three conditions beside each other every device would be asked.
    keys = named.values("pk").union(boards.values("parent"), whole.values("pk"))
    rows = Device.objects.select_for_update(of=("self",), no_key=True, skip_locked=not wait).select_related(
        "gpu_class", "node"
    )
    return rows.filter(Among("pk", ArraySubquery(keys))).order_by("pk")


def check_free(
    devices: Sequence[Device],
    starts_at: datetime,
    ends_at: datetime,
    *,
    allocation: Allocation,
    but: Lease | None = None,
    bookable: bool = True,
) -> Terms:
    """LostRace when somebody else's placement overlaps the window or the cleaning after it, when another organisation
    is on one of the nodes then, or (unless not `bookable`) when a device was drained, quarantined or cut up since the
    choice. What the allocation's own envelope keeps is free for it. The terms of the pool at this moment.

    One statement. Asked after the lock, it sees what the holder wrote, and what it sees stays so: operators lock
    devices before they take them out of service, and whoever changes the terms of a pool locks all of its devices.
    """
    pool, profile = allocation.pool, devices[0].profile if devices else ""
    found = _still_free.rows(
        *([row.pk for row in devices], pool.pk, starts_at, ends_at + pool.turnaround),
        allocation.project.organisation_id,
        # A promise is kept with whole GPUs: no part of one is lent out of it.
        None if profile else allocation.envelope_key,
        None if but is None else but.pk,
        bookable=bookable,
        profile=profile,
    )
    if len(found) < len(devices):
        raise LostRace
    return Terms(found[0][0], timedelta(seconds=found[0][1])) if found else terms_of(pool.pk)


@question
def _still_free(
    devices: list[int],
    pool: int,
    starts_at: datetime,
    clean_at: datetime,
    tenant: int,
    envelope: int | None,
    but: int | None,
    *,
    bookable: bool,
    profile: str,
) -> QuerySet[Device, Any]:
    held = Placement.objects.filter(overlapping(starts_at, clean_at), not_kept_for(envelope))
    if but is not None:
        held = held.filter(~Q(lease_id=but))
    rows = bookable_devices(pool, profile=profile) if bookable else Device.objects.all()
    others = held.filter(of_others([tenant]), node_id=OuterRef("node_id"))
    rows = rows.filter(~Exists(held.filter(on_device(profile))), ~Exists(others), Among("pk", devices))
    return rows.values_list("node__pool__shared_nodes", "node__pool__turnaround_seconds")


def check_untouched(
    devices: Sequence[Device], starts_at: datetime, ends_at: datetime, *, pool: Pool, tenant: int
) -> None:
    """LostRace when anything takes these devices in [starts_at, ends_at), or others than `tenant` their nodes, or when
    one of them cannot be lent any more.
    """
    usable = bookable_devices(pool).filter(pk__in=[device.pk for device in devices]).count()
    if usable < len(devices) or _taken(devices, starts_at, ends_at, tenant).exists():
        raise LostRace


def _taken(devices: Sequence[Device], starts_at: datetime, ends_at: datetime, tenant: int) -> QuerySet[Placement]:
    others = of_others([tenant]) & Q(node__in={device.node_id for device in devices})
    return Placement.objects.filter(overlapping(starts_at, ends_at)).filter(on_any(devices) | others)


def place(
    lease: Lease, devices: Iterable[Device], starts_at: datetime, ends_at: datetime, terms: Terms | None = None
) -> None:
    """One placement a device, all its slices, in one statement, under the terms that the pool has at this moment (as
    `check_free` tells them; read here where it was not asked). The caller has locked the devices.

    It takes the cleaning after the window, too. What the allocation's own envelope keeps makes way.
    """
    allocation = lease.allocation
    terms = terms or terms_of(allocation.pool_id)
    devices = list(devices)
    keeping.make_way(allocation, devices)
    rows = (
        Placement(
            lease=lease,
            device=device,
            board_id=device.board_id,
            slices=device.slices or NumericRange(0, device.gpu_class.memory_slices),
            window=DateTimeTZRange(starts_at, ends_at + terms.turnaround),
            node_id=device.node_id,
            organisation_id=allocation.project.organisation_id,
            shared=terms.shared,
        )
        for device in devices
    )
    insert(*rows)
    keeping.keep(allocation, devices)


def move_end(lease: Lease, ends_at: datetime, *, back: bool = False) -> None:
    """The open placements end then, and the cleaning after it; each keeps its own beginning, which is later where a
    device was replaced.

    `back`: to an earlier end than they have now, and no later whatever the pool's terms have become: others may have
    booked what follows.
    """
    allocation = lease.allocation
    cleaning = terms_of(allocation.pool_id).turnaround
    rows = list(lease.placements.filter(released=False).select_related("device__gpu_class"))
    devices = [row.device for row in rows]
    keeping.make_way(allocation, devices)
    for row in rows:
        kept = row.window.upper if back else None
        row.window = DateTimeTZRange(row.window.lower, min(filter(None, (ends_at + cleaning, kept))))
    Placement.objects.bulk_update(rows, ["window"])
    keeping.keep(allocation, devices)


def terms_of(pool_id: int) -> Terms:
    """What the pool asks at this moment: one query. It stays so for whoever holds a lock on one of its devices."""
    shared, seconds = Pool.objects.values_list("shared_nodes", "turnaround_seconds").get(pk=pool_id)
    return Terms(shared, timedelta(seconds=seconds))
