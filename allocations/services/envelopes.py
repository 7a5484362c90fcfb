"""Capacity promises: an award holds devices on its pool before anybody names them.

An envelope is made with the award, becomes the allocation's when the partner accepts, and is let go when they refuse or
the allocation ends. Its devices are pinned here; services/keeping.py writes the placements that keep others off.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from allocations import shapes
from allocations.models import Allocation, Envelope, Pin, Placement
from allocations.selectors.availability import free_devices, own_nodes
from allocations.selectors.envelopes import pins_in_trouble
from allocations.services import keeping, placing, waking
from allocations.services.telling import local
from audit import services as audit
from cluster.models import Device, Pool
from common.actors import RECONCILER
from common.errors import RuleBroken
from partners.models import Organisation

JUST_LET_GO = timedelta(hours=1)
"""So long after the end of a promise what it kept is looked for once more."""


def hold(
    *,
    actor: Any,
    pool: Pool,
    organisation: Organisation,
    gpus: int,
    starts_at: datetime,
    ends_at: datetime,
    award_ref: str,
) -> Envelope:
    """Promise an award so many GPUs of a pool at every moment of [starts_at, ends_at), from now on at the earliest.

    RuleBroken (`no_capacity`) where so many are not free throughout, with the number that is. The caller answers for
    the permission, and runs it anew after LostRace.
    """
    starts_at = max(starts_at, timezone.now())
    free = list(free_devices(pool, starts_at, ends_at, tenants=[organisation.pk]))
    chosen = shapes.choose(free, gpus, shapes.ANY, own_nodes(pool, organisation.pk, starts_at, ends_at))
    if chosen is None:
        raise RuleBroken(
            ngettext(
                "The pool %(pool)s has %(free)s GPU that nobody holds from %(start)s to %(end)s.",
                "The pool %(pool)s has %(free)s GPUs that nobody holds from %(start)s to %(end)s.",
                len(free),
            )
            % {"pool": pool.name, "free": len(free), "start": local(starts_at), "end": local(ends_at)},
            code="no_capacity",
            remedy=_("Guarantee at most so many; the others of the award can be had when they are free."),
            field="guaranteed_gpus",
            facts={"rule": "capacity", "ceiling": len(free), "asked": gpus, "pool": pool.name},
        )
    devices = placing.lock(device.pk for device in chosen)
    envelope = Envelope(
        pool=pool, organisation=organisation, award_ref=award_ref, gpus=gpus, starts_at=starts_at, ends_at=ends_at
    )
    placing.check_untouched(devices, starts_at, ends_at + pool.turnaround, pool=pool, tenant=organisation.pk)
    envelope.save()
    _pin(envelope, devices, starts_at, ends_at + pool.turnaround)
    changes = {
        "award": award_ref,
        "pool": pool.name,
        "gpus": gpus,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "devices": [device.public_id for device in devices],
    }
    audit.record(actor=actor, verb="envelope.hold", target=envelope, changes=changes)
    return envelope


def attach(*, actor: Any, envelope: Envelope, allocation: Allocation) -> None:
    """The award was accepted: the promise is the allocation's from now on."""
    envelope.allocation = allocation
    envelope.save(update_fields=["allocation"])
    allocation.guaranteed_gpus = envelope.gpus
    allocation.save(update_fields=["guaranteed_gpus"])
    audit.record(actor=actor, verb="envelope.attach", target=envelope, changes={"allocation": allocation.public_id})


@transaction.atomic
def let_go(*, actor: Any, envelope: Envelope, reason: str) -> None:
    """The promise is over: what it keeps is free for everybody. A repeat changes nothing."""
    envelope = Envelope.objects.select_for_update(no_key=True).get(pk=envelope.pk)
    if envelope.let_go_at is not None:
        return
    envelope.let_go_at = timezone.now()
    envelope.save(update_fields=["let_go_at"])
    envelope.placements.filter(released=False).delete()
    envelope.pins.all().delete()
    waking.wake(envelope.pool_id)
    audit.record(actor=actor, verb="envelope.let_go", target=envelope, changes={"reason": reason})


