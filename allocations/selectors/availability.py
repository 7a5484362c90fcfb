"""What is free and what is promised. Reads only; every answer costs a fixed number of queries."""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from allocations.models import Allocation, Placement
from allocations.timeline import FOREVER, Busy, first_window, peak
from cluster.models import Device, Pool
from cluster.selectors import bookable_devices, maintenance_between

LEAD = timedelta(minutes=10)
"""How long before its start a lease is prepared: a device that is not ready now is offered from then on."""

Window = tuple[datetime, datetime]
"""[start, end)"""

_EARLY = datetime.min.replace(tzinfo=UTC)
_OPEN_ALLOCATIONS = ("pending", "active", "suspended", "exhausted")


@dataclass(frozen=True)
class Capacity:
    """A pool in a window: devices known, bookable, most of them booked at once, free throughout, promised by awards."""

    devices: int
    bookable: int
    booked_peak: int
    free: int
    promised: int


def overlapping(starts_at: datetime, ends_at: datetime) -> Q:
    """Placements that take their device somewhere in [starts_at, ends_at)."""
    return Q(released=False, window__overlap=(starts_at, ends_at))


def of_others(tenants: Collection[int]) -> Q:
    """Placements that keep everybody but these organisations (by key) off the whole node."""
    return Q(shared=False) & ~Q(organisation_id__in=list(tenants))


def free_devices(
    pool: Pool,
    starts_at: datetime,
    ends_at: datetime,
    *,
    tenants: Collection[int] | None = None,
    now: datetime | None = None,
) -> QuerySet[Device]:
    """Bookable devices that nobody holds and nobody mends in the window; within the lead only those ready now.

    With `tenants`, what these organisations could have: not the free devices of nodes that are lent to others then.
    """
    held = Placement.objects.filter(overlapping(starts_at, ends_at))
    closed = maintenance_between(starts_at, ends_at).filter(node_id=OuterRef("node_id"))
    devices = bookable_devices(pool).filter(~Exists(held.filter(device_id=OuterRef("pk"))), ~Exists(closed))
    if tenants is not None and not pool.shared_nodes:
        devices = devices.filter(~Exists(held.filter(of_others(tenants), node_id=OuterRef("node_id"))))
    if starts_at < (now or timezone.now()) + LEAD:
        devices = devices.filter(state="available")
        if tenants is not None and not pool.shared_nodes:
            # Whoever came before and has not given back is still there, even past the end of a window cut short.
            devices = devices.filter(~Exists(_still_there(tenants, starts_at).filter(node_id=OuterRef("node_id"))))
    return devices


def _still_there(tenants: Collection[int], moment: datetime) -> QuerySet[Placement]:
    return Placement.objects.filter(of_others(tenants), released=False, window__startswith__lt=moment)


def whole_minute(moment: datetime) -> datetime:
    """This moment, or the next whole minute."""
    floor = moment.replace(second=0, microsecond=0)
    return moment if floor == moment or moment == FOREVER else floor + timedelta(minutes=1)


def capacity(pool: Pool, starts_at: datetime, ends_at: datetime, *, tenants: Collection[int] | None = None) -> Capacity:
    """The pool in one window: five queries whatever its size."""
    return capacities([pool], [(starts_at, ends_at)], tenants=tenants)[pool.pk, (starts_at, ends_at)]


