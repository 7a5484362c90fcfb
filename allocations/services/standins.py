"""A healthy device for an ill one of a running lease: found where the shape allows it, and taken before others do."""

from datetime import datetime

from allocations import refits
from allocations.models import Lease, Placement, Reshape
from allocations.selectors.availability import free_devices
from allocations.selectors.windows import standing
from allocations.services import placing
from allocations.services.placing import LostRace
from allocations.shapes import ANY
from cluster.models import Device
from cluster.services import devices
from common.actors import RECONCILER


def find(lease: Lease, row: Placement, now: datetime) -> Device | None:
    """The device that would take the place of this one until the end; the best fit of those that are ready now."""
    pool, tenant, span = lease.allocation.pool, lease.allocation.project.organisation_id, (now, lease.ends_at)
    kept = [each.device for each in standing(lease) if each.pk != row.pk]
    own = lease.envelope_key
    free = list(free_devices(pool, *span, tenants=[tenant], envelope=own, now=now, profile=lease.profile))
    fitting = refits.stand_ins(row.device, kept, free, lease.layout)
    near = {device.node_id for device in kept}
    found = placing.choose(fitting, 1, ANY, pool=pool, tenant=tenant, window=span, near=near)
    return found[0] if found else None


def take(lease: Lease, reshape: Reshape, row: Placement, now: datetime) -> Device | None:
    """Find one and take it for the lease; None: there is none. LostRace where somebody else was faster."""
    found = find(lease, row, now)
    if found is None:
        return None
    locked = [each for each in placing.lock([found.pk, row.device_id]) if each.pk == found.pk]
    placing.check_bookable(lease.allocation.pool, [found.pk], profile=lease.profile)
    placing.check_free(locked, now, lease.ends_at, allocation=lease.allocation)
    if locked[0].state != "available":
        raise LostRace
    placing.place(lease, locked, now, lease.ends_at)
    lease.placements.filter(device=found, released=False).update(came_by=reshape)
    devices.prepare(actor=RECONCILER, devices=[found.pk], reason=lease.public_id)
    return found
