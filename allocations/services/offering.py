"""What becomes of an offer: accepted, declined, lapsed, withdrawn. Of these at one moment, one happens."""

import logging
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from allocations.lifecycle import BOOKABLE, OVER
from allocations.models import Lease, WaitEntry
from allocations.rules import may_end
from allocations.services import checks, ending, entries, telling
from allocations.services.retrying import retried
from allocations.services.steps import lock_lease, move
from common.actors import RECONCILER
from common.errors import InvalidTransition, WrongState
from common.permissions import require

log = logging.getLogger(__name__)

AT_ONCE = 50
"""Of offers that are over, and of reminders, in one tick."""
NO_LONGER_ALLOWED = gettext_noop("The allocation or its agreement is not in force any more.")
_AGREEMENT_OVER = ("lapsed", "terminated")


@transaction.atomic
def accept(*, actor: Any, lease: Lease) -> Lease:
    """Take an offer of the wait-list as it is: its GPUs are held already, so that this never fails for want of them.

    WrongState (`offer_over`) once the time is up or somebody has answered; the rules of booking are asked again.
    """
    lease = lock_lease(lease.pk)
    require(actor, may_end, lease)
    _check_stands(lease, "accept")
    allocation = checks.lock_allocation(lease.allocation_id)
    checks.allocation_covers(allocation, lease.starts_at, lease.ends_at)
    checks.concurrency(allocation, lease.device_count, lease.starts_at, lease.ends_at, but=lease, share=lease.share)
    lease.offer_until = None
    move(lease, "accept", actor=actor, fields=("offer_until",))
    entries.accepted(lease, actor=actor)
    telling.tell_booker(lease, "lease_booked")
    return lease


@retried
def decline(*, actor: Any, lease: Lease, stay: bool = True) -> Lease:
    """Let an offer go to others: all of it. `stay`: at the end of the queue, else off the list."""
    lease = lock_lease(lease.pk)
    require(actor, may_end, lease)
    _check_stands(lease, "decline")
    event = "decline" if stay else "leave"
    return ending.take_offer_back(lease, event, actor=actor)


def end_what_is_over(now: datetime) -> int:
    """Offers whose time is up pass on; those of awards that are not in force go back. One transaction each."""
    allowed = Q(allocation__state__in=BOOKABLE, allocation__project__agreement__state="active")
    rows = Lease.objects.filter(Q(offer_until__lte=now) | ~allowed, state="offered").order_by("offer_until")
    done = 0
    for pk in list(rows.values_list("pk", flat=True)[:AT_ONCE]):
        try:
            done += _end(pk, now)
        except Exception:  # one ill offer must not stop the others; the next tick tries it again
            log.exception("ending the offer %s failed", pk)
    return done


@transaction.atomic
def _end(pk: int, now: datetime) -> int:
    row = Lease.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=pk, state="offered").first()
    if row is None or row.offer_until is None:
        return 0
    lease = lock_lease(pk)
    allocation = lease.allocation
    if allocation.state in BOOKABLE and allocation.project.agreement.state == "active" and row.offer_until > now:
        return 0
    over = allocation.state in OVER or allocation.project.agreement.state in _AGREEMENT_OVER
    event = "drop" if over else "lapse" if row.offer_until <= now else "withdraw"
    reason = NO_LONGER_ALLOWED if event != "lapse" else ""
    ending.take_offer_back(lease, event, actor=RECONCILER, reason=reason)
    return 1


def remind(now: datetime) -> int:
    """Half-way through an offer that nobody has answered its people are told once more; how many offers."""
    rows = WaitEntry.objects.filter(state="offered", remind_at__lte=now)
    return sum(_remind(pk, now) for pk in list(rows.values_list("pk", flat=True)[:AT_ONCE]))


@transaction.atomic
def _remind(pk: int, now: datetime) -> int:
    mine = WaitEntry.objects.select_for_update(skip_locked=True, no_key=True, of=("self",))
    row = mine.filter(pk=pk, state="offered", remind_at__lte=now, lease__offer_until__gt=now).first()
    if row is None:
        return 0
    entry = entries.lock_entry(pk)
    WaitEntry.objects.filter(pk=pk).update(remind_at=None)
    assert entry.lease is not None and entry.lease.offer_until is not None
    entries.tell(entry, "offer_reminder", until=telling.local(entry.lease.offer_until))
    return 1


def _check_stands(lease: Lease, event: str) -> None:
    if lease.state == "offered" and lease.offer_until is not None and lease.offer_until > timezone.now():
        return
    reasons = Lease.EndReason
    if lease.state != "offered" and lease.end_reason not in (reasons.DECLINED, reasons.LAPSED, reasons.WITHDRAWN):
        raise InvalidTransition("reservation", lease.state, event)
    why = {
        str(reasons.DECLINED): _("This offer was declined."),
        str(reasons.WITHDRAWN): _("This offer was withdrawn by the agency."),
    }
    raise WrongState(
        why.get(lease.end_reason, _("The time to answer this offer is up; it has passed on.")),
        code="offer_over",
        remedy=_("Look at the wait-list: it says where you stand now."),
        facts={"state": lease.state, "end_reason": lease.end_reason},
    )
