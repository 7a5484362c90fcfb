"""The operators' verbs that could break a promise: what is booked on a machine is planned for first, or they refuse."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.rules import may_run_nodes
from allocations.lifecycle import COMING
from allocations.promises import RETURNING, RUNNING, Promise, promises_on
from allocations.services import envelopes, maintenance, reclaiming, waking
from allocations.services.planning import Plan, keep_promises
from allocations.services.retrying import in_one_transaction
from allocations.timeline import FOREVER
from cluster.lifecycle import DEVICE, NODE
from cluster.models import Device, MaintenanceWindow, Node
from cluster.selectors import with_instances
from cluster.services import devices as device_verbs
from cluster.services import layouts, nodes
from common.errors import InvalidTransition, RuleBroken
from common.lifecycle import Lifecycle
from common.permissions import require

NO_PLAN: Plan = MappingProxyType({})
COMING_BACK = (*RETURNING, "failed")
"""States of leases that end by themselves, as soon as their node has cleaned up."""


@dataclass(frozen=True)
class Done:
    """What a verb has changed, and the leases that it met."""

    target: Any
    hit: list[Promise]


def drain_node(*, actor: Any, node: Node, reason: str, plan: Mapping[str, str] = NO_PLAN) -> Done:
    """No new leases there. Those that run go on, those that are booked are named, and moved or ended as `plan` says."""

    def verb() -> Done:
        _check(actor, reason, NODE, node, "drain")
        spare = (*COMING, *RUNNING, *COMING_BACK)
        ids = _devices_of(node)
        hit = keep_promises(actor=actor, device_ids=ids, reason=reason, plan=plan, force=True, spare=spare)
        return Done(nodes.drain(actor=actor, node=node, reason=reason), hit)

    return in_one_transaction(verb)


def maintain_node(
    *,
    actor: Any,
    node: Node,
    reason: str,
    until: datetime | None = None,
    plan: Mapping[str, str] = NO_PLAN,
    force: bool = False,
) -> Done:
    """draining -> maintenance. Refused while leases run there, unless forced with a plan for each.

    `until` is when the work should be over: leases that begin later are not hit. None: nobody knows, so all are.
    """

    def verb() -> Done:
        _check(actor, reason, NODE, node, "maintain")
        now = timezone.now()
        if until is not None:
            _check_order(now, until)
        hit = keep_promises(
            actor=actor,
            device_ids=_devices_of(node),
            reason=reason,
            plan=plan,
            force=force,
            since=now if until else None,
            until=until,
        )
        return Done(nodes.maintain(actor=actor, node=node, reason=reason), hit)

    return in_one_transaction(verb)


def announce_maintenance(
    *,
    actor: Any,
    node: Node,
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    plan: Mapping[str, str] = NO_PLAN,
    force: bool = False,
) -> Done:
    """Nothing may be placed on the node in the window. Refused where something is, unless forced with a plan."""

    def verb() -> Done:
        require(actor, may_run_nodes)
        _check_reason(reason)
        _check_order(starts_at, ends_at)
        ids = _devices_of(node)
        hit = keep_promises(
            actor=actor,
            device_ids=ids,
            reason=reason,
            plan=plan,
            force=force,
            since=starts_at,
            until=ends_at,
            spare=COMING_BACK,
        )
        window = maintenance.announce(
            actor=actor, node=node, starts_at=starts_at, ends_at=ends_at, reason=reason, force=force
        )
        return Done(window, hit)

    return in_one_transaction(verb)


def cancel_maintenance(*, actor: Any, window: MaintenanceWindow, reason: str) -> MaintenanceWindow:
    """The window is free again."""
    require(actor, may_run_nodes)
    _check_reason(reason)
    cancelled = maintenance.cancel(actor=actor, window=window, reason=reason)
    waking.wake_pools_of([window.node_id])
    return cancelled


def retire_node(*, actor: Any, node: Node, reason: str, plan: Mapping[str, str] = NO_PLAN, force: bool = False) -> Done:
    """The node and all its devices leave the house. What begins later is moved or ended as planned.

    What still runs there must be over first: end it with the plan of `drain_node`.
    """

    def verb() -> Done:
        _check(actor, reason, NODE, node, "retire")
        hit = keep_promises(actor=actor, device_ids=_devices_of(node), reason=reason, plan=plan, force=force)
        _let_go(actor, _devices_of(node), reason, force)
        return Done(nodes.retire(actor=actor, node=node, reason=reason), hit)

    return in_one_transaction(verb)


def quarantine_device(
    *, actor: Any, device: Device, reason: str, plan: Mapping[str, str] = NO_PLAN, force: bool = False
) -> Done:
    """Out of service until an operator brings it back. Refused while it is promised, unless forced with a plan."""

    def verb() -> Done:
        _check(actor, reason, DEVICE, device, "quarantine")
        ids = with_instances(device)
        hit = keep_promises(actor=actor, device_ids=ids, reason=reason, plan=plan, force=force, spare=COMING_BACK)
        row = device_verbs.move_together("quarantine", actor=actor, device=device, reason=reason)
        return Done(row, hit)

    return in_one_transaction(verb)


def return_device(*, actor: Any, device: Device, reason: str) -> Device:
    """To cleaning; the node's next clean report makes it available."""
    _check(actor, reason, DEVICE, device, "clean")
    row = device_verbs.move_together("clean", actor=actor, device=device, reason=reason)
    waking.wake_pools_of([device.node_id])
    return row


