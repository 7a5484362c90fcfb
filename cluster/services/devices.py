"""What happens to a device, each verb over any number of them at once, locked in the order of their ids."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.rules import may_run_nodes
from audit.services import record
from cluster.lifecycle import DEVICE
from cluster.models import Device, DeviceEvent
from cluster.services import spells
from common.errors import RuleBroken, WrongState
from common.permissions import require

XID_MARK = "xid_"
"""How a reason of health begins that came from an XID: NVML does not show it again, so it stays until forgiven."""


KEPT_AS_EVENTS = {"quarantine": "quarantined", "lose": "lost"}
"""Moves that belong to a device's history of troubles."""


def prepare(*, actor: Any, devices: Iterable[int], reason: str = "") -> list[Device]:
    """available -> preparing, for a lease that is about to start."""
    return _move(actor, devices, "prepare", reason)


def hand_over(*, actor: Any, devices: Iterable[int], reason: str = "") -> list[Device]:
    """preparing -> in_use: the node has given access."""
    return _move(actor, devices, "hand_over", reason)


def start_cleaning(*, actor: Any, devices: Iterable[int], reason: str = "") -> list[Device]:
    """preparing or in_use -> cleaning."""
    return _move(actor, devices, "clean", reason)


def confirm_clean(*, actor: Any, devices: Iterable[int], reason: str = "") -> list[Device]:
    """cleaning -> available: the node proved the device empty and healthy."""
    return _move(actor, devices, "confirm_clean", reason)


def quarantine(*, actor: Any, devices: Iterable[int], reason: str) -> list[Device]:
    """Any live state -> quarantined; only an operator brings it back. By hand: operators only."""
    require(actor, may_run_nodes)
    return _move(actor, devices, "quarantine", reason)


def lose(*, actor: Any, devices: Iterable[int], reason: str) -> list[Device]:
    """The node no longer sees it -> offline."""
    return _move(actor, devices, "lose", reason)


def clean(*, actor: Any, devices: Iterable[int], reason: str) -> list[Device]:
    """offline, quarantined or back from RMA -> cleaning; a clean report makes it available. Operators only.

    What is held against a device because of an XID is forgiven; what NVML still shows comes with the next heartbeat.
    """
    require(actor, may_run_nodes)
    rows = _move(actor, devices, "clean", reason)
    forgive_xids(rows)
    return rows


@transaction.atomic
def send_back(*, actor: Any, devices: Iterable[int], reason: str, ticket: str) -> list[Device]:
    """quarantined -> rma, under the vendor's ticket. Operators only."""
    require(actor, may_run_nodes)
    if not ticket.strip():
        raise RuleBroken(
            _("Sending a GPU back needs the vendor's ticket."),
            code="ticket_missing",
            remedy=_("Write the number under which the vendor knows it."),
            field="ticket",
        )
    rows = _move(actor, devices, "send_back", reason, ticket=ticket.strip()[:60])
    for device in rows:
        device.rma_ticket = ticket.strip()[:60]
    Device.objects.bulk_update(rows, ["rma_ticket"])
    return rows


def retire(*, actor: Any, devices: Iterable[int], reason: str) -> list[Device]:
    """Nobody holds it -> retired, for good. Operators only."""
    require(actor, may_run_nodes)
    return _move(actor, devices, "retire", reason)


@transaction.atomic
def move_together(event: str, *, actor: Any, device: Device, reason: str) -> Device:
    """Quarantine, clean or retire a GPU with those of its MIG instances whose state allows it; or one instance alone.

    Operators only. Instances that are free stay in service when their GPU comes back: only those that are out go along.
    """
    require(actor, may_run_nodes)
    parts = lock(Device.objects.filter(Q(pk=device.pk) | Q(parent_id=device.pk)))
    if event == "clean" and device.parent and device.parent.state in ("offline", "quarantined", "rma", "retired"):
        raise WrongState(
            _("The GPU of this MIG instance is out of service."),
            code="gpu_out_of_service",
            remedy=_("Return the GPU to service: its instances come with it."),
        )
    out = ("quarantined", "offline", "rma")
    going = [
        each.pk
        for each in parts
        if each.pk == device.pk or (DEVICE.allows(each.state, event) and (event != "clean" or each.state in out))
    ]
    rows = _move(actor, going, event, reason)
    if event == "clean":
        forgive_xids(rows)
    return next(row for row in rows if row.pk == device.pk)


def retire_instances(*, actor: Any, devices: Iterable[int], reason: str) -> list[Device]:
    """MIG instances that a layout took away -> retired. Whoever ordered the layout was allowed to."""
    return _move(actor, devices, "retire", reason)


def make_again(*, actor: Any, devices: Iterable[int], reason: str) -> list[Device]:
    """A retired MIG instance is there again, with the UUID that its place gives it -> cleaning."""
    return _move(actor, devices, "make_again", reason)


def lock(devices: QuerySet[Device]) -> list[Device]:
    """These rows, locked in the order of their keys. Whoever locks a node's row, too, does it after its devices."""
    return list(devices.select_for_update(of=("self",), no_key=True).order_by("pk"))


def forgive_xids(rows: Iterable[Device]) -> None:
    """Drop the marks that XIDs left; for an operator's decision or a fresh boot."""
    for device in rows:
        if any(reason.startswith(XID_MARK) for reason in device.health_reasons):
            device.health = Device.Health.OK
            device.health_reasons = [r for r in device.health_reasons if not r.startswith(XID_MARK)]
            device.xid_level = Device.Health.OK
            device.save(update_fields=["health", "health_reasons", "xid_level"])
            spells.keep([device])


@transaction.atomic
def _move(actor: Any, devices: Iterable[int], event: str, reason: str, **changes: Any) -> list[Device]:
    rows = lock(Device.objects.filter(pk__in=list(devices)))
    lent = {device.pk for device in rows if device.state == "in_use"}
    out = {device.pk for device in rows if device.state in spells.OUT}
    for device in rows:
        before = device.state
        device.state = DEVICE.next(device.state, event)
        device.state_reason = reason[:200]
        record(
            actor=actor,
            verb=f"device.{event}",
            target=device,
            changes={"state": [before, device.state], "reason": reason, **changes},
        )
    Device.objects.bulk_update(rows, ["state", "state_reason"])
    spells.keep(device for device in rows if device.pk in out or device.state in spells.OUT)
    if event in KEPT_AS_EVENTS:
        now, kind = timezone.now(), KEPT_AS_EVENTS[event]
        DeviceEvent.objects.bulk_create(
            DeviceEvent(
                node_id=device.node_id,
                device=device,
                kind=kind,
                detail={"reason": reason[:200]},
                at=now,
                partner_told=device.pk not in lent,
            )
            for device in rows
        )
    return rows
