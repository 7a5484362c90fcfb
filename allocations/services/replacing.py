"""Other devices for a lease whose own are not to be had, or did not pass their check."""

from datetime import datetime, timedelta
from functools import partial

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import Q

from allocations.models import Lease, Placement
from allocations.selectors.availability import Window, free_devices, of_others
from allocations.selectors.boards import overlap
from allocations.services import ending, keeping, placing, telling, waking
from allocations.services.steps import device_ids, open_placements
from allocations.shapes import ANY
from audit import services as audit
from cluster.models import Device
from cluster.selectors import GONE, LENDABLE
from cluster.services import devices
from common.actors import RECONCILER

MOST_REPLACEMENTS = 3
"""How often devices may fail their check before the lease is given up: then something else is wrong."""
LOST_NODES = ("unreachable", "fenced", "maintenance")


def is_ready(row: Placement) -> bool:
    """Whether the lease could be prepared on this device now."""
    device = row.device
    return device.state == "available" and device.health in LENDABLE and device.node.state not in LOST_NODES


def is_gone(row: Placement) -> bool:
    """Whether waiting for this device is of no use."""
    return is_ill(row) or row.device.node.state in LOST_NODES


def is_ill(row: Placement) -> bool:
    """Whether the device itself can not be handed over, whatever its node says."""
    return row.device.state in GONE or row.device.health not in LENDABLE


def promised_before(lease: Lease, placements: list[Placement]) -> set[int]:
    """Devices that an earlier lease still has or waits for: they may be free at this moment and are not this lease's.

    A device that comes back late from one lease is wanted by two that are due: the one whose turn it is gets it. Where
    a node is lent whole, another organisation that is still on it keeps all of its devices from us.
    """
    tenant = lease.allocation.project.organisation_id
    earlier = Placement.objects.filter(
        released=False, window__startswith__lt=lease.starts_at, lease__isnull=False
    ).exclude(lease=lease)
    there = Q(board__in={row.board_id for row in placements})
    around = of_others([tenant]) & Q(node__in={row.node_id for row in placements})
    taken, shut = set(), set()
    rows = earlier.filter(there | around).values_list("board", "slices", "node", "organisation", "shared")
    for board_id, slices, node_id, organisation_id, shared in rows:
        taken |= {row.pk for row in placements if row.board_id == board_id and overlap(row.slices, slices)}
        if not shared and organisation_id != tenant:
            shut.add(node_id)
    return {row.device_id for row in placements if row.pk in taken or row.node_id in shut}


def replace(lease: Lease, missing: list[Placement], now: datetime) -> list[Placement]:
    """Move placements to devices that are ready; those that left, none when there are no devices to be had."""
    if not missing:
        return []
    start, pool, tenant = max(lease.starts_at, now), lease.allocation.pool, lease.allocation.project.organisation_id
    span, own = (start, lease.ends_at), lease.envelope_key
    free = list(free_devices(pool, *span, tenants=[tenant], envelope=own, now=now, profile=lease.profile))
    found = substitutes(lease, missing, free, (start, lease.ends_at))
    if found is None:
        return []
    leaving, chosen = found
    locked = placing.lock(device.pk for device in chosen)
    try:
        placing.check_free(locked, start, lease.ends_at, allocation=lease.allocation)
    except placing.LostRace:
        return []
    swaps = {row.device.public_id: device.public_id for row, device in zip(leaving, locked, strict=True)}
    release(leaving, now)  # cut to now: what these devices measure later is not this lease's
    placing.place(lease, locked, start, lease.ends_at)
    ending.reopen_windows({row.node_id for row in leaving})
    audit.record(actor=RECONCILER, verb="lease.replace_devices", target=lease, changes={"devices": swaps})
    return leaving


def substitutes(
    lease: Lease, missing: list[Placement], free: list[Device], window: Window
) -> tuple[list[Placement], list[Device]] | None:
    """(placements that leave, devices in their stead) so that the lease keeps its shape; None: there are none.

    Where the shape ties devices together, healthy ones may have to leave with the missing, yet as few as can be.
    """
    pool, tenant = lease.allocation.pool, lease.allocation.project.organisation_id
    choose = partial(placing.choose, shape=lease.layout, pool=pool, tenant=tenant, window=window)
    if lease.layout == ANY:
        chosen = choose(free, len(missing))
        return None if chosen is None else (missing, chosen)
    gone = {row.pk for row in missing}
    kept = [row for row in open_placements(lease) if row.pk not in gone]
    mine = [row.device for row in kept]
    chosen = choose([*mine, *free], len(mine) + len(missing), near={device.node_id for device in mine})
    if chosen is None:
        return None
    staying = {device.pk for device in chosen} & {device.pk for device in mine}
    leaving = [*missing, *(row for row in kept if row.device_id not in staying)]
    return leaving, [device for device in chosen if device.pk not in staying]


def replace_failed(lease: Lease, bad: list[str], reason: str, now: datetime) -> bool:
    """Devices (by UUID) that failed their check before the handover make way for others, and all are checked again.

    The failed ones go to quarantine. False where there are no others, or it has happened too often: the lease fails.
    """
    rows = [row for row in open_placements(lease) if row.device.uuid in bad]
    left = [] if lease.replacements >= MOST_REPLACEMENTS else replace(lease, rows, now)
    if not left:
        return False
    well = [row for row in left if row.device.uuid not in bad]
    devices.start_cleaning(actor=RECONCILER, devices=device_ids(well, "preparing"), reason=lease.public_id)
    failed = device_ids(rows, "preparing", "available", "cleaning")
    devices.quarantine(actor=RECONCILER, devices=failed, reason=f"{lease.public_id}: {reason}")
    fresh = device_ids(open_placements(lease), "available")
    devices.prepare(actor=RECONCILER, devices=fresh, reason=lease.public_id)
    lease.generation += 1
    lease.replacements += 1
    lease.attempts = 0
    lease.verified_at = None
    lease.save(update_fields=["generation", "replacements", "attempts", "verified_at"])
    telling.tell_operators(lease, "lease_moved", count=len(rows))
    telling.tell_partner(lease, "lease_moved", count=len(rows))
    return True


def release(placements: list[Placement], now: datetime) -> None:
    """These placements of one lease no longer hold their device: their window ends now; its envelope has it again."""
    for row in placements:
        row.window = DateTimeTZRange(row.window.lower, max(now, row.window.lower + timedelta(microseconds=1)))
        row.released = True
    Placement.objects.bulk_update(placements, ["window", "released"])
    if placements and placements[0].lease:
        keeping.keep(placements[0].lease.allocation, [row.device for row in placements])
    waking.wake_pools_of({row.node_id for row in placements})
