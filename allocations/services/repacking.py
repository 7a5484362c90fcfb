"""Making room inside an envelope: reservations that have not begun change devices, so that as many GPUs as were
guaranteed can be booked at every moment, however the earlier bookings lie.

Windows are coloured in the order of their beginnings, as intervals are: whatever runs began before, so that each finds
a device as long as no moment has more GPUs than the envelope. Only a shape, a maintenance window or a lost device can
stand in the way.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from allocations.lifecycle import COMING
from allocations.models import Allocation, Lease, Pin, Placement
from allocations.selectors.availability import Window
from allocations.services import keeping, placing
from allocations.timeline import FOREVER, Busy
from audit import services as audit
from cluster.models import Device
from cluster.selectors import bookable_devices
from common.actors import RECONCILER


@dataclass(frozen=True)
class _Wish:
    """Devices for a window, cleaning included; `lease` None: the new booking's."""

    start: datetime
    end: datetime
    count: int
    lease: Lease | None
    has: tuple[int, ...] = ()


def pinned(allocation: Allocation, window: Window) -> set[int]:
    """Keys of the devices that keep the allocation's promise throughout a window and the cleaning after it."""
    if allocation.envelope_key is None:
        return set()
    end = window[1] + allocation.pool.turnaround
    rows = Pin.objects.filter(envelope_id=allocation.envelope_key, since__lte=window[0], until__gte=end)
    return set(rows.values_list("device_id", flat=True))


def make_room(allocation: Allocation, count: int, window: Window) -> list[Device] | None:
    """Devices of the envelope for a new booking, locked; others of the allocation's own bookings have moved for it.

    None where that cannot be: then nothing has changed. The caller holds the allocation's lock.
    """
    pins = list(Pin.objects.filter(envelope__allocation=allocation).order_by("device_id"))
    locked = {device.pk: device for device in placing.lock(pin.device_id for pin in pins)}
    # After the lock: operators hold it while they take a device out of service.
    usable = set(bookable_devices(allocation.pool).filter(pk__in=locked).values_list("pk", flat=True))
    pins = [pin for pin in pins if pin.device_id in usable]
    devices = {pk: device for pk, device in locked.items() if pk in usable}
    movable = _movable(allocation, set(devices))
    cleaning = allocation.pool.turnaround
    wishes = [_Wish(window[0], window[1] + cleaning, count, None), *movable]
    taken = _fixed(devices, {wish.lease.pk for wish in movable if wish.lease}, allocation.envelope_key)
    found = _colour(wishes, pins, taken)
    if found is None:
        return None
    _move([(wish, chosen) for wish, chosen in found if wish.lease and set(chosen) != set(wish.has)], devices)
    (mine,) = [chosen for wish, chosen in found if wish.lease is None]
    return [devices[pk] for pk in sorted(mine)]


def _movable(allocation: Allocation, within: set[int]) -> list[_Wish]:
    """The allocation's own bookings that have not begun, have no shape, and lie on these devices alone."""
    rows = Lease.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
    leases = {
        lease.pk: lease
        for lease in rows.filter(allocation=allocation, state__in=COMING, shape=Lease.Shape.ANY)
        .select_related("allocation__project", "allocation__pool", "allocation__envelope")
        .order_by("pk")
    }
    has: dict[int, list[tuple[int, Any]]] = defaultdict(list)
    for row in Placement.objects.filter(lease__in=leases, released=False).order_by("device_id"):
        has[row.lease_id or 0].append((row.device_id, row.window))
    return [
        _Wish(
            min(w.lower for _d, w in rows),
            max(w.upper for _d, w in rows),
            len(rows),
            leases[pk],
            tuple(d for d, _w in rows),
        )
        for pk, rows in has.items()
        if {device for device, _window in rows} <= within and all(window.upper for _device, window in rows)
    ]


def _fixed(devices: Iterable[int], moving: set[int], envelope: int | None) -> dict[int, list[Busy]]:
    taken: dict[int, list[Busy]] = defaultdict(list)
    rows = Placement.objects.filter(board__in=list(devices), released=False).exclude(lease__in=moving)
    for pk, start, end, own in rows.values_list("board_id", "window__startswith", "window__endswith", "envelope_id"):
        if own != envelope or own is None:
            taken[pk].append(Busy(start, end or FOREVER))
    return taken


def _colour(wishes: list[_Wish], pins: list[Pin], taken: dict[int, list[Busy]]) -> list[tuple[_Wish, list[int]]] | None:
    found = []
    for wish in sorted(wishes, key=lambda wish: (wish.start, wish.lease is None, wish.lease.pk if wish.lease else 0)):
        fitting = [
            pin.device_id
            for pin in pins
            if pin.since <= wish.start
            and pin.until >= wish.end
            and not any(item.start < wish.end and item.end > wish.start for item in taken[pin.device_id])
        ]
        if len(fitting) < wish.count:
            return None
        chosen = sorted(fitting, key=lambda pk: (pk not in wish.has, pk))[: wish.count]
        for pk in chosen:
            taken[pk].append(Busy(wish.start, wish.end))
        found.append((wish, chosen))
    return found


def _move(moves: list[tuple[_Wish, list[int]]], devices: dict[int, Device]) -> None:
    """Their placements never began: they are written anew, as when a reservation is changed; the audit keeps them."""
    Placement.objects.filter(lease__in=[wish.lease for wish, _chosen in moves], released=False).delete()
    for wish, chosen in moves:
        lease = wish.lease
        assert lease is not None
        # What is promised stays as it is: cleaned as long as when it was booked.
        terms = replace(placing.terms_of(lease.allocation.pool_id), turnaround=wish.end - lease.ends_at)
        placing.place(lease, [devices[pk] for pk in chosen], lease.starts_at, lease.ends_at, terms)
        keeping.keep(lease.allocation, [devices[pk] for pk in wish.has])
        leaving = [devices[pk].public_id for pk in wish.has if pk not in chosen]
        coming = [devices[pk].public_id for pk in chosen if pk not in wish.has]
        changes = {"devices": dict(zip(leaving, coming, strict=True)), "reason": "room for another of its own bookings"}
        audit.record(actor=RECONCILER, verb="lease.replace_devices", target=lease, changes=changes)
