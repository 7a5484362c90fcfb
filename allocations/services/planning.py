"""What is done about the reservations that an operator's verb hits: each is moved, ended, or the verb is refused.

The order of locks is that of everybody: leases, then devices by id, allocations where a lease is settled.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from allocations.models import Lease, Placement
from allocations.promises import Promise, promises_on
from allocations.selectors.availability import free_devices
from allocations.services import ending, placing, replacing, telling
from allocations.services.placing import LostRace
from audit import services as audit
from cluster.models import Device
from common.errors import RuleBroken

MOVE, END = "move", "end"
PLANS = (MOVE, END)
Plan = Mapping[str, str]
"""Public ids of leases to what is done with each."""
Swap = tuple[list[Placement], list[Device]]
"""Placements that leave, and the devices in their stead."""


def keep_promises(
    *,
    actor: Any,
    device_ids: Iterable[int],
    reason: str,
    plan: Plan,
    force: bool,
    since: datetime | None = None,
    until: datetime | None = None,
    spare: tuple[str, ...] = (),
) -> list[Promise]:
    """Carry the plan out for every lease that these devices are promised to; those that were hit. The devices are
    locked when it returns, so that nothing new is promised on them before the caller's transaction is over.

    RuleBroken (`promises`, with the leases in its facts) unless `force` is given with a plan for each; states in
    `spare` need none. Belongs into the caller's transaction, under `retrying.in_one_transaction`.
    """
    ids = sorted(set(device_ids))
    read = partial(promises_on, ids, since=since, until=until)
    hit = read()
    _check_plan(hit, plan, force, spare)
    _lock_leases(hit)
    # What was read before the lock may be smaller, longer or elsewhere by now; what is read under it stays.
    asked, hit = _states(hit), read()
    if _states(hit) != asked:
        raise LostRace
    for promise in hit:
        if plan.get(promise.lease.public_id) == END:
            ending.reclaim(actor=actor, lease=promise.lease, reason=reason)
    moving = [promise for promise in hit if plan.get(promise.lease.public_id) == MOVE]
    targets = _targets(moving, set(ids))
    placing.lock([*ids, *(device.pk for _leaving, chosen in targets.values() for device in chosen)])
    if _states(read()).keys() - asked.keys():  # booked before the devices were locked
        raise LostRace
    for promise in moving:
        _move(actor, promise, targets[promise.lease.pk], reason)
    return hit


def _check_plan(hit: list[Promise], plan: Plan, force: bool, spare: tuple[str, ...]) -> None:
    unknown = sorted(set(plan) - {promise.lease.public_id for promise in hit})
    wrong = sorted(ref for ref, what in plan.items() if what not in PLANS)
    if unknown or wrong:
        raise RuleBroken(
            _("The plan names reservations that this does not hit, or an unknown measure: %(names)s.")
            % {"names": ", ".join(unknown or wrong)},
            code="plan",
            remedy=_("Reload the page and plan again."),
            facts={"unknown": unknown, "measures": list(PLANS)},
        )
    open_ones = [
        promise for promise in hit if promise.lease.state not in spare and not (force and _is_planned(promise, plan))
    ]
    if open_ones:
        raise broken(open_ones)
    for promise in hit:
        what = plan.get(promise.lease.public_id)
        if (what == MOVE and not promise.scheduled) or (what == END and not (promise.scheduled or promise.running)):
            raise RuleBroken(
                _("The reservation %(lease)s has begun: it can be ended, not moved.")
                % {"lease": promise.lease.public_id}
                if what == MOVE
                else _("The reservation %(lease)s is being taken back already.") % {"lease": promise.lease.public_id},
                code="cannot_move" if what == MOVE else "cannot_end",
                remedy=_("Plan to end it, or wait for its end."),
                facts=promise.facts,
            )


def _is_planned(promise: Promise, plan: Plan) -> bool:
    """A lease that is being taken back needs no plan, only somebody who says that it is known (`force`)."""
    return promise.lease.public_id in plan or not (promise.scheduled or promise.running)


def broken(hit: list[Promise]) -> RuleBroken:
    """The refusal that names what would be broken."""
    names = ", ".join(
        f"{promise.lease.public_id} ({promise.lease.allocation.project.organisation.name})" for promise in hit
    )
    return RuleBroken(
        ngettext(
            "This hits %(count)s reservation: %(names)s.", "This hits %(count)s reservations: %(names)s.", len(hit)
        )
        % {"count": len(hit), "names": names},
        code="promises",
        remedy=_("Wait until they are over, or say of each whether it is moved or ended."),
        facts={"leases": [promise.facts for promise in hit]},
    )


def _lock_leases(hit: list[Promise]) -> None:
    """In the order of their keys."""
    rows = Lease.objects.select_for_update(no_key=True).filter(pk__in=_states(hit)).order_by("pk")
    list(rows.values_list("pk"))


def _states(hit: list[Promise]) -> dict[int, str]:
    """What a plan was made for."""
    return {promise.lease.pk: promise.lease.state for promise in hit}


def _targets(moving: list[Promise], leaving: set[int]) -> dict[int, Swap]:
    """For each lease what leaves and free devices in its stead, none twice at one time and none of those that leave."""
    now = timezone.now()
    chosen: dict[int, Swap] = {}
    given: list[tuple[Lease, set[int]]] = []
    for promise in moving:
        lease = promise.lease
        start = max(lease.starts_at, now)
        blocked = set(leaving)
        for other, taken in given:
            if other.starts_at < lease.ends_at and other.ends_at > start:
                blocked |= taken
        pool, tenant = lease.allocation.pool, lease.allocation.project.organisation_id
        span, own = (start, lease.ends_at), lease.envelope_key
        anywhere = free_devices(pool, *span, tenants=[tenant], envelope=own, now=now, profile=lease.profile)
        free = anywhere.exclude(pk__in=blocked)
        found = replacing.substitutes(lease, promise.placements, list(free), span)
        if found is None:
            raise RuleBroken(
                _("The reservation %(lease)s cannot be moved: its pool has not enough free GPUs in its window.")
                % {"lease": lease.public_id},
                code="cannot_move",
                remedy=_("Plan to end it, or choose another time."),
                facts=promise.facts,
            )
        chosen[lease.pk] = found
        given.append((lease, {device.pk for device in found[1]}))
    return chosen


def _move(actor: Any, promise: Promise, swap: Swap, reason: str) -> None:
    now = timezone.now()
    lease, (leaving, devices) = promise.lease, swap
    start = max(lease.starts_at, now)
    placing.check_free(devices, start, lease.ends_at, allocation=lease.allocation)
    swaps = {row.device.public_id: device.public_id for row, device in zip(leaving, devices, strict=True)}
    replacing.release(leaving, now)
    placing.place(lease, devices, start, lease.ends_at)
    ending.reopen_windows({row.node_id for row in leaving})
    changes = {"devices": swaps, "reason": reason}
    audit.record(actor=actor, verb="lease.replace_devices", target=lease, changes=changes)
    telling.tell_partner(lease, "lease_replanned", count=len(devices), why=reason)
