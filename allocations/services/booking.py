"""Booking a window: the choice, the checks, the promise."""

import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import partial
from typing import Any

from django.db import DatabaseError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from allocations.charging import WHOLE, frozen
from allocations.lifecycle import LEASE
from allocations.models import Allocation, Lease
from allocations.rules import may_book
from allocations.selectors.availability import NODES, free_devices, spots_of
from allocations.selectors.balances import window_lines
from allocations.selectors.free_times import next_free_window
from allocations.selectors.rulebooks import rulebook_of
from allocations.selectors.spots import FreeSpot
from allocations.selectors.weights import weights_of
from allocations.selectors.yearly import permitted_starts
from allocations.services import checks, ledger, placing, repacking, telling, warning
from allocations.services.placing import LostRace
from allocations.services.retrying import AGAIN, EXCLUSION, code_of
from allocations.services.rule_checks import Wanted, check_booking, check_length
from allocations.services.yearly import year_allows
from allocations.shapes import ANY, Shape, largest
from audit import services as audit
from cluster.models import Device
from cluster.selectors import profiles_in
from common.errors import RuleBroken
from common.inserting import insert
from common.permissions import require

log = logging.getLogger(__name__)

DEADLOCK_RETRIES = 5
TURNS_AT_ONCE = 6
"""Choices among what was looked at once, before a booking begins anew and waits in the queue."""
RACE_RETRIES = 25  # each lost race is another booking that succeeded, so a queue of writers always gets shorter


@dataclass(frozen=True)
class Ask:
    """What somebody wants to book; `devices` None: the service chooses."""

    count: int
    starts_at: datetime
    ends_at: datetime
    shape: Shape = ANY
    note: str = ""
    devices: Sequence[Device] | None = None
    profile: str = ""
    smallest: int | None = None
    """How many still help where not all of them are free; None: only all of them do."""
    salt: int = 0
    """Which of equally good devices; another one after a lost race, so that writers spread out."""
    offer_to: Any = None
    """Not a booking but an offer of the wait-list to this person, who may accept it until `offer_until`."""
    offer_until: datetime | None = None


def book(
    *,
    actor: Any,
    allocation: Allocation,
    device_count: int,
    starts_at: datetime,
    ends_at: datetime,
    note: str = "",
    shape: Shape = ANY,
    devices: Sequence[Device] | None = None,
    profile: str = "",
    smallest: int | None = None,
) -> Lease:
    """Reserve devices for a window under an allocation; the lease, in state scheduled.

    `shape` says how they lie together; with `profile` they are MIG instances, not whole GPUs; `devices` names the ones
    to take (else the service chooses). With `smallest`, as many as are free and no fewer, where not all of them are.
    RuleBroken says which rule refused, with figures; its code is `no_free_devices` when somebody else holds them, with
    facts next_start and next_end.
    """
    # In UTC: the difference of two moments of one zone would be that of its clocks, an hour off when they are changed.
    ask = Ask(device_count, starts_at.astimezone(UTC), ends_at.astimezone(UTC), shape, note, devices, profile, smallest)
    return place(actor=actor, allocation=allocation, ask=ask)


def place(*, actor: Any, allocation: Allocation, ask: Ask) -> Lease:
    """Carry an ask out, anew where somebody else was quicker: what `book` does, and how the wait-list offers."""
    devices, deadlocks = ask.devices, 0
    for _turn in range(RACE_RETRIES):
        try:
            return _book(actor, allocation, ask)
        except LostRace:
            if devices is not None:
                break
            ask = replace(ask, salt=secrets.randbits(32) | 1)
        except DatabaseError as error:
            code = code_of(error)
            if code not in AGAIN:
                raise
            deadlocks += code != EXCLUSION
            log.warning("booking under %s again after %s", allocation.public_id, code)
            if deadlocks > DEADLOCK_RETRIES or (devices is not None and code == EXCLUSION):
                break
    raise no_free_devices(allocation, ask)


