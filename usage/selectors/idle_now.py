"""What a running reservation could give back at this moment, and what would come back for it. Reads only."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Prefetch

from allocations.models import Allocation, Lease, Placement
from allocations.rules import may_end
from allocations.selectors.reshapes import charged_until
from allocations.selectors.rulebooks import bill_of, with_rules
from allocations.selectors.usage import use_since
from allocations.selectors.usage.figures import UsageSums
from allocations.selectors.windows import back_of_one, standing_of
from cluster.models import Device
from common.permissions import allowed
from partners.models import organisation_ids_of
from usage.selectors.parts import fitting_part

IDLE_FOR = timedelta(hours=1)
MEASURED_PART = 0.9
MOST_LEASES = 20


@dataclass(frozen=True)
class IdleNow:
    """GPUs of a reservation on which nothing has run for an hour, and the device-seconds that come back for them.

    `whole`: they are all that it has, and giving them back ends it.
    """

    devices: tuple[Device, ...]
    whole: bool
    back_seconds: int


def idle_now(lease: Lease, now: datetime) -> IdleNow | None:
    """None where nothing is idle, where too little is measured, or where it does not run: at most five queries."""
    return idle_of([lease], now).get(lease.pk)


def idle_of(leases: Iterable[Lease], now: datetime) -> dict[int, IdleNow]:
    """The same of several reservations, by their keys; those that could give nothing back are missing. Three queries,
    and for each whose devices were changed while it ran, or whose allocation came without its rules, one or two more.
    """
    since = now - IDLE_FOR
    asked = [lease for lease in leases if _runs(lease, now) and lease.active_at and lease.active_at <= since]
    if not asked:
        return {}
    rows = standing_of(asked)
    old = [row for each in rows.values() for row in each if row.used_from is None or row.used_from <= since]
    use = use_since([((row.lease_id, row.device_id), row.lease_id or 0, row.device_id, since) for row in old], now)
    idle: dict[int, set[int]] = defaultdict(set)
    for row in old:
        sums = use.get((row.lease_id, row.device_id))
        if row.lease_id is not None and sums is not None and _is_idle(sums):
            idle[row.lease_id].add(row.device_id)
    found = {lease.pk: _offer(lease, rows[lease.pk], idle[lease.pk], now) for lease in asked if idle[lease.pk]}
    return {pk: each for pk, each in found.items() if each is not None}


def offers(user: Any, now: datetime) -> list[tuple[Lease, IdleNow]]:
    """What this person could give back at this moment, of the running reservations of which they may do so: at most
    MOST_LEASES, those that run longest first.
    """
    rules = with_rules(Allocation.objects.select_related("project__organisation", "pool"))
    rows = Lease.objects.filter(
        allocation__project__organisation_id__in=organisation_ids_of(user),
        state="active",
        active_at__lte=now - IDLE_FOR,
        ends_at__gt=now,
    )
    running = rows.prefetch_related(Prefetch("allocation", rules)).order_by("-ends_at", "pk")[:MOST_LEASES]
    leases = [lease for lease in running if allowed(user, may_end, lease)]
    found = idle_of(leases, now)
    return [(lease, found[lease.pk]) for lease in leases if lease.pk in found]


def _runs(lease: Lease, now: datetime) -> bool:
    return lease.state == "active" and not lease.pending_ends_at and now < lease.ends_at


def _is_idle(sums: UsageSums) -> bool:
    least = MEASURED_PART * IDLE_FOR.total_seconds()
    return sums.unused_seconds >= least and not sums.used_seconds + sums.hung_seconds


def _offer(lease: Lease, rows: list[Placement], idle: set[int], now: datetime) -> IdleNow | None:
    found = fitting_part(rows, idle, lease.layout)
    if not found:
        return None
    whole = len(found) == len(rows)
    back = bill_of(lease, now).back_seconds if whole else len(found) * back_of_one(lease, charged_until(lease, now))
    return IdleNow(tuple(row.device for row in found), whole, back)
