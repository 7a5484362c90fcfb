"""What every step of a lease shares: the order for the engine, the locked row, the move that is written down."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from allocations.lifecycle import LEASE
from allocations.models import Lease, Placement
from audit import services as audit
from cluster.drivers.base import EngineDriver, LeaseOrder
from cluster.models import Device
from cluster.services.engine import engine_for


def lock_lease(pk: int) -> Lease:
    """The lease's row, locked, with what every verb needs of its surroundings."""
    return (
        Lease.objects.select_for_update(of=("self",), no_key=True)
        .select_related(
            "allocation__project__organisation", "allocation__pool__gpu_class", "allocation__envelope", "booked_by"
        )
        .get(pk=pk)
    )


def login_of(lease: Lease) -> str:
    """The account on the nodes that lives as long as the lease: short enough and plain enough for Linux."""
    return "bg-" + lease.public_id.rpartition("-")[2]


def open_placements(lease: Lease) -> list[Placement]:
    """Placements that still hold their device, with device and node, in device order."""
    rows = (
        lease.placements.filter(released=False)
        .select_related("device__node", "device__gpu_class")
        .order_by("device_id")
    )
    return list(rows)


def by_node(placements: Iterable[Placement]) -> dict[str, tuple[str, ...]]:
    """Node names to the UUIDs of these placements' devices."""
    devices: dict[str, tuple[str, ...]] = {}
    for placement in placements:
        name = placement.device.node.name
        devices[name] = (*devices.get(name, ()), placement.device.uuid)
    return devices


def order_for(
    lease: Lease,
    placements: list[Placement],
    *,
    hard_end: datetime | None = None,
    leaving: Iterable[Placement] = (),
) -> LeaseOrder:
    """What the engine is asked about: the devices that the lease still holds, by node; and those that it gives up."""
    return LeaseOrder(
        lease_ref=lease.public_id,
        generation=lease.generation,
        devices=by_node(placements),
        leaving=by_node(leaving),
        login=login_of(lease),
        starts_at=lease.starts_at,
        hard_end=hard_end or lease.ends_at,
    )


def engine_of(lease: Lease) -> EngineDriver:
    """The engine of the lease's pool."""
    return engine_for(lease.allocation.pool)


def device_ids(placements: list[Placement], *states: str) -> list[int]:
    """Devices of these placements that are in one of the states now."""
    pks = [placement.device_id for placement in placements]
    return list(Device.objects.filter(pk__in=pks, state__in=states).order_by("pk").values_list("pk", flat=True))


def move(lease: Lease, event: str, *, actor: Any, fields: tuple[str, ...] = (), **changes: Any) -> None:
    """One transition: next state from the table, the row saved, one audit row. The step's counters start anew."""
    before = lease.state
    lease.state = LEASE.next(lease.state, event)
    lease.attempts = 0
    lease.retry_at = None
    lease.save(update_fields=["state", "attempts", "retry_at", "state_reason", "generation", *fields])
    audit.record(
        actor=actor,
        verb=f"lease.{event}",
        target=lease,
        changes={"state": [before, lease.state], "generation": lease.generation, **changes},
    )
