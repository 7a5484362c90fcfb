"""Checks of devices that no lease is about: what is kept of them."""

from typing import Any

from django.utils import timezone

from cluster.models import Device, Inspection, Node


def keep(*, node: Node, checks: list[dict[str, Any]]) -> list[Inspection]:
    """Keep what a node's checks of its idle devices found; the rows that were written.

    A device that passes is due again in a week. One that fails is checked with every heartbeat: of those only the first
    failure, and one for other reasons, is kept.
    """
    found = {check["uuid"]: check for check in checks}
    devices = list(Device.objects.filter(node=node, uuid__in=found))
    newest = {row.device_id: row for row in _newest(devices)}
    now, kept = timezone.now(), []
    for device in devices:
        check = found[device.uuid]
        before = newest.get(device.pk)
        if check["passed"]:
            device.checked_at = now
        elif before is not None and not before.passed and _failing(before.checks) == _failing(check["checks"]):
            continue
        elif before is None and not check["checks"]:
            continue  # nothing was looked at
        kept.append(
            Inspection(
                device=device, passed=check["passed"], checks=check["checks"], reading=check.get("reading"), at=now
            )
        )
    Device.objects.bulk_update([row.device for row in kept if row.passed], ["checked_at"])
    Inspection.objects.bulk_create(kept)
    return kept


def _newest(devices: list[Device]) -> list[Inspection]:
    return list(
        Inspection.objects.filter(device__in=[device.pk for device in devices])
        .order_by("device_id", "-at")
        .distinct("device_id")
    )


def _failing(checks: list[dict[str, Any]]) -> set[str]:
    return {check["code"] for check in checks if not check["passed"]}
