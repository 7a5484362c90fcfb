"""Announced work takes its node's devices like a lease does: one placement a device, that the database guards."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from allocations.models import Placement
from allocations.services import envelopes
from allocations.services.ending import TAKEN_BACK, reopen_windows
from allocations.services.retrying import retried
from allocations.services.telling import local
from audit import services as audit
from cluster.models import Device, MaintenanceWindow, Node
from cluster.selectors import maintenance_between
from cluster.services import maintenance
from common.actors import RECONCILER
from common.errors import RuleBroken

_MOMENT = timedelta(microseconds=1)


def announce(
    *, actor: Any, node: Node, starts_at: datetime, ends_at: datetime, reason: str, force: bool = False
) -> MaintenanceWindow:
    """Announce work and take the node's devices for it. The caller has locked them and seen to whoever had them.

    What was guaranteed there is guaranteed on other devices meanwhile; RuleBroken where there are none, unless `force`.
    RuleBroken where work is announced on this node for that time already. A lease that is just being taken back keeps
    its devices no longer than until the work begins; they are with whoever works on them then.
    """
    for other in maintenance_between(starts_at, ends_at).filter(node=node)[:1]:
        raise RuleBroken(
            _("Work is announced on this node from %(start)s to %(end)s already.")
            % {"start": local(other.starts_at), "end": local(other.ends_at)},
            code="announced_already",
            remedy=_("Cancel that window first, or choose another time."),
            field="starts_at",
            facts={"window": other.public_id},
        )
    window = maintenance.announce(actor=actor, node=node, starts_at=starts_at, ends_at=ends_at, reason=reason)
    devices = list(_gpus_of(node).order_by("pk"))
    begin = max(starts_at, timezone.now())
    envelopes.displace(actor=actor, devices=devices, start=begin, end=ends_at, reason=window.public_id, force=force)
    _cut_returning(devices, begin, ends_at)
    _cover(window, devices, begin)
    return window


@retried
def cancel(*, actor: Any, window: MaintenanceWindow, reason: str) -> MaintenanceWindow:
    """The devices are free in this window after all."""
    cancelled = maintenance.cancel(actor=actor, window=window, reason=reason)
    begun = Q(window__startswith__lte=timezone.now())
    cancelled.placements.exclude(begun).delete()
    cancelled.placements.update(released=True)
    reopen_windows({cancelled.node_id})
    return cancelled


def cover_newcomers(now: datetime) -> int:
    """Devices that came to a node after work on it was announced are part of it; how many. One query without work."""
    found = 0
    for window in MaintenanceWindow.objects.filter(cancelled_at=None, ends_at__gt=now).select_related("node"):
        covered = Placement.objects.filter(maintenance=window, device_id=OuterRef("pk"))
        for device in _gpus_of(window.node).filter(~Exists(covered)):
            found += _cover_newcomer(window, device, now)
    return found


def _cover_newcomer(window: MaintenanceWindow, device: Device, now: datetime) -> int:
    try:
        with transaction.atomic():
            _cover(window, [device], max(window.starts_at, now))
            changes = {"window": window.public_id, "device": device.public_id}
            audit.record(actor=RECONCILER, verb="node.cover_device", target=window.node, changes=changes)
    except IntegrityError:  # a lease has it: the next tick tries again
        return 0
    return 1


def _gpus_of(node: Node) -> QuerySet[Device]:
    """Whole GPUs: taking one takes every MIG instance of it."""
    return node.devices.filter(parent=None).exclude(state="retired").select_related("gpu_class")


def _cover(window: MaintenanceWindow, devices: Iterable[Device], begin: datetime) -> None:
    Placement.objects.bulk_create(
        Placement(
            maintenance=window,
            device=device,
            board=device,
            slices=NumericRange(0, device.gpu_class.memory_slices),
            window=DateTimeTZRange(begin, window.ends_at),
            node_id=device.node_id,
            shared=True,
        )
        for device in devices
    )


def _cut_returning(devices: Iterable[Device], begin: datetime, end: datetime) -> None:
    rows = list(
        Placement.objects.filter(
            board__in=list(devices), released=False, lease__state__in=TAKEN_BACK, window__overlap=(begin, end)
        )
    )
    for row in rows:  # one that was taken back before its start would end before it begins
        row.window = DateTimeTZRange(min(row.window.lower, begin - _MOMENT), begin)
    Placement.objects.bulk_update(rows, ["window"])