def capacities(
    pools: list[Pool], windows: list[Window], *, tenants: Collection[int] | None = None
) -> dict[tuple[int, Window], Capacity]:
    """Each pool in each window, by (pool's key, window): five queries however many of each.

    With `tenants`, `free` is what these organisations could have; see free_devices.
    """
    if not pools or not windows:
        return {}
    first, last = min(start for start, _end in windows), max(end for _start, end in windows)
    known = Counter(Device.objects.filter(node__pool__in=pools).exclude(state="retired").values_list("node__pool_id"))
    bookable = list(bookable_devices(*pools).values_list("node__pool_id", "pk", "state", "node_id"))
    mended = list(maintenance_between(first, last).values_list("node_id", "starts_at", "ends_at"))
    taken = Placement.objects.filter(overlapping(first, last), device__node__pool__in=pools)
    busy: dict[int, list[tuple[int, Busy]]] = {pool.pk: [] for pool in pools}
    shut: list[tuple[int, Busy]] = []
    columns = ("device__node__pool_id", "device_id", "window", "node_id", "organisation_id", "shared")
    for pool_id, device_id, window, node_id, organisation_id, shared in taken.values_list(*columns):
        busy[pool_id].append((device_id, _as_busy(window)))
        if tenants is not None and not shared and organisation_id not in tenants:
            shut.append((node_id, _as_busy(window)))
    soon = timezone.now() + LEAD
    if tenants is not None and first < soon:
        late = _still_there(tenants, soon).filter(node__pool__in=pools).values_list("node_id", "window")
        shut += [
            (node_id, Busy(window.lower or _EARLY, max(soon, window.upper or FOREVER))) for node_id, window in late
        ]
    open_allocations = list(
        Allocation.objects.filter(
            pool__in=pools, state__in=_OPEN_ALLOCATIONS, valid_from__lt=last, valid_until__gt=first
        ).values_list("pool_id", "valid_from", "valid_until", "concurrent_gpus")
    )
    found = {}
    for pool in pools:
        devices = [(pk, state, node_id) for pool_id, pk, state, node_id in bookable if pool_id == pool.pk]
        for start, end in windows:
            closed = {node_id for node_id, since, until in mended if since < end and until > start}
            held = {pk for pk, item in busy[pool.pk] if item.start < end and item.end > start}
            away = {pk for pk, item in shut if item.start < end and item.end > start}
            found[pool.pk, (start, end)] = Capacity(
                devices=known[(pool.pk,)],
                bookable=len(devices),
                booked_peak=peak((item for _pk, item in busy[pool.pk]), start, end),
                free=sum(
                    pk not in held and node_id not in closed | away and (start >= soon or state == "available")
                    for pk, state, node_id in devices
                ),
                promised=sum(
                    gpus
                    for pool_id, since, until, gpus in open_allocations
                    if pool_id == pool.pk and since < end and until > start
                ),
            )
    return found


def next_free_window(
    pool: Pool, device_count: int, duration: timedelta, after: datetime, *, tenants: Collection[int] | None = None
) -> tuple[datetime, datetime] | None:
    """The first window of `duration` from `after` on in which so many devices are free; None: never as things stand.

    With `tenants`, free for these organisations; see free_devices.

    Three queries; the sweep is done here. Offers begin on whole minutes: forms hold no seconds.
    """
    devices = list(bookable_devices(pool).values_list("pk", "state", "node_id"))
    busy: dict[int, list[Busy]] = {pk: [] for pk, _state, _node in devices}
    by_node: dict[int, list[int]] = defaultdict(list)
    soon = whole_minute(timezone.now() + LEAD)
    for device_id, state, node_id in devices:
        by_node[node_id].append(device_id)
        if state != "available":
            busy[device_id].append(Busy(_EARLY, soon))
    for node_id, since, until in maintenance_between(after, FOREVER).values_list("node_id", "starts_at", "ends_at"):
        for each in by_node.get(node_id, ()):
            busy[each].append(Busy(since, whole_minute(until)))
    columns = ("device_id", "window", "node_id", "organisation_id", "shared")
    rows = Placement.objects.filter(node_id__in=list(by_node), released=False).values_list(*columns)
    for device_id, window, node_id, organisation_id, shared in rows:
        taken = _as_busy(window)
        away = tenants is not None and not shared and organisation_id not in tenants
        # Whoever is on the node now may give it back late: it is offered to others from the lead on at the earliest.
        end = max(taken.end, soon) if away and taken.start < soon else taken.end
        for each in by_node[node_id] if away else [device_id]:
            if each in busy:
                busy[each].append(Busy(taken.start, whole_minute(end)))
    start = first_window(list(busy.values()), device_count, duration, whole_minute(after))
    return (start, start + duration) if start else None


def _as_busy(window: Any) -> Busy:
    return Busy(window.lower or _EARLY, window.upper or FOREVER)
