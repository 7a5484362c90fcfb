"""Booking a window: the choice, the checks, the promise."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from allocations.models import Allocation, Lease, LedgerEntry
from allocations.rules import may_book
from allocations.selectors.availability import free_devices, next_free_window
from allocations.services import checks, ledger, placing, telling
from allocations.services.placing import LostRace
from audit import services as audit
from cluster.models import Device
from common.errors import RuleBroken
from common.permissions import require

log = logging.getLogger(__name__)

DEADLOCK_RETRIES = 5
RACE_RETRIES = 25  # each lost race is another booking that succeeded, so a queue of writers always gets shorter
_EXCLUSION, _DEADLOCK, _SERIALIZATION = "23P01", "40P01", "40001"


def book(
    *,
    actor: Any,
    allocation: Allocation,
    device_count: int,
    starts_at: datetime,
    ends_at: datetime,
    note: str = "",
    devices: Sequence[Device] | None = None,
) -> Lease:
    """Reserve devices for a window under an allocation; the lease, in state scheduled.

    `devices` names the ones to take (else the service chooses). RuleBroken says which rule refused, with figures; its
    code is `no_free_devices` when somebody else holds them, with facts next_start and next_end.
    """
    deadlocks = 0
    for _turn in range(RACE_RETRIES):
        try:
            return _book(
                actor=actor,
                allocation=allocation,
                device_count=device_count,
                starts_at=starts_at,
                ends_at=ends_at,
                note=note,
                devices=devices,
            )
        except LostRace:
            if devices is not None:
                break
        except DatabaseError as error:
            code = getattr(error.__cause__, "pgcode", None)
            if code not in (_EXCLUSION, _DEADLOCK, _SERIALIZATION):
                raise
            deadlocks += code != _EXCLUSION
            log.warning("booking under %s again after %s", allocation.public_id, code)
            if deadlocks > DEADLOCK_RETRIES or (devices is not None and code == _EXCLUSION):
                break
    raise no_free_devices(allocation, device_count, starts_at, ends_at)


@transaction.atomic
def _book(
    *,
    actor: Any,
    allocation: Allocation,
    device_count: int,
    starts_at: datetime,
    ends_at: datetime,
    note: str,
    devices: Sequence[Device] | None,
) -> Lease:
    now = timezone.now()
    allocation = checks.lock_allocation(allocation.pk)
    require(actor, may_book, allocation)
    starts_at, ends_at = checks.window(starts_at, ends_at, now)
    checks.allocation_covers(allocation, starts_at, ends_at)
    checks.concurrency(allocation, device_count, starts_at, ends_at)
    hold = checks.balance_suffices(allocation, device_count, starts_at, ends_at)
    chosen = _take(allocation, device_count, starts_at, ends_at, now, devices)
    lease = Lease.objects.create(
        allocation=allocation,
        booked_by=actor,
        device_count=device_count,
        starts_at=starts_at,
        ends_at=ends_at,
        note=note,
    )
    placing.place(lease, chosen, starts_at, ends_at)
    ledger.enter(allocation, LedgerEntry.Kind.HOLD, -hold, actor=actor, lease=lease)
    changes = {
        "allocation": allocation.public_id,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "held_device_seconds": hold,
        "devices": [device.public_id for device in chosen],
    }
    audit.record(actor=actor, verb="lease.book", target=lease, changes=changes)
    telling.tell_booker(lease, "lease_booked")
    return lease


def _take(
    allocation: Allocation,
    count: int,
    starts_at: datetime,
    ends_at: datetime,
    now: datetime,
    named: Sequence[Device] | None,
) -> list[Device]:
    pool, tenant = allocation.pool, allocation.project.organisation_id
    free = free_devices(pool, starts_at, ends_at, tenants=[tenant], now=now)
    if named is not None:
        checks.named_devices(named, count)
        free = free.filter(pk__in=[device.pk for device in named])
    chosen = placing.choose(list(free), count, placing.own_nodes(pool, tenant, starts_at, ends_at))
    if chosen is None:
        raise no_free_devices(allocation, count, starts_at, ends_at)
    locked = placing.lock(device.pk for device in chosen)
    placing.check_bookable(pool, (device.pk for device in locked), starts_at, ends_at)
    placing.check_free(locked, starts_at, ends_at, tenant=tenant)
    return locked


def no_free_devices(allocation: Allocation, count: int, starts_at: datetime, ends_at: datetime) -> RuleBroken:
    """The refusal when others hold the devices, or the nodes, with the next free window as its remedy."""
    pool, tenants = allocation.pool, [allocation.project.organisation_id]
    after = max(starts_at, timezone.now())
    length = max(ends_at - starts_at, timedelta(minutes=1))
    offer = next_free_window(pool, count, length, after, tenants=tenants)
    remedy = _("The pool %(pool)s never has that many GPUs free together. Ask for fewer.") % {"pool": pool.name}
    facts: dict[str, Any] = {"asked": count, "pool": pool.name, "next_start": None, "next_end": None}
    if offer:
        start, end = offer
        facts |= {"next_start": start.isoformat(), "next_end": end.isoformat()}
        remedy = _("The next free window of this length is from %(start)s to %(end)s.") % {
            "start": telling.local(start),
            "end": telling.local(end),
        }
    message = _("In this window %(count)s GPUs are not free: somebody else has reserved them.") % {"count": count}
    if not pool.shared_nodes and free_devices(pool, starts_at, ends_at).count() >= count:
        message = _(
            "In this window %(count)s GPUs are free only on nodes that another organisation holds; this pool lends a "
            "node to one organisation at a time."
        ) % {"count": count}
        facts["whole_nodes"] = True
    return RuleBroken(message, code="no_free_devices", remedy=remedy, facts=facts)
