"""Joining the wait-list and leaving it, and what officers decide about it."""

import math
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from allocations.models import Allocation, WaitEntry
from allocations.rules import may_award, may_book, may_leave
from allocations.selectors.availability import whole_minute
from allocations.selectors.balances import balance
from allocations.selectors.free_times import calendar_of
from allocations.selectors.offers import LONGEST_SPAN, Wish, find_slots
from allocations.selectors.rulebooks import rulebook_of
from allocations.selectors.waitlist import LEAST_ANSWER_TIME, at_once, can_pay, span_of, within_its_years
from allocations.selectors.weights import weights_of
from allocations.services import checks, ending, entries, rule_checks, waking
from allocations.services.steps import lock_lease
from allocations.services.telling import local
from allocations.services.yearly import year_allows
from audit import services as audit
from common.errors import RuleBroken, WrongState
from common.permissions import require
from partners.policy import check_booking

HIGHEST = 100
"""Priorities of awards lie between this and its negative."""


@transaction.atomic
def join(*, actor: Any, allocation: Allocation, wish: Wish, note: str = "") -> WaitEntry:
    """Put an ask on the wait-list of the allocation's pool. It stands as it is: nobody can shrink or stretch it later.

    RuleBroken where the rules of booking could never let it pass (each with its remedy), where the allocation waits
    already (`already_waiting`), or where it can be booked now (`free_now`, with the window in the facts).
    """
    now = timezone.now()
    allocation = checks.lock_allocation(allocation.pk)
    require(actor, may_book, allocation)
    _check_alone(allocation)
    slices, slices_of = checks.part_of_a_gpu(allocation.pool, wish.profile, wish.shape)
    _check_ask(allocation, wish, now)
    entry = WaitEntry(
        allocation=allocation,
        asked_by=actor,
        device_count=wish.count,
        profile=wish.profile,
        slices=slices,
        slices_of=slices_of,
        smallest=wish.smallest,
        duration_seconds=int(wish.duration.total_seconds()),
        earliest_at=wish.earliest,
        latest_at=wish.latest,
        shape=wish.shape.kind,
        shape_nodes=wish.shape.nodes,
        note=note[:200],
        joined_at=now,
        next_try_at=now,
    )
    _check_award(entry, now)
    _check_pool(entry, wish, now)
    entry.save()
    changes = {
        "allocation": allocation.public_id,
        "devices": [wish.smallest, wish.count],
        "profile": wish.profile,
        "duration_seconds": entry.duration_seconds,
        "earliest_at": wish.earliest,
        "latest_at": wish.latest,
        "shape": [entry.shape, entry.shape_nodes],
    }
    audit.record(actor=actor, verb="wait_entry.join", target=entry, changes=changes)
    waking.wake(allocation.pool_id)
    return entry


@transaction.atomic
def leave(*, actor: Any, entry: WaitEntry) -> WaitEntry:
    """Off the list; an offer that is out goes to others."""
    require(actor, may_leave, entry)
    return _take_off(entry, "leave", actor, "")


@transaction.atomic
def remove(*, actor: Any, entry: WaitEntry, reason: str) -> WaitEntry:
    """Take an entry off the list for the agency, with a reason that the partner reads. Officers only."""
    require(actor, may_award)
    _check_reason(reason)
    return _take_off(entry, "drop", actor, reason.strip())


@transaction.atomic
def prioritise(*, actor: Any, allocation: Allocation, priority: int, reason: str) -> Allocation:
    """Set an award's priority on wait-lists: higher is served first. Officers only, with a reason."""
    require(actor, may_award)
    _check_reason(reason)
    if not -HIGHEST <= priority <= HIGHEST:
        raise RuleBroken(
            _("A priority lies between %(lowest)s and %(highest)s.") % {"lowest": -HIGHEST, "highest": HIGHEST},
            code="priority",
            remedy=_("Awards have priority 0 unless an officer decides otherwise."),
            field="priority",
        )
    allocation = Allocation.objects.select_for_update(no_key=True).get(pk=allocation.pk)
    before, allocation.priority = allocation.priority, priority
    allocation.save(update_fields=["priority"])
    changes = {"priority": [before, priority], "reason": reason.strip()}
    audit.record(actor=actor, verb="allocation.prioritise", target=allocation, changes=changes)
    waking.wake(allocation.pool_id)
    return allocation


def _take_off(entry: WaitEntry, event: str, actor: Any, reason: str) -> WaitEntry:
    """The lease is locked before its entry, as everywhere: what changed between the look and the lock is refused."""
    seen = WaitEntry.objects.get(pk=entry.pk)
    lease = lock_lease(seen.lease_id) if seen.state == "offered" and seen.lease_id else None
    if lease is not None and lease.state == "offered":
        ending.take_offer_back(lease, event, actor=actor, reason=reason)
        return entries.lock_entry(entry.pk)
    locked = entries.lock_entry(entry.pk)
    if locked.state == "offered":
        raise WrongState()
    entries.move(locked, event, actor=actor, reason=reason)
    if event == "drop":
        entries.tell(locked, "waitlist_dropped")
    return locked


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise RuleBroken(_("A reason is needed."), code="reason_missing", remedy=_("Write one."), field="reason")


