"""What is free and what is promised. Reads only; every answer costs a fixed number of queries."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from allocations import timeline
from allocations.lifecycle import OPEN
from allocations.models import Allocation, Placement
from allocations.selectors.boards import Parts, on_device
from allocations.selectors.spots import COLUMNS, FreeSpot
from allocations.shapes import ANY, Shape, by_group, choose
from allocations.timeline import FOREVER, Busy, Spans, peak, starts
from cluster.models import Device, Pool
from cluster.selectors import bookable_devices

LEAD = timedelta(minutes=10)
"""How long before its start a lease is prepared: a device that is not ready now is offered from then on."""

Window = tuple[datetime, datetime]
"""[start, end)"""

TAKEN = (
    *("board_id", "slices__startswith", "slices__endswith", "window__startswith", "window__endswith"),
    *("node_id", "organisation_id", "shared"),
)
"""What is asked of thousands of placements: bounds, because a driver reads a range slowly."""
_EARLY = datetime.min.replace(tzinfo=UTC)


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


def capacity(
    pool: Pool,
    starts_at: datetime,
    ends_at: datetime,
    *,
    tenants: Collection[int] | None = None,
    envelope: int | None = None,
    profile: str = "",
) -> Capacity:
    """The pool in one window: a fixed number of queries whatever its size."""
    span = (starts_at, ends_at)
    return capacities([pool], [span], tenants=tenants, envelope=envelope, profile=profile)[pool.pk, span]


def capacities(
    pools: list[Pool],
    windows: list[Window],
    *,
    tenants: Collection[int] | None = None,
    envelope: int | None = None,
    profile: str = "",
) -> dict[tuple[int, Window], Capacity]:
    """Each pool in each window, by (pool's key, window): five queries at most, however many of each.

    Whole GPUs (one that is cut up cannot be booked), or MIG instances of a profile. With `tenants` and `envelope`,
    `free` is what these organisations could have; see free_devices.
    """
    if not pools or not windows:
        return {}
    cleaning = max(pool.turnaround for pool in pools)
    first, last = min(start for start, _end in windows), max(end for _start, end in windows)
    there = Device.objects.filter(node__pool__in=pools, profile=profile).exclude(state="retired")
    known = dict(there.order_by().values_list("node__pool_id").annotate(count=Count("pk")))
    bookable: dict[int, list[FreeSpot]] = {pool.pk: [] for pool in pools}
    for *columns, pool_id in bookable_devices(*pools, profile=profile).values_list(*COLUMNS, "node__pool_id"):
        bookable[pool_id].append(FreeSpot(*columns))
    parts = Parts(spot for spots in bookable.values() for spot in spots)
    overlaps = overlapping(first, last + cleaning)
    taken = Placement.objects.filter(overlaps, not_kept_for(envelope), node__pool__in=pools)
    busy: dict[int, list[tuple[int, Busy]]] = {pool.pk: [] for pool in pools}
    booked: dict[int, list[Busy]] = {pool.pk: [] for pool in pools}
    shut: list[tuple[int, Busy]] = []
    rows = taken.values_list("node__pool_id", *TAKEN, "lease__profile")
    for pool_id, board_id, lowest, highest, lower, upper, node_id, organisation_id, shared, kind in rows:
        item = Busy(lower or _EARLY, upper or FOREVER)
        busy[pool_id] += [(pk, item) for pk in parts.taken_by(board_id, lowest, highest)]
        if kind == profile:
            booked[pool_id].append(item)
        if tenants is not None and not shared and organisation_id not in tenants:
            shut.append((node_id, item))
    soon = timezone.now() + LEAD
    if tenants is not None and first < soon:
        late = _still_there(tenants, soon).filter(node__pool__in=pools).values_list("node_id", "window")
        shut += [
            (node_id, Busy(window.lower or _EARLY, max(soon, window.upper or FOREVER))) for node_id, window in late
        ]
    open_allocations = list(
        Allocation.objects.filter(
            pool__in=pools, state__in=OPEN, valid_from__lt=last, valid_until__gt=first
        ).values_list("pool_id", "valid_from", "valid_until", "concurrent_gpus")
    )
    found = {}
    for pool in pools:
        devices = [(spot.pk, spot.state, spot.node_id) for spot in bookable[pool.pk]]
        for start, end in windows:
            clean = end + pool.turnaround
            held = {pk for pk, item in busy[pool.pk] if item.start < clean and item.end > start}
            away = {pk for pk, item in shut if item.start < clean and item.end > start}
            found[pool.pk, (start, end)] = Capacity(
                devices=known.get(pool.pk, 0),
                bookable=len(devices),
                booked_peak=peak(booked[pool.pk], start, end),
                free=sum(
                    pk not in held and node_id not in away and (start >= soon or state == "available")
                    for pk, state, node_id in devices
                ),
                promised=sum(
                    gpus
                    for pool_id, since, until, gpus in open_allocations
                    if pool_id == pool.pk and since < end and until > start
                ),
            )
    return found


@dataclass(frozen=True)
class Calendar:
    """The bookable devices of a pool and when each of them is taken, from `after` to `before`; what is booked must be
    free for the `turnaround` after it, too.
    """

    spots: list[FreeSpot]
    busy: dict[int, list[Busy]]
    after: datetime
    before: datetime
    turnaround: timedelta = timedelta()

    def starts(self, count: int, duration: timedelta, shape: Shape = ANY) -> Spans:
        """When so many devices, laid out like this, are free for so long, up to the calendar's end."""
        if not shape.fits(count):
            return []
        needed, each = shape.groups_of(count)
        groups = [[self.busy[spot.pk] for spot in group] for group in by_group(self.spots, shape).values()]
        last = self.before if self.before == FOREVER else self.before - duration
        found = starts(groups, needed, each, duration + self.turnaround, self.after)
        return [(first, min(until, last)) for first, until in found if first <= last]

    def could_ever(self, count: int, shape: Shape = ANY) -> bool:
        """Whether the bookable devices, if nobody had any of them, would do."""
        return choose(self.spots, count, shape) is not None

    def begun(self, start: datetime, end: datetime) -> set[int]:
        """GPUs (by key) of which something is taken then."""
        return {
            spot.board_id
            for spot in self.spots
            if any(item.start < end and item.end > start for item in self.busy[spot.pk])
        }

    def free(self, start: datetime, end: datetime) -> list[FreeSpot]:
        """The devices that are free in the whole of [start, end)."""
        clean = end + self.turnaround
        return [
            spot
            for spot in self.spots
            if not any(item.start < clean and item.end > start for item in self.busy[spot.pk])
        ]


def calendar_of(
    pool: Pool,
    after: datetime,
    before: datetime = FOREVER,
    *,
    tenants: Collection[int] | None = None,
    envelope: int | None = None,
    profile: str = "",
) -> Calendar:
    """What is free in a pool between two moments: two queries. With `tenants` and `envelope`, for these; see
    free_devices.

    Of its whole GPUs, or of its MIG instances of a profile. Offers begin on whole minutes, because forms hold no
    seconds: what is taken ends at the next one.
    """
    spots = [FreeSpot(*row) for row in bookable_devices(pool, profile=profile).values_list(*COLUMNS)]
    parts = Parts(spots)
    busy: dict[int, list[Busy]] = {spot.pk: [] for spot in spots}
    by_node: dict[int, list[int]] = defaultdict(list)
    soon = whole_minute(timezone.now() + LEAD)
    for spot in spots:
        by_node[spot.node_id].append(spot.pk)
        if spot.state != "available":
            busy[spot.pk].append(Busy(_EARLY, soon))
    rows = Placement.objects.filter(not_kept_for(envelope), node__pool=pool, released=False)
    # One that is over may still keep others off its node: it is there until it is given back.
    there = Q(window__startswith__lt=soon, lease__isnull=False)
    rows = rows.filter(there | Q(window__overlap=(after, None if before == FOREVER else before + pool.turnaround)))
    taken = rows.values_list(*TAKEN, "lease")
    for board_id, lowest, highest, lower, upper, node_id, organisation_id, shared, lease in taken:
        start, end = lower or _EARLY, upper or FOREVER
        away = tenants is not None and not shared and organisation_id not in tenants
        # Whoever is on the node now may give it back late: it is offered to others from the lead on at the earliest.
        if away and lease is not None and start < soon:
            end = max(end, soon)
        item = Busy(start, whole_minute(end))
        for each in by_node.get(node_id, ()) if away else parts.taken_by(board_id, lowest, highest):
            busy[each].append(item)
    return Calendar(spots, busy, whole_minute(after), before, pool.turnaround)


def next_free_window(
    pool: Pool,
    device_count: int,
    duration: timedelta,
    after: datetime,
    *,
    shape: Shape = ANY,
    tenants: Collection[int] | None = None,
    envelope: int | None = None,
    only: Collection[int] | None = None,
    passes: Spans | None = None,
    profile: str = "",
) -> tuple[datetime, datetime] | None:
    """The first window of `duration` from `after` on in which so many devices, laid out like this, are free.

    None: never as things stand. With `tenants` and `envelope`, free for these; see free_devices. With `only`, of these
    devices (by key). With `passes`, starting at one of these moments (Rulebook.starts). Two queries.
    """
    calendar = calendar_of(pool, after, tenants=tenants, envelope=envelope, profile=profile)
    if only is not None:
        calendar = replace(calendar, spots=[spot for spot in calendar.spots if spot.pk in only])
    found = calendar.starts(device_count, duration, shape)
    if passes is not None:
        found = timeline.shared(found, passes)
    return (found[0][0], found[0][0] + duration) if found else None
