"""What is open when its agreement ends or is suspended is carried out by the rule that the agreement states.

What has begun runs to its own end, to the end of the days of grace, or not at all. What has not begun falls away: at
once when the agreement is over; at its own beginning while it is suspended, so that one that is resumed in time costs
nobody a reservation. Awards under an agreement that is over are closed, and what they kept goes back to everybody.
"""

import logging
from collections import defaultdict
from datetime import datetime

from django.utils.translation import gettext_noop

from allocations.lifecycle import OPEN
from allocations.models import Allocation, Lease
from allocations.selectors.availability import LEAD
from allocations.services import awards, ending
from common.actors import RECONCILER
from partners.models import Agreement
from partners.policy import OVER, cutoff
from partners.services.agreements import note_played_out

log = logging.getLogger(__name__)

RULE_OVER = gettext_noop("The agreement is over, and running reservations end by its rule.")
RULE_SUSPENDED = gettext_noop("The agreement is suspended, and running reservations end by its rule.")
NOT_BEGUN_OVER = gettext_noop("The agreement was over before this reservation began.")
NOT_BEGUN_SUSPENDED = gettext_noop("The agreement was suspended when this reservation was to begin.")
AWARD_CLOSED = gettext_noop("The agreement is over.")


def play_out(now: datetime) -> int:
    """Every agreement that stands still or is over and is not played out: one query where there is none, four else.

    The number of reservations and awards that ended by it, each in its own transaction.
    """
    agreements = {row.pk: row for row in Agreement.objects.filter(played_out=False).order_by("pk")}
    if not agreements:
        return 0
    leases: dict[int, list[Lease]] = defaultdict(list)
    rows = Lease.objects.filter(
        allocation__project__agreement__in=agreements, state__in=("scheduled", *ending.RUNNING)
    ).select_related("allocation__project")
    for lease in rows.order_by("pk"):
        leases[lease.allocation.project.agreement_id].append(lease)
    over = [pk for pk, row in agreements.items() if row.state in OVER]
    awarded: dict[int, list[Allocation]] = defaultdict(list)
    for allocation in Allocation.objects.filter(project__agreement__in=over, state__in=OPEN).select_related("project"):
        awarded[allocation.project.agreement_id].append(allocation)
    done = 0
    for pk, agreement in agreements.items():
        done += sum(_end(lease, reason) for lease in leases[pk] if (reason := why(agreement, lease, now)))
        done += sum(_close(allocation) for allocation in awarded[pk])
    still = [pk for pk in over if not leases[pk] and not awarded[pk]]
    if still:
        note_played_out(agreement_ids=still)
    return done


def why(agreement: Agreement, lease: Lease, now: datetime) -> str:
    """Why a reservation ends now because of its agreement, as the partner will read it; "" where it goes on."""
    if lease.state == "scheduled":
        if agreement.state in OVER:
            return NOT_BEGUN_OVER
        return NOT_BEGUN_SUSPENDED if lease.starts_at <= now + LEAD else ""
    end = cutoff(agreement)
    if end is None or now < end:
        return ""
    return RULE_OVER if agreement.state in OVER else RULE_SUSPENDED


def _end(lease: Lease, reason: str) -> int:
    try:
        ending.reclaim(actor=RECONCILER, lease=lease, reason=reason)
    except Exception:  # one that moved meanwhile, or is ill, must not stop the others; the next tick looks again
        log.exception("ending %s with its agreement failed", lease.public_id)
        return 0
    return 1


def _close(allocation: Allocation) -> int:
    try:
        awards.close(actor=RECONCILER, allocation=allocation, reason=AWARD_CLOSED)
    except Exception:
        log.exception("closing %s with its agreement failed", allocation.public_id)
        return 0
    return 1
