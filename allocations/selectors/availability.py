"""Which devices are free in a window and for whom, and which nodes are whose. Reads only; a query each.

A booking asks the same few questions each time, with other values: they are `common.compiled` questions. What they are
made of computes and compares nothing, so that each value may as well be told later.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.contrib.postgres.aggregates import BoolOr
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import DateTimeRangeField
from django.db.models import Count, Exists, Func, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Least
from django.utils import timezone

from allocations.models import Placement
from allocations.selectors.boards import on_device
from allocations.selectors.spots import COLUMNS, FreeSpot
from allocations.timeline import FOREVER
from cluster.models import Device, Pool
from cluster.selectors import bookable_devices
from common.compiled import Among, question

LEAD = timedelta(minutes=10)
"""How long before its start a lease is prepared: a device that is not ready now is offered from then on."""
NODES = 16
"""As many a first look reads."""

Window = tuple[datetime, datetime]
"""[start, end)"""


class _Span(Func):
    """[start, end) as the database writes it."""

    function, output_field = "TSTZRANGE", DateTimeRangeField()


def overlapping(starts_at: datetime, ends_at: datetime) -> Q:
    """Placements that take their device somewhere in [starts_at, ends_at)."""
    return Q(released=False, window__overlap=_Span(starts_at, ends_at))


def not_kept_for(envelope: int | None) -> Q:
    """All placements but those that keep this promise."""
    return Q() if envelope is None else ~Q(envelope_id=envelope)


def of_others(tenants: Collection[int]) -> Q:
    """Placements that keep everybody but these organisations (by key) off the whole node."""
    others = Q(shared=False)
    for tenant in tenants:
        others &= ~Q(organisation_id=tenant)
    return others


def _still_there(tenants: Collection[int], moment: datetime) -> QuerySet[Placement]:
    """Placements of leases of others that began before a moment and are not given back, whatever their window says."""
    there = Placement.objects.filter(of_others(tenants), released=False, lease__isnull=False)
    return there.filter(window__startswith__lt=moment)


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
    return _free(
        pool.pk,
        (starts_at, ends_at + pool.turnaround),
        envelope,
        None if pool.shared_nodes else tenants,
        soon=_is_soon(starts_at, now),
        profile=profile,
    )


def _is_soon(starts_at: datetime, now: datetime | None) -> bool:
    return starts_at < (now or timezone.now()) + LEAD


def _free(
    pool: int, span: Window, envelope: int | None, tenants: Collection[int] | None, *, soon: bool, profile: str
) -> QuerySet[Device]:
    """`tenants` None: others on a node are nobody's business. `span`: with the cleaning."""
    held = Placement.objects.filter(overlapping(*span), not_kept_for(envelope))
    devices = bookable_devices(pool, profile=profile)
    if profile:
        devices = devices.filter(~Exists(held.filter(on_device(profile))))
    else:
        # As one set that is read once, whatever the server believes of its size: asked of each device in turn it would
        # cost thousands of times the set.
        devices = devices.exclude(pk__in=held.values("board_id"))
    if tenants is not None:
        devices = devices.filter(~Exists(held.filter(of_others(tenants), node_id=OuterRef("node_id"))))
    if soon:
        devices = devices.filter(state="available")
        if tenants is not None:
            # Whoever came before and has not given back is still there, even past the end of a window cut short.
            devices = devices.filter(~Exists(_still_there(tenants, span[0]).filter(node_id=OuterRef("node_id"))))
    return devices


def spots_of(
    pool: Pool,
    tenant: int,
    window: Window,
    *,
    envelope: int | None,
    now: datetime,
    profile: str = "",
    only: Collection[int] | None = None,
    together: int | None = None,
) -> tuple[list[FreeSpot], set[int]]:
    """What `free_devices` finds for an organisation (of these devices `only`), and those of their nodes (by key) that
    it has in the window, where that keeps others off: one query.

    With `together` only those of the NODES that a best fit looks at first, where so many must lie on one: the
    database sorts the nodes as shapes.choose does, and a large pool sends no thousand rows for a handful. Empty where
    no node has so many: then all must be looked at.
    """
    starts_at, ends_at = window
    found = _spots.rows(
        *(pool.pk, starts_at, ends_at, ends_at + pool.turnaround, tenant, envelope),
        *(None if only is None else list(only), together),
        whole_nodes=not pool.shared_nodes,
        soon=_is_soon(starts_at, now),
        profile=profile,
    )
    spots = [FreeSpot(*row[:-1]) for row in found]
    if together is not None and max(Counter(spot.node_id for spot in spots).values(), default=0) < together:
        return [], set()
    return spots, {row[1] for row in found if row[-1]}


@question
def _spots(
    pool: int,
    starts_at: datetime,
    ends_at: datetime,
    clean_at: datetime,
    tenant: int,
    envelope: int | None,
    only: list[int] | None,
    together: int | None,
    *,
    whole_nodes: bool,
    soon: bool,
    profile: str,
) -> QuerySet[Any, Any]:
    span, tenants = (starts_at, clean_at), [tenant] if whole_nodes else None
    devices = _free(pool, span, envelope, tenants, soon=soon, profile=profile)
    there = Placement.objects.filter(
        overlapping(starts_at, ends_at), organisation_id=tenant, node_id=OuterRef("node_id")
    )
    own: Any = Exists(there) if whole_nodes else Value(False)
    devices = devices if only is None else devices.filter(Among("pk", only))
    if together is not None:
        nodes = devices.order_by().values("node_id").annotate(free=Count("pk"), lent=BoolOr(own))
        first = nodes.order_by(Least("free", together).desc(), "-lent", "free", "node_id").values("node_id")[:NODES]
        devices = devices.filter(Among("node_id", ArraySubquery(first)))
    return devices.annotate(own=own).values_list(*COLUMNS, "own")


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