@transaction.atomic
def _book(actor: Any, allocation: Allocation, ask: Ask) -> Lease:
    now = timezone.now()
    allocation = checks.lock_allocation(allocation.pk, ask.offer_to or actor)
    require(ask.offer_to or actor, may_book, allocation)
    starts_at, ends_at = checks.window(ask.starts_at, ask.ends_at, now)
    ask = replace(ask, starts_at=starts_at, ends_at=ends_at)
    book = rulebook_of(allocation)
    check_length(book, allocation, starts_at, ends_at)
    checks.shape(ask.shape, ask.count)
    checks.smallest(ask.smallest, ask.count)
    slices, slices_of = checks.part_of_a_gpu(allocation.pool, ask.profile, ask.shape)
    share = Fraction(slices, slices_of)
    checks.allocation_covers(allocation, starts_at, ends_at)
    check_booking(book, Wanted(allocation, ask.count, ask.shape, starts_at, ends_at, now, ask.profile))
    checks.concurrency(allocation, ask.count, starts_at, ends_at, book=book, share=share)
    weights = weights_of(allocation)
    hold, left = checks.balance_suffices(allocation, ask.count, starts_at, ends_at, weights=weights, share=share)
    year_allows(allocation, ask.count, starts_at, ends_at, weights=weights, share=share)
    chosen, terms = _take(allocation, ask, now)
    if len(chosen) < ask.count:
        ask = replace(ask, count=len(chosen))
        hold, left = checks.balance_suffices(allocation, ask.count, starts_at, ends_at, weights=weights, share=share)
    lease = Lease(
        allocation=allocation,
        booked_by=ask.offer_to or actor,
        device_count=ask.count,
        profile=ask.profile,
        slices=slices,
        slices_of=slices_of,
        shape=ask.shape.kind,
        shape_nodes=ask.shape.nodes,
        starts_at=starts_at,
        ends_at=ends_at,
        weights=frozen(weights, starts_at, ends_at),
        note=ask.note,
        state="offered" if ask.offer_to else LEASE.initial,
        offer_until=ask.offer_until,
    )
    insert(lease)
    placing.place(lease, chosen, starts_at, ends_at, terms)
    ledger.hold(lease, {}, window_lines(lease, ends_at), actor=actor, reason="booked")
    changes = {
        "allocation": allocation.public_id,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "held_device_seconds": hold,
        "devices": [device.public_id for device in chosen],
    }
    warning.after_a_hold(allocation, left)
    audit.record(actor=actor, verb="lease.offer" if ask.offer_to else "lease.book", target=lease, changes=changes)
    if not ask.offer_to:
        telling.tell_booker(lease, "lease_booked")
    return lease


def _take(allocation: Allocation, ask: Ask, now: datetime) -> tuple[list[Device], placing.Terms | None]:
    """Devices for an ask, locked, and the terms of their pool where they were read."""
    pool, tenant = allocation.pool, allocation.project.organisation_id
    span = (ask.starts_at, ask.ends_at)
    envelope = None if ask.profile else allocation.envelope_key
    named = None
    if ask.devices is not None:
        checks.named_devices(ask.devices, ask.count)
        named = [device.pk for device in ask.devices]
    pinned = set() if ask.profile else repacking.pinned(allocation, span)
    look = partial(spots_of, pool, tenant, span, envelope=envelope, now=now, profile=ask.profile, only=named)
    choose = partial(placing.choose, shape=ask.shape, pool=pool, tenant=tenant, window=span, salt=ask.salt)
    chosen = None
    nodes, together = ask.shape.groups_of(ask.count)
    if not pinned and ask.devices is None and nodes <= NODES:
        spots, own_nodes = look(together=together)
        if not ask.salt and pool.shared_nodes and not ask.profile:
            at_once = _at_once(allocation, ask, spots, partial(choose, own=own_nodes))
            if at_once is not None:
                return at_once
        chosen = choose(spots, ask.count, own=own_nodes)
    if chosen is None:
        spots, own_nodes = look()
        choose = partial(choose, own=own_nodes)
        # What is guaranteed goes first: what nobody guaranteed is left to others.
        kept = [spot for spot in spots if spot.pk in pinned]
        chosen = (choose(kept, ask.count) if kept else None) or choose(spots, ask.count)
    if chosen is None and (made := _within_envelope(allocation, ask)) is not None:
        return made, None
    chosen = chosen or _fewer(ask, spots, choose)
    if chosen is None:
        raise no_free_devices(allocation, ask)
    locked = placing.lock(spot.pk for spot in chosen)
    return locked, placing.check_free(locked, *span, allocation=allocation)