def send_device_back(
    *,
    actor: Any,
    device: Device,
    reason: str,
    ticket: str,
    plan: Mapping[str, str] = NO_PLAN,
    force: bool = False,
) -> Done:
    """quarantined -> rma, under the vendor's ticket. Refused while it is promised, unless forced with a plan."""

    def verb() -> Done:
        _check(actor, reason, DEVICE, device, "send_back")
        ids = with_instances(device)
        hit = keep_promises(actor=actor, device_ids=ids, reason=reason, plan=plan, force=force)
        _let_go(actor, ids, reason, force)
        (row,) = device_verbs.send_back(actor=actor, devices=[device.pk], reason=reason, ticket=ticket)
        return Done(row, hit)

    return in_one_transaction(verb)


def retire_device(
    *, actor: Any, device: Device, reason: str, plan: Mapping[str, str] = NO_PLAN, force: bool = False
) -> Done:
    """Out of the house for good. Refused while it is promised, unless forced with a plan."""

    def verb() -> Done:
        _check(actor, reason, DEVICE, device, "retire")
        ids = with_instances(device)
        hit = keep_promises(actor=actor, device_ids=ids, reason=reason, plan=plan, force=force)
        _let_go(actor, ids, reason, force)
        return Done(device_verbs.move_together("retire", actor=actor, device=device, reason=reason), hit)

    return in_one_transaction(verb)


def partition_device(
    *,
    actor: Any,
    device: Device,
    instances: Sequence[str],
    reason: str,
    plan: Mapping[str, str] = NO_PLAN,
    force: bool = False,
) -> Done:
    """Cut a GPU into MIG instances of these profiles; none: it is whole again. Its node carries it out.

    Instances that are there and wanted again stay, whoever has them. Refused while the GPU, or an instance that goes,
    is promised, unless forced with a plan; what still runs there must be over first.
    """

    def verb() -> Done:
        require(actor, may_run_nodes)
        _check_reason(reason)
        device.refresh_from_db(fields=["state", "layout", "set_aside"])
        layout = layouts.layout_of(device, instances)
        ids = [device.pk, *(each.pk for each in layouts.going(device, layout))]
        hit = keep_promises(actor=actor, device_ids=ids, reason=reason, plan=plan, force=force)
        _let_go(actor, ids, reason, force)
        if layout and not device.is_cut:
            now, whole = timezone.now(), Device.objects.select_related("gpu_class").get(pk=device.pk)
            envelopes.displace(actor=actor, devices=[whole], start=now, end=FOREVER, reason=reason, force=force)
        return Done(layouts.order(actor=actor, gpu=device, layout=layout, reason=reason), hit)

    return in_one_transaction(verb)


def _check(actor: Any, reason: str, table: Lifecycle, target: Any, event: str) -> None:
    """May they, do they say why, and does the state allow it: asked before anybody's lease is touched."""
    require(actor, may_run_nodes)
    _check_reason(reason)
    target.refresh_from_db(fields=["state"])
    if not table.allows(target.state, event):
        raise InvalidTransition(table.noun, target.state, event, table.events_from(target.state))


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise RuleBroken(_("A reason is needed."), code="reason_missing", remedy=_("Write one."), field="reason")


def _check_order(starts_at: datetime, ends_at: datetime) -> None:
    if ends_at <= starts_at:
        raise RuleBroken(
            _("The window must end after it begins."),
            code="window",
            remedy=_("Please correct the end."),
            field="ends_at",
        )


def _let_go(actor: Any, device_ids: Iterable[int], reason: str, force: bool) -> None:
    """What leaves the house is nobody's: RuleBroken while a lease still has access or a claim to it.

    With `force`, a lease that has lost its access and only waits for the device to be clean goes on without it.
    """
    held = promises_on(device_ids)
    waiting = [promise for promise in held if force and reclaiming.only_waits(promise.lease)]
    if len(waiting) < len(held):
        raise RuleBroken(
            _("These reservations still hold it: %(names)s.")
            % {"names": ", ".join(promise.lease.public_id for promise in held if promise not in waiting)},
            code="still_held",
            remedy=_("End them first, by draining or by quarantine with a plan, and wait until they are over."),
            facts={"leases": [promise.facts for promise in held]},
        )
    for promise in waiting:
        reclaiming.let_go(actor=actor, lease=promise.lease, device_ids=device_ids, reason=reason)


def _devices_of(node: Node) -> list[int]:
    return list(node.devices.exclude(state="retired").order_by("pk").values_list("pk", flat=True))
