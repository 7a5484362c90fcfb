"""Changing the devices of a running lease: some are given back, or an ill one makes way for a healthy one.

The verbs here only promise; `fitting` carries it out node by node, and until the nodes have acknowledged it nobody
else can have a device that the lease still might use.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.rules import may_run_nodes
from allocations import refits
from allocations.models import Lease, Placement, Reshape
from allocations.rules import may_end, may_reclaim, may_swap
from allocations.selectors.reshapes import charged_until, losing_order
from allocations.selectors.windows import standing
from allocations.services import ending, overtaking, placing, replacing, standins
from allocations.services.overtaking import move_reshape
from allocations.services.retrying import again_when_lost
from allocations.services.steps import lock_lease
from audit import services as audit
from cluster.models import Device
from common.actors import SystemActor
from common.errors import InvalidTransition, RuleBroken, WrongState
from common.nudge import nudge
from common.permissions import allowed, require


def shrink(
    *, actor: Any, lease: Lease, devices: Sequence[Device] = (), device_count: int = 0, reason: str = ""
) -> Reshape:
    """Give some devices of a running lease back: these, or so many, which the portal chooses then.

    What was held for the rest of their time comes back when their node says that the access is gone; until it has
    found them clean they stay the lease's. RuleBroken where none would be left, or where the shape would be lost.
    """
    return again_when_lost(lambda: _shrink(actor, lease, list(devices), device_count, reason), _taken)


def take_back(
    *, actor: Any, lease: Lease, devices: Sequence[Device], reason: str, returned_percent: int = 100
) -> Reshape:
    """The agency takes these devices of a running lease back, with a reason that the partner reads.

    Of what was held for the rest of their time `returned_percent` comes back; no notice is charged. Refused as
    `shrink` is.
    """
    return again_when_lost(lambda: _take_back(actor, lease, list(devices), reason, returned_percent), _taken)


def swap_device(*, actor: Any, lease: Lease, device: Device, reason: str = "") -> Reshape:
    """A healthy device in the place of one of a running lease: any for operators, an ill one for its partner.

    The new device is checked and the shape kept; everything that runs on the others goes on. RuleBroken where no free
    device could take its place until the end.
    """
    return again_when_lost(lambda: _swap(actor, lease, device, reason), lambda: no_stand_in(lease, device))


@transaction.atomic
def _shrink(actor: Any, lease: Lease, devices: list[Device], count: int, reason: str) -> Reshape:
    lease = lock_lease(lease.pk)
    require(actor, may_end, lease)
    now = timezone.now()
    check_changeable(lease, "shrink", now)
    rows = standing(lease)
    leaving = _named(rows, devices) if devices else _chosen(lease, rows, count, now)
    # Decided once, as when all of it is given back: rules that change later change nothing of it.
    return _let_go(
        actor, lease, rows, leaving, reason, charged_until(lease, now), "devices" if devices else "device_count"
    )


@transaction.atomic
def _take_back(actor: Any, lease: Lease, devices: list[Device], reason: str, percent: int) -> Reshape:
    lease = lock_lease(lease.pk)
    require(actor, may_reclaim)
    if not reason.strip():
        raise RuleBroken(_("A reason is needed."), code="reason_missing", remedy=_("Write one."), field="reason")
    now = timezone.now()
    check_changeable(lease, "shrink", now)
    rows = standing(lease)
    paid = now + (lease.ends_at - now) * (100 - percent) / 100
    return _let_go(actor, lease, rows, _named(rows, devices), reason, paid, "devices")


def _let_go(
    actor: Any, lease: Lease, rows: list[Placement], leaving: list[Placement], reason: str, paid: datetime, field: str
) -> Reshape:
    """These leave the lease, and are charged until `paid` unless they are ill."""
    gone = {row.pk for row in leaving}
    kept = [row.device for row in rows if row.pk not in gone]
    if not kept:
        raise RuleBroken(
            _("At least one GPU stays with the reservation."),
            code="no_gpus_left",
            remedy=_("To give all of them back, release the reservation."),
            field=field,
            facts={"gpus": len(rows)},
        )
    nodes = refits.nodes_left(kept, lease.layout)
    if nodes is None:
        raise _not_even(lease, rows, len(leaving))
    reshape = _begin(lease, Reshape.Kind.SHRINK, actor, reason, nodes=nodes)
    move_reshape(reshape, "checked", actor=actor)
    _let_leave(lease, reshape, leaving)
    well = [row.pk for row in leaving if not replacing.is_ill(row)]
    Placement.objects.filter(pk__in=well).update(paid_until=paid)
    return _promised(lease, reshape, actor, leaving)


@transaction.atomic
def _swap(actor: Any, lease: Lease, device: Device, reason: str) -> Reshape:
    lease = lock_lease(lease.pk)
    require(actor, may_swap, lease)
    now = timezone.now()
    check_changeable(lease, "swap", now)
    (row,) = _named(standing(lease), [device])
    _check_cause(actor, row, reason)
    reshape = _begin(lease, Reshape.Kind.SWAP, actor, reason, nodes=lease.shape_nodes)
    found = standins.take(lease, reshape, row, now)
    if found is None:
        raise no_stand_in(lease, device)
    _let_leave(lease, reshape, [row])
    return _promised(lease, reshape, actor, [row], coming=[found.public_id])


def check_changeable(lease: Lease, event: str, now: datetime) -> None:
    """InvalidTransition unless it runs; WrongState while an extension or another change waits for the nodes."""
    if lease.state != "active" or lease.ends_at <= now:
        raise InvalidTransition("reservation", lease.state, event, ("change",) if lease.state == "scheduled" else ())
    if lease.pending_ends_at:
        raise WrongState(
            _("An earlier extension is still waiting for the node."),
            code="extension_pending",
            remedy=_("Please try again in a minute."),
        )
    overtaking.refuse_while_reshaping(lease)


def _check_cause(actor: Any, row: Placement, reason: str) -> None:
    if not allowed(actor, may_run_nodes):
        if not replacing.is_ill(row):
            raise RuleBroken(
                _("This GPU is well, as far as is known."),
                code="device_not_ill",
                remedy=_("Only an ill GPU is replaced. Tell the operators what you see; they can replace any."),
                field="device",
                facts={"device": row.device.public_id, "health": row.device.health, "state": row.device.state},
            )
    elif not reason.strip():
        raise RuleBroken(_("A reason is needed."), code="reason_missing", remedy=_("Write one."), field="reason")


def _named(rows: list[Placement], devices: list[Device]) -> list[Placement]:
    wanted = {device.pk for device in devices}
    found = [row for row in rows if row.device_id in wanted]
    if len(found) < len(wanted):
        strange = [device.public_id for device in devices if device.pk not in {row.device_id for row in found}]
        raise RuleBroken(
            _("The reservation does not have these GPUs: %(names)s.") % {"names": ", ".join(strange)},
            code="not_of_the_lease",
            remedy=_("Name GPUs that it has now."),
            field="devices",
            facts={"devices": [row.device.public_id for row in rows]},
        )
    return found


def _chosen(lease: Lease, rows: list[Placement], count: int, now: datetime) -> list[Placement]:
    """Ill ones first, then whole nodes, then what was used least."""
    if count < 1:
        raise RuleBroken(
            _("At least one GPU is needed."), code="no_gpus", remedy=_("Name GPUs, or how many."), field="device_count"
        )
    if count >= len(rows):
        return rows
    by_device = {row.device_id: row for row in rows}
    order = losing_order(lease, rows, now)
    found = refits.choose_leaving([row.device for row in rows], count, lease.layout, lambda spot: order[spot.pk])
    if found is None:
        raise _not_even(lease, rows, count)
    return [by_device[device.pk] for device in found]


def _not_even(lease: Lease, rows: list[Placement], asked: int) -> RuleBroken:
    counts = refits.countable([row.device for row in rows], lease.layout)
    nearest = min(counts, key=lambda count: (abs(count - asked), count), default=None)
    return RuleBroken(
        _("The reservation has as many GPUs on each of its nodes, and what is left must have so, too."),
        code="shape",
        remedy=(
            _("Give %(count)s back, as many of each node or whole nodes.") % {"count": nearest}
            if nearest
            else _("Release the reservation, and book what you still need.")
        ),
        field="device_count",
        facts={"asked": asked, "possible": counts},
    )


def no_stand_in(lease: Lease, device: Device) -> RuleBroken:
    """The refusal of a swap, with what one can do instead."""
    rows = standing(lease)
    kept = [row.device for row in rows if row.device_id != device.pk]
    alone = bool(kept) and refits.nodes_left(kept, lease.layout) is not None
    return RuleBroken(
        _("No free GPU could take the place of this one until the end of the reservation, as its GPUs lie together."),
        code="no_stand_in",
        remedy=(
            _("Give this GPU back and go on with the other %(count)s; its hours come back.") % {"count": len(kept)}
            if alone
            else _("Release the reservation and find another window; what was lost is credited.")
        ),
        field="device",
        facts={"shape": lease.shape, "may_shrink_to": len(kept) if alone else None},
    )


def _taken() -> WrongState:
    return WrongState(
        _("Others are changing these GPUs at this moment."), code="busy", remedy=_("Please try again in a minute.")
    )


def _begin(lease: Lease, kind: str, actor: Any, reason: str, *, nodes: int) -> Reshape:
    lease.generation += 1
    lease.attempts, lease.retry_at = 0, None
    lease.save(update_fields=["generation", "attempts", "retry_at"])
    return Reshape.objects.create(
        lease=lease,
        kind=kind,
        reason=reason.strip()[:300],
        shape_nodes=nodes,
        asked_by=None if isinstance(actor, SystemActor) else actor,
        asked_at=timezone.now(),
    )


def _let_leave(lease: Lease, reshape: Reshape, leaving: list[Placement]) -> None:
    """From now on nobody else can book them before they are back, whenever that is."""
    placing.lock(row.device_id for row in leaving)
    Placement.objects.filter(pk__in=[row.pk for row in leaving]).update(left_by=reshape)
    ending.open_windows(lease)


def _promised(
    lease: Lease, reshape: Reshape, actor: Any, leaving: list[Placement], coming: list[str] | None = None
) -> Reshape:
    changes = {
        "change": reshape.public_id,
        "leaving": [row.device.public_id for row in leaving],
        "coming": coming or [],
    }
    audit.record(
        actor=actor,
        verb=f"lease.{reshape.kind}",
        target=lease,
        changes={**changes, "generation": lease.generation, "reason": reshape.reason},
    )
    ref = lease.public_id
    transaction.on_commit(lambda: nudge("allocations.reconcile_lease", ref))
    return reshape