def _at_once(
    allocation: Allocation, ask: Ask, spots: list[FreeSpot], choose: Callable[..., list[FreeSpot] | None]
) -> tuple[list[Device], placing.Terms] | None:
    """The best of the devices that nobody else has locked, so that many who book the same time wait for nobody; None:
    there is no choice. LostRace where others have too many: what is locked by then must be let go before one waits.
    """
    for turn in range(TURNS_AT_ONCE):
        chosen = choose(spots, ask.count)
        if chosen is None and not turn:
            return None
        if chosen is None:
            break
        gone = {spot.pk for spot in chosen}
        locked = placing.lock(gone, wait=False)
        if len(locked) == ask.count:
            with suppress(LostRace):
                return locked, placing.check_free(locked, ask.starts_at, ask.ends_at, allocation=allocation)
        else:
            gone -= {device.pk for device in locked}
        spots = [spot for spot in spots if spot.pk not in gone]
    raise LostRace


def _fewer(ask: Ask, spots: list[FreeSpot], choose: Callable[..., list[FreeSpot] | None]) -> list[FreeSpot] | None:
    """As many as are free and still help, laid out as asked; None: too few."""
    most = min(ask.count - 1, len(spots))
    return largest(ask.smallest or ask.count, most, ask.shape, lambda count: choose(spots, count))


def _within_envelope(allocation: Allocation, ask: Ask) -> list[Device] | None:
    """So many are guaranteed at every moment: then the allocation's own bookings move until they fit."""
    if allocation.envelope_key is not None and ask.devices is None and ask.shape == ANY and not ask.profile:
        return repacking.make_room(allocation, ask.count, (ask.starts_at, ask.ends_at))
    return None


def no_free_devices(allocation: Allocation, ask: Ask) -> RuleBroken:
    """The refusal when others hold the devices, or the nodes, with the next free window as its remedy."""
    pool, tenants, span = allocation.pool, [allocation.project.organisation_id], (ask.starts_at, ask.ends_at)
    now = timezone.now()
    after = max(ask.starts_at, now)
    length = max(ask.ends_at - ask.starts_at, timedelta(minutes=1))
    named = None if ask.devices is None else {device.pk for device in ask.devices}
    own = None if ask.profile else allocation.envelope_key
    mine: Any = {"tenants": tenants, "envelope": own, "profile": ask.profile}
    share = Fraction(*profiles_in(pool).get(ask.profile, (1, 1))) if ask.profile else WHOLE
    passes = permitted_starts(allocation, rulebook_of(allocation), ask.count, length, after, now, share)
    offer = next_free_window(pool, ask.count, length, after, shape=ask.shape, only=named, passes=passes, **mine)
    remedy = _(
        "While your award and the agreement last, no other window of this length has that many GPUs in the pool "
        "%(pool)s. Ask for fewer, or for a shorter time."
    ) % {"pool": pool.name}
    if named is not None:
        remedy = _("Name others, or none: then the portal chooses.")
    facts: dict[str, Any] = {"asked": ask.count, "pool": pool.name, "next_start": None, "next_end": None}
    if offer:
        start, end = offer
        facts |= {"next_start": start.isoformat(), "next_end": end.isoformat()}
        remedy = _("The next free window of this length is from %(start)s to %(end)s.") % {
            "start": telling.local(start),
            "end": telling.local(end),
        }
    message = ngettext(
        "In this window %(count)s GPU is not free: somebody else has reserved it.",
        "In this window %(count)s GPUs are not free: somebody else has reserved them.",
        ask.count,
    ) % {"count": ask.count}
    if ask.profile:
        facts["profile"] = ask.profile
        words = {"count": ask.count, "profile": ask.profile}
        message = _("In this window %(count)s MIG instances of %(profile)s are not free.") % words
    if named is not None:
        message = _("The GPUs that were named are not all free in this window.")
    elif ask.shape != ANY and free_devices(pool, *span, **mine).count() >= ask.count:
        message = _("In this window %(count)s GPUs are free, but not laid out as you ask: %(shape)s.") % {
            "count": ask.count,
            "shape": Lease.Shape(ask.shape.kind).label,
        }
        facts["shape"] = ask.shape.kind
    elif not pool.shared_nodes and free_devices(pool, *span, profile=ask.profile).count() >= ask.count:
        message = _(
            "In this window %(count)s GPUs are free only on nodes that another organisation holds; this pool lends a "
            "node to one organisation at a time."
        ) % {"count": ask.count}
        facts["whole_nodes"] = True
    return RuleBroken(message, code="no_free_devices", remedy=remedy, facts=facts)