def displace(
    *, actor: Any, devices: Iterable[Device], start: datetime, end: datetime, reason: str, force: bool
) -> dict[Envelope, int]:
    """Take these devices out of every promise for a time, with others in their stead; by how many each falls short.

    RuleBroken (`guarantees`) where others are not to be had, unless `force`. The caller has locked the devices.
    """
    leaving = {device.pk: device for device in devices}
    touched = Pin.objects.filter(device__in=leaving, since__lt=end, until__gt=start, envelope__let_go_at=None)
    short: dict[Envelope, int] = {}
    for pin in touched.select_related("envelope__pool", "envelope__organisation").order_by("envelope_id", "device_id"):
        envelope, device = pin.envelope, leaving[pin.device_id]
        since, until = max(pin.since, start), min(pin.until, end)
        _cut(pin, since, until)
        keeping.keep_all(envelope, [device])
        if not _substitute(envelope, since, until, set(leaving)):
            short[envelope] = short.get(envelope, 0) + 1
        changes = {"device": device.public_id, "since": since, "until": until, "reason": reason}
        audit.record(actor=actor, verb="envelope.displace", target=envelope, changes=changes)
    if short and not force:
        raise RuleBroken(
            _("GPUs are guaranteed to awards then, and the pool has no others for them: %(names)s.")
            % {"names": ", ".join(f"{envelope.organisation.name} ({count})" for envelope, count in short.items())},
            code="guarantees",
            remedy=_("Choose another time, or say that it must be: the capacity board shows what is missing then."),
            facts={"envelopes": {envelope.public_id: count for envelope, count in short.items()}},
        )
    return short


def mend(now: datetime) -> int:
    """Devices that are out of service make way for others in the promises that they kept; how many. Called by the tick.

    What cannot be replaced now is tried again at the next tick; the capacity board shows it meanwhile.
    """
    _sweep(now)
    mended = 0
    full: set[int] = set()
    for pin in pins_in_trouble(now):
        if pin.envelope.pool_id in full:
            continue
        try:
            done = _mend(pin.pk, now)
        except placing.LostRace:
            continue
        mended += done
        if not done:
            full.add(pin.envelope.pool_id)
    return mended


@transaction.atomic
def _sweep(now: datetime) -> None:
    """Whoever was keeping a promise while it was let go may have written after that: nobody is kept off by it."""
    over = Envelope.objects.filter(let_go_at__gt=now - JUST_LET_GO, ends_at__gt=now)
    kept = Placement.objects.filter(envelope__in=over, released=False)
    for pool_id in set(kept.order_by().values_list("node__pool", flat=True)):
        waking.wake(pool_id)
    kept.delete()
    Pin.objects.filter(envelope__in=over).delete()


@transaction.atomic
def _mend(pk: int, now: datetime) -> bool:
    pin = Pin.objects.select_for_update(skip_locked=True, of=("self",), no_key=True).filter(pk=pk).first()
    if pin is None:
        return True
    envelope = Envelope.objects.select_related("pool", "organisation").get(pk=pin.envelope_id)
    since = max(pin.since, now)
    if not _substitute(envelope, since, pin.until, {pin.device_id}):
        return False
    device = Device.objects.select_related("gpu_class").get(pk=pin.device_id)
    until = pin.until
    _cut(pin, since, until)
    keeping.keep_all(envelope, [device])
    changes = {"device": device.public_id, "since": since, "until": until, "reason": "out of service"}
    audit.record(actor=RECONCILER, verb="envelope.displace", target=envelope, changes=changes)
    return True


def _substitute(envelope: Envelope, since: datetime, until: datetime, but: set[int]) -> bool:
    """Pin another free device of the pool for [since, until); False where there is none."""
    pool, tenant = envelope.pool, envelope.organisation_id
    free = free_devices(pool, since, until, tenants=[tenant]).exclude(pk__in=but)
    chosen = shapes.choose(list(free), 1, shapes.ANY, own_nodes(pool, tenant, since, until))
    if chosen is None:
        return False
    devices = placing.lock(device.pk for device in chosen)
    placing.check_untouched(devices, since, until, pool=pool, tenant=tenant)
    _pin(envelope, devices, since, until)
    return True


def _pin(envelope: Envelope, devices: list[Device], since: datetime, until: datetime) -> None:
    Pin.objects.bulk_create(Pin(envelope=envelope, device=device, since=since, until=until) for device in devices)
    keeping.keep_all(envelope, devices)


def _cut(pin: Pin, since: datetime, until: datetime) -> None:
    """The pin without [since, until): nothing, one or two pins remain."""
    rest = [(pin.since, since), (until, pin.until)]
    pin.delete()
    Pin.objects.bulk_create(
        Pin(envelope_id=pin.envelope_id, device_id=pin.device_id, since=start, until=end)
        for start, end in rest
        if start < end
    )
