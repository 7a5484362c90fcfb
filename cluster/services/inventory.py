"""What a node says it has, made into devices; and what it says of their health."""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext_noop

from audit.services import record
from cluster.lifecycle import NODE
from cluster.models import Device, DeviceEvent, GpuClass, Node
from cluster.selectors import GONE, checked_before
from cluster.services import devices as device_verbs
from cluster.services import layouts, refusals, spells
from cluster.services.devices import XID_MARK
from cluster.services.inspections import keep as keep_inspections
from cluster.services.nodes import Hello, devices_of, hear
from cluster.services.policies import LEVELS, level_of, rule_for
from common.actors import SystemActor

MAX_EVENTS = 200
STALLED = "STALLED"
"""The agent's word for a device that hangs inside the driver."""
HEALTH = set(LEVELS)
HELLO_FIELDS = ("agent_version", "driver_version", "ssh_host", "ssh_port", "ssh_host_key", "topology")
OF_ITS_OWN = ("uuid", "index", "name", "serial", "pci_bus_id", "memory_mib", "power_limit_watts")
"""What of the inventory has a column; the rest is kept as facts."""


@transaction.atomic
def take_hello(*, node: Node, hello: Hello) -> Node:
    """An agent has started: its facts, its devices, and which of the free ones it found empty and healthy."""
    device_verbs.lock(node.devices.all())
    node = hear(node=node, boot_id=hello.boot_id, sent_at=hello.sent_at)
    for attribute in HELLO_FIELDS:
        setattr(node, attribute, getattr(hello, attribute))
    node.save(update_fields=HELLO_FIELDS)
    known = devices_of(node)
    _add_new(node, hello.devices, known)
    silent = [fault for fault in hello.faults if fault["code"] == STALLED]
    _notice_missing(node, hello.devices, known, silent)
    _note_faults(node, hello.faults, known)
    layouts.restore_lost(node, hello.devices)
    confirm_idle(node=node, checks=hello.checks)
    return node


@transaction.atomic
def confirm_idle(*, node: Node, checks: list[dict[str, Any]]) -> None:
    """Devices in `cleaning` that no lease works on and that the node found empty and healthy become available."""
    known = {device.uuid: device for device in device_verbs.lock(node.devices.all())}
    # A GPU that is cut up is not to be handed over, and does not pass: what is lent of it is checked by itself.
    checks = [check for check in checks if check["uuid"] not in known or not known[check["uuid"]].is_cut]
    keep_inspections(node=node, checks=checks)
    passed = {check["uuid"] for check in checks if check.get("passed")}
    waiting = list(Device.objects.filter(node=node, state="cleaning", uuid__in=passed).values_list("pk", flat=True))
    busy = import_string(settings.DEVICES_IN_WORK)(waiting) if waiting else set()
    ids = [pk for pk in waiting if pk not in busy]
    actor = SystemActor(f"node {node.name}")
    if ids:
        device_verbs.confirm_clean(actor=actor, devices=ids, reason=gettext_noop("Found empty and healthy."))
    _quarantine_failed(node, checks, actor)
    node = Node.objects.select_for_update(no_key=True).get(pk=node.pk)
    if node.state == "fenced":
        _try_to_trust_again(node, {check["uuid"]: check["passed"] for check in checks})


def _quarantine_failed(node: Node, checks: list[dict[str, Any]], actor: SystemActor) -> None:
    """A free device that was due for its check and failed it is not lent any more."""
    failed = [check["uuid"] for check in checks if not check["passed"]]
    due = checked_before(node.devices.filter(state="available", uuid__in=failed))
    ids = list(due.values_list("pk", flat=True))
    if ids and node.state != "fenced":
        device_verbs.quarantine(actor=actor, devices=ids, reason=gettext_noop("It failed its regular check."))


