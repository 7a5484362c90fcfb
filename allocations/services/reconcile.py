"""The reconciler: looks at what is, does the next small thing, and may be called at any time, any number of times.

One lease is one transaction is one step. Two reconcilers never meet: the tick holds an advisory lock, a lease is taken
with SKIP LOCKED. The clock is the database's.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from allocations.models import Lease, Placement, Reshape
from allocations.selectors.availability import LEAD
from allocations.services import (
    access,
    awards,
    ending,
    envelopes,
    exhausting,
    incidents,
    maintenance,
    no_show,
    reclaiming,
    running_out,
    serving,
    starting,
)
from allocations.services.retrying import retried
from allocations.services.steps import lock_lease
from cluster.models import Grant
from common.advisory import held

log = logging.getLogger(__name__)

TICK_LOCK = 0x6269_7467_0002  # pg advisory lock of the tick
MOST_STEPS = 8  # of one lease in one call; each is its own transaction

_STEPS: dict[str, Callable[[Lease, datetime], bool]] = {
    "scheduled": starting.step_scheduled,
    "preparing": starting.step_preparing,
    "prepare_stuck": starting.step_preparing,
    "active": reclaiming.step_active,
    "draining": reclaiming.step_draining,
    "reclaiming": reclaiming.step_reclaiming,
    "reclaim_stuck": reclaiming.step_stuck,
    "failed": reclaiming.step_failed,
}


def database_now() -> datetime:
    """The one clock: every process of the portal may have another."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def tick(now: datetime | None = None) -> int:
    """Every lease and allocation that is due; the number of steps done. Returns 0 at once while another tick runs."""
    with held(TICK_LOCK) as mine:
        if not mine:
            return 0
        moment = now or database_now()
        steps = awards.keep_dates(moment) + exhausting.keep_balances(moment)
        chores = (
            running_out.play_out,
            incidents.tell_incidents,
            access.withdraw,
            maintenance.cover_newcomers,
            envelopes.mend,
            no_show.watch,
        )
        for chore in chores:
            _do(chore, moment)
        for ref in list(due(moment).values_list("public_id", flat=True)):
            try:
                steps += reconcile_lease(ref, now=now)
            except Exception:  # one ill lease must not stop the others; the next tick tries it again
                log.exception("reconciling %s failed", ref)
        return steps + _do(serving.serve, moment)


def _do(chore: Callable[[datetime], int], moment: datetime) -> int:
    """What cannot be told, withdrawn or offered now must not stop the leases."""
    try:
        return chore(moment)
    except Exception:
        log.exception("%s failed", chore.__name__)
        return 0


def due(now: datetime) -> QuerySet[Lease]:
    """Leases for which there may be something to do."""
    held = Placement.objects.filter(lease_id=OuterRef("pk"), released=False)
    cut_off = Grant.objects.filter(lease_ref=OuterRef("public_id"), revoked_at__isnull=False)
    changing = Reshape.objects.under_way().filter(lease_id=OuterRef("pk"))
    return Lease.objects.filter(
        Q(state="scheduled", starts_at__lte=now + LEAD)
        | Q(state__in=("preparing", "prepare_stuck", "draining", "reclaiming", "reclaim_stuck"))
        | Q(state="active")
        & (Q(ends_at__lte=now) | Q(pending_ends_at__isnull=False) | Exists(cut_off) | Exists(changing))
        | Q(state="failed") & Exists(held)
    ).order_by(F("ends_at"))


def reconcile_lease(lease_ref: str, now: datetime | None = None) -> int:
    """Do every step of one lease that is possible now, each in its own transaction; the number done."""
    for done in range(MOST_STEPS):
        if not _step(lease_ref, now):
            return done
    return MOST_STEPS


@retried
def _step(lease_ref: str, now: datetime | None) -> bool:
    row = Lease.objects.select_for_update(skip_locked=True, no_key=True).filter(public_id=lease_ref).first()
    if row is None or row.state not in _STEPS:
        return False
    lease = lock_lease(row.pk)
    if lease.state in (*ending.TAKEN_BACK, "active"):
        ending.keep_open(lease)
    return _STEPS[lease.state](lease, now or database_now())
