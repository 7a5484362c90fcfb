"""Questions about the machines."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.utils import timezone

from cluster.models import (
    Device,
    DeviceEvent,
    GpuClass,
    Grant,
    Handover,
    MaintenanceWindow,
    Node,
    Pool,
    XidPolicy,
)

GONE = ("offline", "quarantined", "rma", "retired")
CHECK_EVERY = timedelta(days=7)
LENDABLE = ("ok", "warn")
"""Health of a device that can be lent."""
WELL = Q(node__state="ready", health__in=LENDABLE, awaiting_confirmation=False) & ~Q(state__in=GONE)
"""Of devices: there, confirmed, not ill, on a node that takes leases. One that is cut up is so, too."""


def gpu_class_choices() -> list[tuple[str, str]]:
    """(code, name) of every GPU class, for forms."""
    return [(code, str(name)) for code, name in GpuClass.objects.order_by("code").values_list("code", "name")]


def pool_choices() -> list[tuple[str, str, str]]:
    """(public id, name, code of its GPU class) of every pool, for forms."""
    rows = Pool.objects.order_by("name").values_list("public_id", "name", "gpu_class__code")
    return [(pool, str(name), code) for pool, name, code in rows]


def grants_of(lease_ref: str) -> QuerySet[Grant]:
    """The logins of a lease, one a node."""
    return Grant.objects.filter(lease_ref=lease_ref).select_related("node").order_by("node__name")


def handovers_of(lease_ref: str) -> QuerySet[Handover]:
    """The evidence of a lease, by device and moment."""
    return Handover.objects.filter(lease_ref=lease_ref).select_related("device__node").order_by("device_id", "-moment")


def bookable_devices(*pools: Pool | int, profile: str | None = "") -> QuerySet[Device]:
    """Devices of these pools (or of their keys) that may be promised: there, confirmed, not ill, on a node that takes
    leases.

    Whole GPUs that are not cut; with `profile` MIG instances of that kind, with None all of both.
    """
    wanted = Q() if profile is None else Q(profile=profile)
    told = Q(parent=None) | Q(slices__isnull=False)
    there = Q(node__pool=pools[0]) if len(pools) == 1 else Q(node__pool__in=pools)
    rows = Device.objects.filter(wanted, told, WELL, there, set_aside=False)
    return rows.select_related("node", "gpu_class").order_by("pk")


def profiles_in(*pools: Pool) -> dict[str, tuple[int, int]]:
    """The MIG profiles of which these pools have instances, the smallest first, each with (memory slices, of how many).

    One query. Whether any of them can be booked now is another question: what is being cleaned counts.
    """
    there = Device.objects.filter(node__pool__in=pools, slices__isnull=False, set_aside=False).exclude(state="retired")
    told: Any = there.order_by().values_list("profile", "slices", "gpu_class__memory_slices").distinct()
    sizes = {profile: (slices.upper - slices.lower, whole) for profile, slices, whole in told}
    return dict(sorted(sizes.items(), key=lambda row: (row[1], row[0])))


def with_instances(device: Device) -> list[int]:
    """A GPU and its MIG instances, by key: what happens to the one happens to all."""
    rows = Device.objects.filter(Q(pk=device.pk) | Q(parent_id=device.pk)).exclude(state="retired")
    return sorted({device.pk, *rows.values_list("pk", flat=True)})


def checked_before(devices: QuerySet[Device]) -> QuerySet[Device]:
    """Those of the devices whose regular check is due: none has passed for a week."""
    return devices.filter(Q(checked_at=None) | Q(checked_at__lt=timezone.now() - CHECK_EVERY))


def maintenance_between(starts_at: datetime, ends_at: datetime) -> QuerySet[MaintenanceWindow]:
    """Announced windows, not cancelled, that touch [starts_at, ends_at)."""
    return MaintenanceWindow.objects.filter(cancelled_at=None, starts_at__lt=ends_at, ends_at__gt=starts_at)


def devices_to_check(node: Node) -> list[str]:
    """UUIDs of the devices of a node that need proof that they are empty and healthy.

    Those in `cleaning`; the free ones whose weekly check is due; on a node that was unreachable all free ones, before
    anything is promised there again. Of a GPU that is cut up its instances are checked, not itself.
    """
    lendable = node.devices.filter(set_aside=False)
    free = lendable.filter(state="available")
    due = free if node.state == "fenced" else checked_before(free)
    cleaning = lendable.filter(state="cleaning")
    return [str(uuid) for uuid in (cleaning | due).order_by("index").values_list("uuid", flat=True)]


def with_meaning(events: QuerySet[DeviceEvent]) -> QuerySet[DeviceEvent]:
    """Newest first; an XID to which the site gave words of its own carries them as `own_meaning`. Still one query."""
    number = Cast(KeyTextTransform("xid", OuterRef("detail")), IntegerField())
    own = XidPolicy.objects.filter(xid=number).values("note")[:1]
    return events.order_by("-at").annotate(own_meaning=Subquery(own))