def _try_to_trust_again(node: Node, passed: dict[str, bool]) -> None:
    """Once unreachable, a node takes leases again when nothing waits for cleaning and the free devices are proved."""
    actor = SystemActor(f"node {node.name}")
    lendable = node.devices.filter(set_aside=False)
    free = dict(lendable.filter(state="available").values_list("uuid", "pk"))
    bad = [pk for uuid, pk in free.items() if passed.get(uuid) is False]
    if bad:
        device_verbs.quarantine(
            actor=actor, devices=bad, reason=gettext_noop("Not clean after the node was unreachable.")
        )
    if free.keys() <= passed.keys() and not lendable.filter(state="cleaning").exists():
        node.state = NODE.next(node.state, "confirm_clean_drained" if node.drained else "confirm_clean")
        node.save(update_fields=["state"])
        record(actor=actor, verb="node.confirm_clean", target=node, changes={"state": ["fenced", node.state]})


@transaction.atomic
def take_health(*, node: Node, reports: list[dict[str, Any]]) -> None:
    """Keep what the agent says of each device's health; unknown UUIDs and words are left out.

    What an XID has shown stays on top of what NVML says now, until a fresh boot or an operator forgives it.
    """
    before = devices_of(node)
    reports = _for_instances(before, reports)
    news = _news_of(before, reports)
    if not news:  # as nearly always: a heartbeat that says nothing new waits for nobody
        return
    known = {device.uuid: device for device in device_verbs.lock(node.devices.filter(uuid__in=news))}
    changed = []
    for uuid, (health, reasons) in _news_of(known, reports).items():
        device = known[uuid]
        if device.health != health:
            record(
                actor=SystemActor(f"node {node.name}"),
                verb="device.health",
                target=device,
                changes={"health": [device.health, health], "reasons": reasons},
            )
        device.health, device.health_reasons = health, reasons
        changed.append(device)
    Device.objects.bulk_update(changed, ["health", "health_reasons"])
    spells.keep(changed)


