"""Serving the wait-list: what is free is offered in the published order. A chore of the reconciler's tick."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext_noop

from allocations.models import Allocation, WaitEntry
from allocations.selectors import waitlist
from allocations.selectors.availability import Window
from allocations.selectors.offers import Slot
from allocations.selectors.rulebooks import with_rules
from allocations.selectors.weights import with_weights
from allocations.services import booking, entries, offering, telling, waking
from common.actors import RECONCILER
from common.errors import DomainError

log = logging.getLogger(__name__)

AT_ONCE = 20
"""Entries of one pool that are looked at in one tick; the others are in the next, in their order."""
MOST_SHUT = 3
"""Windows of one pool that are kept for protected entries of one kind at one time."""
SOON = timedelta(minutes=1)
"""After a lost race the same entry is looked at again."""
WHY = {
    "allocation_over": gettext_noop("The allocation is over."),
    "agreement_over": gettext_noop("The agreement is over."),
    "too_late": gettext_noop("No window of this length is left between the times that were asked for."),
    "asker_gone": gettext_noop("Whoever asked may not book for this organisation any more."),
    "ceiling": gettext_noop("The award or the agreement does not allow so many GPUs at once any more."),
    "balance": gettext_noop("The hours that are left do not suffice for it any more."),
    "own_reservations": gettext_noop("Your own reservations take up the GPUs that the award allows at once."),
}
"""Why an entry leaves the list by itself, by the code of the obstacle."""


@dataclass
class _Pass:
    """One walk down the list of a pool. Whole GPUs, and instances of each profile, are kept apart where they can be had
    beside each other: what is lent of one kind is not missing to another. Where a node is lent to one organisation at a
    time it may well be, and all are of one kind.
    """

    now: datetime
    apart: bool
    shut: dict[str, list[Window]] = field(default_factory=lambda: defaultdict(list))
    ahead: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Keys of entries before the present one that have no offer yet."""
    done: int = 0

    def kind_of(self, profile: str) -> str:
        """Those of one kind compete."""
        return profile if self.apart else ""


def serve(now: datetime) -> int:
    """End what is over, remind, and offer what is free; the number of things done. One query when nobody waits."""
    if not WaitEntry.objects.open().exists():
        return 0
    done = offering.end_what_is_over(now) + offering.remind(now)
    due = WaitEntry.objects.filter(state="waiting", next_try_at__lte=now)
    for pool_id in sorted(set(due.values_list("allocation__pool", flat=True))):
        done += _serve_pool(pool_id, now)
    return done


def _serve_pool(pool_id: int, now: datetime) -> int:
    waiting = waitlist.ranked(WaitEntry.objects.filter(state="waiting", allocation__pool=pool_id))
    columns = ("pk", "profile", "next_try_at", "passed_over", "joined_at", "obstacle", "allocation__pool__shared_nodes")
    rows = list(waiting.values_list(*columns))
    walk, looks = _Pass(now, apart=any(row[-1] for row in rows)), 0
    for key, profile, next_try_at, passed_over, joined_at, obstacle, _shared in rows:
        outcome, kind = obstacle or "waiting", walk.kind_of(profile)
        if next_try_at <= now:
            if looks == AT_ONCE:
                break
            looks += 1
            outcome = _tried(key, kind, walk)
        if outcome in ("offered", "over"):
            continue
        walk.ahead[kind].append(key)
        able = outcome == "waiting"
        if able and len(walk.shut[kind]) < MOST_SHUT and waitlist.is_protected(passed_over, joined_at, now):
            _shut_for(key, kind, walk)
    return walk.done


def _tried(key: int, kind: str, walk: _Pass) -> str:
    try:
        outcome = _try(key, walk.shut[kind], walk.now)
    except Exception:  # one ill entry must not stop the others; the next tick tries it again
        log.exception("serving the entry %s failed", key)
        return "waiting"
    if outcome == "offered":
        _note_passed_over(walk.ahead[kind])
    walk.done += outcome in ("offered", "over")
    return outcome


@transaction.atomic
def _try(key: int, shut: Iterable[Window], now: datetime) -> str:
    """One entry, one transaction: offered, over, waiting, or the code of what stands in its own way."""
    mine = Allocation.objects.select_for_update(of=("self",), no_key=True, skip_locked=True).filter(wait_entries=key)
    mine = mine.select_related("project__organisation", "project__agreement", "pool__gpu_class", "envelope")
    allocation = with_rules(with_weights(mine)).first()
    rows = WaitEntry.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
    if allocation is None or not rows.filter(pk=key, state="waiting").exists():
        return "waiting"  # somebody is at it: the next tick sees what became of it
    entry = entries.lock_entry(key)
    entry.allocation = allocation
    stands = waitlist.obstacle(entry, now)
    if stands is not None and stands.final:
        return _end(entry, stands.code)
    slot = None if stands else waitlist.best_slot(entry, list(shut), now)
    if slot is None:
        return _wait_on(entry, stands.code if stands else "", entries.quarter_after(now))
    try:
        with transaction.atomic():
            _offer(entry, slot, now)
    except DomainError as error:
        raced = error.code == "no_free_devices"
        return _wait_on(entry, "" if raced else error.code, now + SOON if raced else entries.quarter_after(now))
    return "offered"


def _offer(entry: WaitEntry, slot: Slot, now: datetime) -> None:
    until = min(now + timedelta(seconds=entry.allocation.pool.offer_hold_seconds), slot.start)
    ask = booking.Ask(
        slot.count,
        slot.start,
        slot.end,
        slot.shape,
        entry.note,
        profile=entry.profile,
        offer_to=entry.asked_by,
        offer_until=until,
    )
    entry.lease = booking.place(actor=RECONCILER, allocation=entry.allocation, ask=ask)
    entry.obstacle = ""
    entry.remind_at = now + (until - now) / 2
    entries.move(entry, "offer", actor=RECONCILER, lease=entry.lease.public_id, until=until, devices=slot.count)
    entries.tell(entry, "offer_made", until=telling.local(until))


def _wait_on(entry: WaitEntry, obstacle: str, next_try_at: datetime) -> str:
    entry.obstacle, entry.next_try_at = obstacle[:40], next_try_at
    entry.save(update_fields=["obstacle", "next_try_at"])
    return obstacle or "waiting"


def _end(entry: WaitEntry, code: str) -> str:
    entries.move(entry, "expire" if code == "too_late" else "drop", actor=RECONCILER, reason=WHY[code])
    entries.tell(entry, "waitlist_dropped")
    return "over"


@transaction.atomic
def _note_passed_over(keys: list[int]) -> None:
    """Somebody behind these was offered something while nothing fitted them."""
    rows = waking.locked(WaitEntry.objects.filter(pk__in=keys, state="waiting", obstacle=""))
    WaitEntry.objects.filter(pk__in=rows).update(passed_over=F("passed_over") + 1)


def _shut_for(key: int, kind: str, walk: _Pass) -> None:
    near = ("allocation__pool", "allocation__project__agreement")
    entry = WaitEntry.objects.select_related(*near).filter(pk=key, state="waiting").first()
    window = waitlist.nearest_window(entry, walk.now) if entry else None
    if window is not None:
        walk.shut[kind].append(window)
