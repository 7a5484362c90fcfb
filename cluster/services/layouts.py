"""How a GPU is cut into MIG instances: ordered by an operator, done by its node, kept as devices of their own."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.backends.postgresql.psycopg_any import NumericRange
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.rules import may_run_nodes
from audit.services import record
from cluster.drivers.bare_metal import CommandOrder
from cluster.lifecycle import DEVICE
from cluster.mig import Layout, arrange, profiles_of
from cluster.models import Device, DeviceEvent, Node, NodeCommand
from cluster.selectors import GONE
from cluster.services import devices as device_verbs
from cluster.services import spells
from cluster.services.outbox import DatabaseOutbox
from common.actors import SystemActor
from common.errors import RuleBroken, WrongState
from common.permissions import require
from common.state_words import state_word

VERB = NodeCommand.Verb.PARTITION
DEADLINE = timedelta(minutes=2)
NOBODY = "bg-layout"
"""Every command names a login; a layout is for none."""
TAKEN_AWAY = gettext_noop("A new layout took it away.")
MADE_AGAIN = gettext_noop("A new layout made it again.")


def layout_of(gpu: Device, wanted: Iterable[str]) -> Layout:
    """Where instances of these profiles are to lie on a GPU; RuleBroken where its class cannot have them together.

    Instances that are there and wanted again stay where they are.
    """
    names = list(wanted)
    offered = profiles_of(gpu.gpu_class.nvml_name)
    if gpu.parent_id is not None or not offered:
        raise RuleBroken(
            _("This device cannot be cut into MIG instances."),
            code="no_mig",
            remedy=_("Choose a GPU whose class has MIG."),
            field="instances",
        )
    found = arrange(offered, names, _there(gpu))
    if found is None:
        raise RuleBroken(
            _("These instances do not fit on one GPU together: %(names)s.") % {"names": ", ".join(names)},
            code="layout",
            remedy=_("One GPU has seven compute slices and offers: %(names)s.")
            % {"names": ", ".join(f"{each.name} ({each.most})" for each in offered)},
            field="instances",
            facts={"offered": {each.name: each.most for each in offered}},
        )
    return found


def going(gpu: Device, layout: Layout) -> list[Device]:
    """The instances that are there and that a layout takes away."""
    return [each for each in _instances(gpu) if (each.profile, _start(each)) not in layout]


@transaction.atomic
def order(*, actor: Any, gpu: Device, layout: Layout, reason: str) -> Device:
    """Have its node make a GPU into a layout (empty: whole again). Operators only; allocations asks first who has it.

    The caller has locked the GPU and its instances. WrongState while an earlier layout waits for its node.
    """
    require(actor, may_run_nodes)
    gpu = device_verbs.lock(Device.objects.filter(pk=gpu.pk))[0]
    if gpu.state in GONE:
        raise WrongState(
            _("This GPU is out of service: “%(state)s”.") % {"state": state_word(gpu.state, "device")},
            code="out_of_service",
            remedy=_("Return it to service first."),
        )
    if _pending(gpu):
        raise WrongState(
            _("The node has not answered the last layout of this GPU yet."),
            code="layout_pending",
            remedy=_("Please try again in two minutes."),
        )
    before = gpu.layout
    _send(gpu, layout)
    changes = {"layout": [before, gpu.layout], "reason": reason}
    record(actor=actor, verb="device.partition", target=gpu, changes=changes)
    return gpu


def take_answer(command: NodeCommand) -> None:
    """What the node made of a layout: its instances become devices, those that went are retired. The caller's
    transaction; the command is locked.
    """
    gpu = _gpu_of(command)
    if gpu is None:
        return
    if command.state != "done":
        _give_up(gpu)
        detail = {"layout": command.payload["layout"], "error": command.result.get("error") or command.state}
        DeviceEvent.objects.create(node=gpu.node, device=gpu, kind="layout_failed", detail=detail, at=timezone.now())
        return
    said = command.result.get("instances", [])
    take_instances(gpu, said, confirmed=True)
    gone = [each for each in _instances(gpu) if each.uuid not in {instance["uuid"] for instance in said}]
    actor = SystemActor(f"node {command.node.name}")
    retired = [each.pk for each in gone if each.set_aside and DEVICE.allows(each.state, "retire")]
    device_verbs.retire_instances(actor=actor, devices=retired, reason=TAKEN_AWAY)
    lost = [each.pk for each in gone if not each.set_aside and each.state not in GONE]
    device_verbs.lose(actor=actor, devices=lost, reason=gettext_noop("The node no longer names it."))


def take_instances(gpu: Device, said: Iterable[dict[str, Any]], *, confirmed: bool) -> None:
    """The instances of a GPU as its node names them: new ones become devices, which begin in cleaning.

    `confirmed`: an operator ordered them. One whose place in memory is not told is kept, and is not lent.
    """
    instances = list(said)
    known = {each.uuid: each for each in Device.objects.filter(uuid__in=[row["uuid"] for row in instances])}
    actor = SystemActor(f"node {gpu.node.name}")
    for row in instances:
        device, place = known.get(row["uuid"]), _place(row)
        if device is None:
            device = _new_instance(gpu, row, place, confirmed)
            record(actor=actor, verb="device.register", target=device, changes=row)
        elif device.parent_id != gpu.pk:
            DeviceEvent.objects.create(node=gpu.node, kind="uuid_of_another_node", detail=row, at=timezone.now())
            continue
        else:
            _refresh(device, row, place, confirmed)
            if device.state == "retired":
                device_verbs.make_again(actor=actor, devices=[device.pk], reason=MADE_AGAIN)
    cut = bool(instances or gpu.layout)
    if gpu.set_aside != cut:
        gpu.set_aside = cut
        gpu.save(update_fields=["set_aside"])


def restore_lost(node: Node, reported: Iterable[dict[str, Any]]) -> None:
    """A reboot or a reset takes every instance away: what an operator wanted is ordered again."""
    told = {row["uuid"]: Counter(each["profile"] for each in row.get("mig_instances") or ()) for row in reported}
    for gpu in node.devices.filter(parent=None, uuid__in=told).exclude(layout=[]).select_related("node", "gpu_class"):
        wanted: Layout = tuple((name, start) for name, start in gpu.layout)
        if Counter(name for name, _start in wanted) - told[gpu.uuid] and not _pending(gpu):
            _send(gpu, wanted)
            changes = {"layout": [gpu.layout, gpu.layout], "reason": "lost"}
            record(actor=SystemActor(f"node {node.name}"), verb="device.partition", target=gpu, changes=changes)


def _send(gpu: Device, layout: Layout) -> None:
    """One command for the node, in the next generation; what goes is not lent from now on."""
    gpu.layout = [[name, start] for name, start in layout]
    gpu.set_aside = gpu.set_aside or bool(layout)
    gpu.save(update_fields=["layout", "set_aside"])
    leaving = {each.pk for each in going(gpu, layout)}
    instances = gpu.instances.exclude(state="retired")
    instances.filter(pk__in=leaving).update(set_aside=True)
    instances.exclude(pk__in=leaving).update(set_aside=False)
    now = timezone.now()
    last = NodeCommand.objects.filter(node=gpu.node, lease_ref=gpu.public_id).order_by("generation").last()
    payload = {
        "device_uuids": [gpu.uuid],
        "login": NOBODY,
        "starts_at": now.isoformat(),
        "hard_end": (now + DEADLINE).isoformat(),
        "layout": gpu.layout,
    }
    generation = last.generation + 1 if last else 1
    DatabaseOutbox().put(
        [CommandOrder(gpu.node.name, VERB, gpu.public_id, generation, now + DEADLINE, payload)],
    )


def _give_up(gpu: Device) -> None:
    """The node could not: the GPU is what it was before, as far as the portal knows."""
    there = _there(gpu)
    gpu.instances.filter(set_aside=True).update(set_aside=False)
    gpu.layout = [[name, start] for name, start in there]
    gpu.set_aside = gpu.instances.exclude(state__in=("offline", "retired")).exists()
    gpu.save(update_fields=["layout", "set_aside"])


def _gpu_of(command: NodeCommand) -> Device | None:
    rows = device_verbs.lock(command.node.devices.filter(uuid__in=command.payload["device_uuids"]))
    return rows[0] if rows else None


def _pending(gpu: Device) -> bool:
    return NodeCommand.objects.filter(node=gpu.node, lease_ref=gpu.public_id, state="pending").exists()


def _instances(gpu: Device) -> list[Device]:
    return list(gpu.instances.exclude(state="retired").order_by("pk"))


def _there(gpu: Device) -> Layout:
    found = ((each.profile, _start(each)) for each in _instances(gpu) if each.state not in GONE)
    return tuple((name, start) for name, start in found if start is not None)


def _start(instance: Device) -> int | None:
    return instance.slices.lower if instance.slices else None


def _place(row: dict[str, Any]) -> NumericRange | None:
    start, size = row.get("start"), row.get("size")
    return None if start is None or size is None else NumericRange(start, start + size)


def _new_instance(gpu: Device, row: dict[str, Any], place: NumericRange | None, confirmed: bool) -> Device:
    made = Device.objects.create(
        node=gpu.node,
        uuid=row["uuid"],
        index=gpu.index,
        gpu_class=gpu.gpu_class,
        serial=gpu.serial,
        pci_bus_id=gpu.pci_bus_id,
        memory_mib=row["memory_mib"],
        parent=gpu,
        profile=row["profile"],
        slices=place,
        health=gpu.health,
        health_reasons=gpu.health_reasons,
        xid_level=gpu.xid_level,
        awaiting_confirmation=not (confirmed or _is_wanted(gpu, row)),
        facts={name: row[name] for name in ("gpu_instance", "compute_instance")},
    )
    spells.keep([made])
    return made


def _is_wanted(gpu: Device, row: dict[str, Any]) -> bool:
    return [row["profile"], row.get("start")] in gpu.layout


def _refresh(device: Device, row: dict[str, Any], place: NumericRange | None, confirmed: bool) -> None:
    device.profile, device.slices = row["profile"], place or device.slices
    device.awaiting_confirmation = device.awaiting_confirmation and not confirmed
    device.index = device.parent.index if device.parent else device.index
    device.save(update_fields=["profile", "slices", "awaiting_confirmation", "index"])