def _for_instances(known: dict[str, Device], reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A MIG instance is as well as its GPU is; nobody measures it apart."""
    of_gpu: dict[int, list[str]] = {}
    for device in known.values():
        if device.parent_id is not None:
            of_gpu.setdefault(device.parent_id, []).append(device.uuid)
    if not of_gpu:
        return reports
    said = [report for report in reports if (gpu := known.get(str(report.get("uuid")))) and gpu.parent_id is None]
    return said + [
        {**report, "uuid": uuid} for report in said for uuid in of_gpu.get(known[str(report["uuid"])].pk, ())
    ]


def _news_of(known: dict[str, Device], reports: list[dict[str, Any]]) -> dict[str, tuple[str, list[str]]]:
    """By UUID, the health and its reasons where they differ from what is known."""
    said = {}
    for report in reports:
        device = known.get(str(report.get("uuid")))
        if device and report.get("health") in HEALTH:
            said[device.uuid] = _with_xids(device, report)
    return {uuid: news for uuid, news in said.items() if news != (known[uuid].health, known[uuid].health_reasons)}


@transaction.atomic
def take_events(*, node: Node, events: list[dict[str, Any]]) -> int:
    """Keep what happened on a node; how many were kept. An XID that means trouble marks the device at once."""
    known = {device.uuid: device for device in device_verbs.lock(node.devices.all())}
    rows, strange = [], 0
    for event in events[:MAX_EVENTS]:
        device = known.get(str(event.get("uuid")))
        if event.get("uuid") and device is None:
            strange += 1
            continue
        rows.append(_event(node, device, event))
    DeviceEvent.objects.bulk_create(rows)
    refusals.count(node=node, code="events_unknown_devices", times=strange)
    return len(rows)


def _event(node: Node, device: Device | None, said: dict[str, Any]) -> DeviceEvent:
    """One event; an XID gives its device the health of its rule at once."""
    detail, kind = said.get("detail") or {}, str(said["kind"])[:40]
    row = DeviceEvent(
        node=node, device=device, kind=kind, detail=detail, at=datetime.fromtimestamp(float(said["at"]), UTC)
    )
    xid = detail.get("xid")
    if device and kind == "xid" and isinstance(xid, int) and not isinstance(xid, bool):
        rule = rule_for(xid)
        row.partner_told = not rule.tell_partner
        level = level_of(device, xid, row.at, rule)
        if level != "ok":
            for each in (device, *device.instances.all()):
                _mark(each, xid, level)
            take_health(node=node, reports=[{"uuid": device.uuid, "health": level, "reasons": [f"{XID_MARK}{xid}"]}])
    return row


def _mark(device: Device, xid: int, level: str) -> None:
    """NVML does not show an XID again: what it made of the device stays until a fresh boot or an operator forgives."""
    device.xid_level = max(device.xid_level, level, key=LEVELS.index)
    device.save(update_fields=["xid_level"])


def _with_xids(device: Device, report: dict[str, Any]) -> tuple[str, list[str]]:
    marks = [reason for reason in device.health_reasons if reason.startswith(XID_MARK)]
    said = [str(reason)[:60] for reason in report.get("reasons", [])]
    level = max(str(report["health"]), device.xid_level, key=LEVELS.index)
    return level, list(dict.fromkeys([*marks, *said]))[:20]


def _add_new(node: Node, reported: list[dict[str, Any]], known: dict[str, Device]) -> None:
    classes = {gpu_class.nvml_name: gpu_class for gpu_class in GpuClass.objects.all()}
    vouched = node.trusts_first_inventory and not known
    for report in reported:
        device = known.get(report["uuid"])
        facts = {
            "index": report["index"],
            "serial": report.get("serial") or "",
            "pci_bus_id": report.get("pci_bus_id") or "",
            "memory_mib": report["memory_mib"],
            "power_limit_watts": report.get("power_limit_watts"),
            "facts": {name: value for name, value in report.items() if name not in OF_ITS_OWN and value is not None},
        }
        gpu_class = classes.get(report["name"])
        if device is not None:
            Device.objects.filter(pk=device.pk).update(**facts)
        elif gpu_class is None:
            DeviceEvent.objects.create(node=node, kind="unknown_gpu_class", detail=report, at=timezone.now())
        else:
            # Another node may say the same UUID in this very moment: the constraint decides, not a look before.
            fields = {"node": node, "gpu_class": gpu_class, "awaiting_confirmation": not vouched, **facts}
            device, is_new = Device.objects.get_or_create(uuid=report["uuid"], defaults=fields)
            if not is_new:
                DeviceEvent.objects.create(node=node, kind="uuid_of_another_node", detail=report, at=timezone.now())
                continue
            record(actor=SystemActor(f"node {node.name}"), verb="device.register", target=device, changes=report)
        if device is not None and device.parent_id is None and "mig_instances" in report:
            device.refresh_from_db()
            layouts.take_instances(device, report["mig_instances"], confirmed=vouched)


def _notice_missing(
    node: Node, reported: list[dict[str, Any]], known: dict[str, Device], silent: list[dict[str, Any]]
) -> None:
    """A device that hangs is not gone. Where not even its name could be asked, none is said to be gone this time."""
    silent_ones = {fault["uuid"] for fault in silent if fault.get("uuid")}
    seen = {report["uuid"] for report in reported} | silent_ones
    seen |= {each["uuid"] for report in reported for each in report.get("mig_instances") or ()}
    hanging = {known[uuid].pk for uuid in silent_ones if uuid in known}
    seen |= {device.uuid for device in known.values() if device.parent_id in hanging}
    if any(not fault.get("uuid") for fault in silent):
        seen |= {device.uuid for device in known.values() if device.state != "offline"}
    actor = SystemActor(f"node {node.name}")
    # What is quarantined stays so when it vanishes: only an operator brings it back, not a loose cable.
    gone = [d.pk for d in known.values() if d.uuid not in seen and d.state not in GONE]
    if gone:
        device_verbs.lose(actor=actor, devices=gone, reason=gettext_noop("The node no longer names it."))
    back = [d.pk for d in known.values() if d.uuid in seen and d.state == "offline"]
    if back:
        device_verbs.start_cleaning(actor=actor, devices=back, reason=gettext_noop("The node names it again."))


def _note_faults(node: Node, faults: list[dict[str, Any]], known: dict[str, Device]) -> None:
    """Devices that did not answer are named in the node's history; which index it was is all that some can say."""
    now = timezone.now()
    DeviceEvent.objects.bulk_create(
        DeviceEvent(node=node, device=known.get(str(fault.get("uuid"))), kind="no_inventory", detail=fault, at=now)
        for fault in faults
    )
