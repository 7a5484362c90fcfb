"""The rules of a pool: who may share its nodes, how long it is cleaned, how far its awards may exceed it, how long
offers of its wait-list are held.
"""

from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.rules import may_run_nodes, may_run_programme
from allocations.models import Placement
from allocations.rules import may_award
from allocations.services.retrying import EXCLUSION, code_of
from audit import services as audit
from cluster.models import Device, Pool
from common.errors import RuleBroken
from common.permissions import require

SHORTEST_HOLD, LONGEST_HOLD = 600, 7 * 86_400
"""Seconds."""


@transaction.atomic
def hold_offers(*, actor: Any, pool: Pool, seconds: int, reason: str) -> Pool:
    """Set how long an offer of the pool's wait-list is held, from the next offer on. Officers only."""
    require(actor, may_award)
    if not reason.strip():
        raise RuleBroken(_("A reason is needed."), code="reason_missing", remedy=_("Write one."), field="reason")
    if not SHORTEST_HOLD <= seconds <= LONGEST_HOLD:
        raise RuleBroken(
            _("An offer is held for ten minutes at least and for seven days at most."),
            code="hold",
            remedy=_("Choose a time between these."),
            field="minutes",
            facts={"shortest": SHORTEST_HOLD, "longest": LONGEST_HOLD, "asked": seconds},
        )
    pool = Pool.objects.select_for_update(no_key=True).get(pk=pool.pk)
    before, pool.offer_hold_seconds = pool.offer_hold_seconds, seconds
    pool.save(update_fields=["offer_hold_seconds"])
    changes = {"offer_hold_seconds": [before, seconds], "reason": reason.strip()}
    audit.record(actor=actor, verb="pool.hold_offers", target=pool, changes=changes)
    return pool


def share_nodes(*, actor: Any, pool: Pool, shared: bool, reason: str) -> Pool:
    """Let organisations share the pool's nodes, or lend each node to one at a time again. Operators only.

    It holds for what is placed already too. RuleBroken, naming how many, where two organisations share a node now or
    have booked to: those reservations must end or be moved first.
    """
    try:
        return _share_nodes(actor, pool, shared, reason)
    except IntegrityError as error:
        if code_of(error) != EXCLUSION:
            raise
    raise RuleBroken(
        _("Two organisations share a node of this pool now, or have booked to."),
        code="nodes_are_shared",
        remedy=_("Wait until those reservations have ended, or take them back first."),
        field="shared",
    )


@transaction.atomic
def _share_nodes(actor: Any, pool: Pool, shared: bool, reason: str) -> Pool:
    require(actor, may_run_nodes)
    pool = _lock(pool)
    before, pool.shared_nodes = pool.shared_nodes, shared
    pool.save(update_fields=["shared_nodes"])
    Placement.objects.filter(released=False, node__pool=pool).update(shared=shared)
    changes = {"shared_nodes": [before, shared], "reason": reason}
    audit.record(actor=actor, verb="pool.share_nodes", target=pool, changes=changes)
    return pool


def _lock(pool: Pool) -> Pool:
    """The pool and all of its devices: whoever places on one holds it, and reads the terms after that."""
    pool = Pool.objects.select_for_update(no_key=True).get(pk=pool.pk)
    list(Device.objects.select_for_update(of=("self",), no_key=True).filter(node__pool=pool).order_by("pk"))
    return pool


LONGEST_TURNAROUND = 24 * 3600
MOST_OVERCOMMIT = 1_000
may_set_terms = may_run_nodes | may_run_programme


@transaction.atomic
def set_terms(*, actor: Any, pool: Pool, turnaround_seconds: int, overcommit_percent: int, reason: str) -> Pool:
    """How long devices are cleaned between reservations, and by how much awards may exceed the pool. Operators and
    officers.

    It holds for what is booked and awarded from now on; what is promised already stays as it is. RuleBroken past a day
    or past 1,000 per cent.
    """
    require(actor, may_set_terms)
    limits = (
        ("turnaround_seconds", turnaround_seconds, LONGEST_TURNAROUND),
        ("overcommit_percent", overcommit_percent, MOST_OVERCOMMIT),
    )
    for field, value, most in limits:
        if not 0 <= value <= most:
            raise RuleBroken(
                _("This must be a number from 0 to %(most)s.") % {"most": most}, code="out_of_range", field=field
            )
    pool = _lock(pool)
    changes = {
        "turnaround_seconds": [pool.turnaround_seconds, turnaround_seconds],
        "overcommit_percent": [pool.overcommit_percent, overcommit_percent],
        "reason": reason,
    }
    pool.turnaround_seconds, pool.overcommit_percent = turnaround_seconds, overcommit_percent
    pool.save(update_fields=["turnaround_seconds", "overcommit_percent"])
    audit.record(actor=actor, verb="pool.set_terms", target=pool, changes=changes)
    return pool
