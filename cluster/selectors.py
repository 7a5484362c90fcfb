"""Questions about the machines."""

from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from cluster.models import Device, GpuClass, Grant, Handover, MaintenanceWindow, Node, NodeCommand, Pool

GONE = ("offline", "quarantined", "rma", "retired")
CHECK_EVERY = timedelta(days=7)
BOOKABLE = Q(node__state="ready", health__in=("ok", "warn"), awaiting_confirmation=False) & ~Q(state__in=GONE)
"""Of devices: there, confirmed, not ill, on a node that takes leases."""


def gpu_class_choices() -> list[tuple[str, str]]:
    """(code, name) of every GPU class, for forms."""
    return [(code, str(name)) for code, name in GpuClass.objects.order_by("code").values_list("code", "name")]


def pending_commands(node_id: int) -> QuerySet[NodeCommand]:
    """What a node has not answered yet, oldest first."""
    return NodeCommand.objects.filter(node_id=node_id, state="pending").select_related("node").order_by("id")


def grants_of(lease_ref: str) -> QuerySet[Grant]:
    """The logins of a lease, one a node."""
    return Grant.objects.filter(lease_ref=lease_ref).select_related("node").order_by("node__name")


def handovers_of(lease_ref: str) -> QuerySet[Handover]:
    """The evidence of a lease, by device and moment."""
    return Handover.objects.filter(lease_ref=lease_ref).select_related("device__node").order_by("device_id", "-moment")


def bookable_devices(*pools: Pool) -> QuerySet[Device]:
    """Devices of these pools that may be promised: there, confirmed, not ill, on a node that takes leases."""
    rows = Device.objects.filter(BOOKABLE, node__pool__in=pools)
    return rows.select_related("node", "gpu_class").order_by("pk")


def checked_before(devices: QuerySet[Device]) -> QuerySet[Device]:
    """Those of the devices whose regular check is due: none has passed for a week."""
    return devices.filter(Q(checked_at=None) | Q(checked_at__lt=timezone.now() - CHECK_EVERY))


def maintenance_between(starts_at: datetime, ends_at: datetime) -> QuerySet[MaintenanceWindow]:
    """Announced windows, not cancelled, that touch [starts_at, ends_at)."""
    return MaintenanceWindow.objects.filter(cancelled_at=None, starts_at__lt=ends_at, ends_at__gt=starts_at)


def devices_to_check(node: Node) -> list[str]:
    """UUIDs of the devices of a node that need proof that they are empty and healthy.

    Those in `cleaning`; the free ones whose weekly check is due; on a node that was unreachable all free ones, before
    anything is promised there again.
    """
    free = node.devices.filter(state="available")
    due = free if node.state == "fenced" else checked_before(free)
    cleaning = node.devices.filter(state="cleaning")
    return [str(uuid) for uuid in (cleaning | due).order_by("index").values_list("uuid", flat=True)]
