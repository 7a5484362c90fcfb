"""Changing a reservation that has not begun: its size, its window, its shape; all of it or nothing."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from django.db import transaction
from django.utils import timezone

from allocations.charging import frozen
from allocations.models import Lease
from allocations.rules import may_end
from allocations.selectors.availability import free_devices
from allocations.selectors.balances import window_lines
from allocations.selectors.rulebooks import rulebook_of
from allocations.selectors.weights import weights_of
from allocations.services import checks, ending, keeping, ledger, placing, waking, warning
from allocations.services.booking import Ask, no_free_devices
from allocations.services.retrying import again_when_lost
from allocations.services.rule_checks import Wanted, check_booking, check_length, keep_notice
from allocations.services.steps import lock_lease, open_placements
from allocations.services.yearly import year_allows
from allocations.shapes import Shape
from audit import services as audit
from cluster.models import Device
from common.errors import InvalidTransition
from common.permissions import require

CHANGED = (
    *("device_count", "starts_at", "ends_at", "shape", "shape_nodes", "profile", "slices", "slices_of"),
    "weights",
)


def change(
    *,
    actor: Any,
    lease: Lease,
    device_count: int,
    starts_at: datetime,
    ends_at: datetime,
    shape: Shape,
    profile: str | None = None,
) -> Lease:
    """Give a scheduled reservation another size, window, shape or MIG profile; devices that still fit are kept.

    The rules are those of booking, as if the reservation were not there, and so are the weights: today's. On a refusal
    nothing has changed: the old window and the old devices stand. InvalidTransition once it is being prepared.
    """
    wanted = lease.profile if profile is None else profile
    ask = Ask(device_count, starts_at.astimezone(UTC), ends_at.astimezone(UTC), shape, profile=wanted)
    return again_when_lost(lambda: _change(actor, lease, ask), lambda: no_free_devices(lease.allocation, ask))


@transaction.atomic
def _change(actor: Any, lease: Lease, ask: Ask) -> Lease:
    now = timezone.now()
    lease = lock_lease(lease.pk)
    require(actor, may_end, lease)
    if lease.state != "scheduled":
        raise InvalidTransition("reservation", lease.state, "change")
    allocation = checks.lock_allocation(lease.allocation_id)
    starts_at, ends_at = checks.window(ask.starts_at, ask.ends_at, now)
    ask = replace(ask, starts_at=starts_at, ends_at=ends_at)
    book = rulebook_of(allocation)
    check_length(book, allocation, starts_at, ends_at)
    checks.shape(ask.shape, ask.count)
    slices, slices_of = checks.part_of_a_gpu(allocation.pool, ask.profile, ask.shape)
    share = Fraction(slices, slices_of)
    checks.allocation_covers(allocation, starts_at, ends_at)
    wanted = Wanted(allocation, ask.count, ask.shape, starts_at, ends_at, now, ask.profile)
    keep_notice(book, lease, wanted)
    check_booking(book, wanted, but=lease)
    checks.concurrency(allocation, ask.count, starts_at, ends_at, but=lease, book=book, share=share)
    held, weights = window_lines(lease, lease.ends_at), weights_of(allocation)
    already = sum(held.values())
    more, left = checks.balance_suffices(
        allocation, ask.count, starts_at, ends_at, already=already, weights=weights, share=share
    )
    year_allows(allocation, ask.count, starts_at, ends_at, weights=weights, share=share, but=lease)
    before = _facts(lease)
    _place_anew(lease, ask, now)
    lease.device_count, lease.starts_at, lease.ends_at = ask.count, starts_at, ends_at
    lease.shape, lease.shape_nodes = ask.shape.kind, ask.shape.nodes
    lease.profile, lease.slices, lease.slices_of = ask.profile, slices, slices_of
    lease.weights = frozen(weights, starts_at, ends_at)
    lease.save(update_fields=CHANGED)
    ledger.hold(lease, held, window_lines(lease, ends_at), actor=actor, reason="changed")
    if more > 0:
        warning.after_a_hold(allocation, left)
    elif more < 0:
        warning.after_a_return(allocation)
    after = _facts(lease)
    changes = {key: [before[key], after[key]] for key in after if before[key] != after[key]}
    audit.record(actor=actor, verb="lease.change", target=lease, changes=changes | {"held_device_seconds": more})
    return lease


def _facts(lease: Lease) -> dict[str, Any]:
    return {
        "starts_at": lease.starts_at,
        "ends_at": lease.ends_at,
        "device_count": lease.device_count,
        "shape": [lease.shape, lease.shape_nodes],
        "profile": lease.profile,
        "devices": [row.device.public_id for row in open_placements(lease)],
    }


def _place_anew(lease: Lease, ask: Ask, now: datetime) -> None:
    """Its own devices are free for it: let go first, in the same transaction, and taken again where they fit."""
    old = open_placements(lease)
    # Deleted, not released: they never began, and nothing may take them for devices that the lease had. The audit log
    # keeps them.
    lease.placements.filter(released=False).delete()
    pool, tenant = lease.allocation.pool, lease.allocation.project.organisation_id
    span = (ask.starts_at, ask.ends_at)
    own = None if ask.profile else lease.allocation.envelope_key
    free = list(free_devices(pool, *span, tenants=[tenant], envelope=own, now=now, profile=ask.profile))
    mine = {row.device_id for row in old}
    chosen = _choose(lease, ask, [device for device in free if device.pk in mine]) or _choose(lease, ask, free)
    if chosen is None:
        raise no_free_devices(lease.allocation, ask)
    locked = placing.lock(device.pk for device in chosen)
    terms = placing.check_free(locked, *span, allocation=lease.allocation)
    placing.place(lease, locked, *span, terms)
    keeping.keep(lease.allocation, [row.device for row in old])
    ending.reopen_windows({row.node_id for row in old})
    waking.wake_pools_of({row.node_id for row in old})


def _choose(lease: Lease, ask: Ask, among: list[Device]) -> list[Device] | None:
    allocation = lease.allocation
    return placing.choose(
        among,
        ask.count,
        ask.shape,
        pool=allocation.pool,
        tenant=allocation.project.organisation_id,
        window=(ask.starts_at, ask.ends_at),
    )
