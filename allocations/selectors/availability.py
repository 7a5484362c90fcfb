"""Which devices are free in a window, and which nodes are whose. Reads only; a query each."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from allocations.models import Placement
from allocations.selectors.boards import on_device
from allocations.timeline import FOREVER
from cluster.models import Device, Pool
from cluster.selectors import bookable_devices

LEAD = timedelta(minutes=10)
"""How long before its start a lease is prepared: a device that is not ready now is offered from then on."""

Window = tuple[datetime, datetime]
"""[start, end)"""


def overlapping(starts_at: datetime, ends_at: datetime) -> Q:
    """Placements that take their device somewhere in [starts_at, ends_at)."""
    return Q(released=False, window__overlap=(starts_at, ends_at))


def not_kept_for(envelope: int | None) -> Q:
    """All placements but those that keep this promise."""
    return Q() if envelope is None else ~Q(envelope_id=envelope)


def of_others(tenants: Collection[int]) -> Q:
    """Placements that keep everybody but these organisations (by key) off the whole node."""
    return Q(shared=False) & ~Q(organisation_id__in=list(tenants))


def free_devices(
    pool: Pool,
    starts_at: datetime,
    ends_at: datetime,
    *,
    tenants: Collection[int] | None = None,
    envelope: int | None = None,
    now: datetime | None = None,
    profile: str = "",
) -> QuerySet[Device]:
    """Bookable devices that nobody holds in the window and the cleaning after it; within the lead only those ready now.

    Whole GPUs, or MIG instances of a profile. With `tenants`, what these organisations could have: not the free devices
    of nodes that are lent to others then. With `envelope` (its key), what that promise keeps counts as free.
    """
    held = Placement.objects.filter(overlapping(starts_at, ends_at + pool.turnaround), not_kept_for(envelope))
    devices = bookable_devices(pool, profile=profile).filter(~Exists(held.filter(on_device(profile))))
    if tenants is not None and not pool.shared_nodes:
        devices = devices.filter(~Exists(held.filter(of_others(tenants), node_id=OuterRef("node_id"))))
    if starts_at < (now or timezone.now()) + LEAD:
        devices = devices.filter(state="available")
        if tenants is not None and not pool.shared_nodes:
            # Whoever came before and has not given back is still there, even past the end of a window cut short.
            devices = devices.filter(~Exists(_still_there(tenants, starts_at).filter(node_id=OuterRef("node_id"))))
    return devices


def _still_there(tenants: Collection[int], moment: datetime) -> QuerySet[Placement]:
    there = Placement.objects.filter(of_others(tenants), released=False, lease__isnull=False)
    return there.filter(window__startswith__lt=moment)


def own_nodes(pool: Pool, tenant: int, starts_at: datetime, ends_at: datetime) -> set[int]:
    """Nodes of the pool that are lent to this organisation in the window, where that keeps others off."""
    if pool.shared_nodes:
        return set()
    rows = Placement.objects.filter(overlapping(starts_at, ends_at), organisation_id=tenant, device__node__pool=pool)
    return set(rows.values_list("node_id", flat=True))


def boards_in_use(devices: Iterable[Any], starts_at: datetime, ends_at: datetime) -> set[int]:
    """GPUs (by key) of these MIG instances of which something is lent in the window; no query where there are none."""
    boards = {device.board_id for device in devices if device.board_id != device.pk}
    if not boards:
        return set()
    rows = Placement.objects.filter(overlapping(starts_at, ends_at), board__in=boards)
    return set(rows.values_list("board_id", flat=True))


def whole_minute(moment: datetime) -> datetime:
    """This moment, or the next whole minute."""
    floor = moment.replace(second=0, microsecond=0)
    return moment if floor == moment or moment == FOREVER else floor + timedelta(minutes=1)