def _check_alone(allocation: Allocation) -> None:
    waiting = WaitEntry.objects.open().filter(allocation=allocation).first()
    if waiting is not None:
        raise RuleBroken(
            _("This allocation is on the wait-list already: %(entry)s.") % {"entry": waiting.public_id},
            code="already_waiting",
            remedy=_("An allocation waits for one thing at a time. Leave the list first to ask for something else."),
            facts={"entry": waiting.public_id, "state": waiting.state},
        )


def _check_ask(allocation: Allocation, wish: Wish, now: datetime) -> None:
    checks.shape(wish.shape, wish.count)
    if not 1 <= wish.smallest <= wish.count or not wish.shape.fits(wish.smallest):
        raise RuleBroken(
            _("The fewest GPUs that help must be a part of the ask that can lie in the same shape."),
            code="smallest",
            remedy=_("Choose a number between 1 and the GPUs that you ask for."),
            field="smallest",
            facts={"smallest": wish.smallest, "asked": wish.count},
        )
    if wish.duration < checks.SHORTEST:
        raise RuleBroken(
            _("A reservation lasts ten minutes at least."),
            code="window_too_short",
            remedy=_("Choose a later end."),
            field="length",
        )
    rule_checks.check_length(rulebook_of(allocation), allocation, now, now + wish.duration)
    first = whole_minute(max(wish.earliest, now + LEAST_ANSWER_TIME))
    if wish.latest - first < wish.duration or wish.latest > now + LONGEST_SPAN:
        raise RuleBroken(
            _(
                "The times leave less than you ask for and ten minutes to answer an offer, or lie more than 400 days "
                "ahead."
            ),
            code="wish_window",
            remedy=_("Choose a later or an earlier end, or a shorter length."),
            field="latest",
        )


def _check_award(entry: WaitEntry, now: datetime) -> None:
    """What the award and the agreement could never let pass, however long it waits."""
    allocation, agreement = entry.allocation, entry.allocation.project.agreement
    first, last = span_of(entry, now)
    checks.allocation_covers(allocation, max(now, allocation.valid_from), allocation.valid_until)
    if last - first < entry.duration:
        check_booking(agreement, gpus=0, gpus_running_then=0, starts_at=first, ends_at=first + entry.duration)
        checks.allocation_covers(allocation, first, first + entry.duration)
    ceiling, window = at_once(allocation, rulebook_of(allocation)), (first, first + entry.duration)
    gpus = math.ceil(entry.device_count * entry.share)
    if gpus > ceiling:
        raise RuleBroken(
            ngettext("The award allows %(ceiling)s GPU at once.", "The award allows %(ceiling)s GPUs at once.", ceiling)
            % {"ceiling": ceiling},
            code="concurrent_gpus",
            remedy=_("Ask for no more than that."),
            field="device_count",
            facts={"ceiling": ceiling, "asked": gpus},
        )
    pool = allocation.pool.public_id
    check_booking(agreement, gpus=gpus, gpus_running_then=0, starts_at=window[0], ends_at=window[1], pool=pool)
    if not can_pay(entry, entry.device_count, balance(allocation).left, (first, last)):
        weights = weights_of(allocation)
        checks.balance_suffices(allocation, entry.device_count, *window, weights=weights, share=entry.share)
    if not within_its_years(entry, entry.device_count, (first, last)):
        year_allows(allocation, entry.device_count, *window, weights=weights_of(allocation), share=entry.share)


def _check_pool(entry: WaitEntry, wish: Wish, now: datetime) -> None:
    """Neither what the pool has not got, nor what it has free."""
    pool = entry.allocation.pool
    calendar = calendar_of(pool, now, now + timedelta(minutes=1), profile=wish.profile)
    if not calendar.could_ever(wish.smallest, wish.shape):
        words = {"pool": pool.name, "profile": wish.profile}
        message = _("The pool %(pool)s has not so many GPUs in service in that shape.")
        if wish.profile:
            message = _("The pool %(pool)s has not so many MIG instances of %(profile)s in service in that shape.")
        raise RuleBroken(
            message % words,
            code="never_that_many",
            remedy=_("Ask for fewer, or for GPUs that lie elsewhere."),
            field="device_count",
            facts={"asked": wish.count, "smallest": wish.smallest, "in_service": calendar.devices().count()},
        )
    for slot in find_slots([entry.allocation], wish, now):
        if slot.shape == wish.shape or wish.shape.kind == "any":
            found = {"count": slot.count, "start": local(slot.start), "end": local(slot.end), "profile": wish.profile}
            message = ngettext(
                "%(count)s GPU is free from %(start)s to %(end)s: nobody needs to wait for it.",
                "%(count)s GPUs are free from %(start)s to %(end)s: nobody needs to wait for them.",
                slot.count,
            )
            if wish.profile:
                message = _(
                    "%(count)s MIG instances of %(profile)s are free from %(start)s to %(end)s: nobody needs to wait "
                    "for them."
                )
            raise RuleBroken(
                message % found,
                code="free_now",
                remedy=_("Book them; or, if so few do not help, raise the fewest that help."),
                facts={
                    "device_count": slot.count,
                    "next_start": slot.start.isoformat(),
                    "next_end": slot.end.isoformat(),
                },
            )
