"""Moving the end: promised here, true only when every node has acknowledged it."""

import logging
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, transaction
from django.utils.translation import gettext as _

from allocations.charging import frozen, spliced
from allocations.models import Allocation, Lease
from allocations.rules import may_extend
from allocations.selectors.balances import hold_of, window_lines
from allocations.selectors.rulebooks import rulebook_of
from allocations.selectors.weights import weights_of
from allocations.services import checks, ledger, overtaking, placing, telling, waking, warning
from allocations.services.placing import LostRace
from allocations.services.retrying import AGAIN, EXCLUSION, TURNS, code_of
from allocations.services.rule_checks import check_extension
from allocations.services.steps import lock_lease
from allocations.services.yearly import year_allows
from audit import services as audit
from common.errors import InvalidTransition, RuleBroken, WrongState
from common.nudge import nudge
from common.permissions import require

log = logging.getLogger(__name__)

EXTENDABLE = ("scheduled", "active")


def extend(*, actor: Any, lease: Lease, ends_at: datetime) -> Lease:
    """Ask for a later end. RuleBroken when the devices are promised to somebody else or the balance does not suffice.

    A scheduled lease has its new end at once. A running one keeps its old end until the nodes have acknowledged the
    new one (`pending_ends_at`); the hours are held meanwhile.
    """
    for turn in range(TURNS):
        try:
            return _extend(actor=actor, lease=lease, ends_at=ends_at.astimezone(UTC))
        except LostRace:
            break
        except DatabaseError as error:
            code = code_of(error)
            if code == EXCLUSION:
                break
            if code not in AGAIN:  # a deadlock with a lease of the same award that is settled
                raise
            log.info("%s extended again after %s, turn %s", lease.public_id, code, turn)
    raise RuleBroken(
        _(
            "The same GPUs, or the nodes that they are on, are reserved by somebody else after the present end, or "
            "their node is maintained then."
        ),
        code="no_free_devices",
        remedy=_("Book a new reservation, or choose an earlier end."),
        field="ends_at",
    )


@transaction.atomic
def _extend(*, actor: Any, lease: Lease, ends_at: datetime) -> Lease:
    lease = lock_lease(lease.pk)
    require(actor, may_extend, lease)
    if lease.state not in EXTENDABLE:
        raise InvalidTransition("reservation", lease.state, "extend")
    if lease.pending_ends_at:
        raise WrongState(
            _("An earlier extension is still waiting for the node."),
            code="extension_pending",
            remedy=_("Please try again in a minute."),
        )
    overtaking.refuse_while_reshaping(lease)
    if ends_at <= lease.ends_at:
        raise RuleBroken(
            _("The new end must come after the present one."),
            code="not_later",
            remedy=_("The present end is %(end)s.") % {"end": telling.local(lease.ends_at)},
            field="ends_at",
        )
    allocation = checks.lock_allocation(lease.allocation_id)
    _check(allocation, lease, ends_at)
    old = lease.ends_at
    before = window_lines(lease, old)
    # What it held before keeps its weights; the time that is added has those of today.
    weights = spliced(lease.prices, weights_of(allocation), old)
    hold, left = checks.balance_suffices(
        allocation,
        lease.device_count,
        lease.starts_at,
        ends_at,
        already=hold_of(lease.device_count, lease.starts_at, old, lease.prices, lease.share),
        weights=weights,
        share=lease.share,
    )
    year_allows(allocation, lease.device_count, lease.starts_at, ends_at, weights=weights, share=lease.share, but=lease)
    _move_windows(lease, ends_at)
    lease.weights = frozen(weights, lease.starts_at, ends_at)
    ledger.hold(lease, before, window_lines(lease, ends_at), actor=actor, reason="extension")
    warning.after_a_hold(allocation, left)
    _promise(lease, ends_at)
    changes = {"ends_at": [old, ends_at], "held_device_seconds": hold, "acknowledged": lease.pending_ends_at is None}
    audit.record(actor=actor, verb="lease.extend", target=lease, changes=changes)
    return lease


def _check(allocation: Allocation, lease: Lease, ends_at: datetime) -> None:
    book = rulebook_of(allocation)
    check_extension(book, allocation, lease, ends_at)
    checks.allocation_covers(allocation, lease.starts_at, ends_at)
    checks.concurrency(allocation, lease.device_count, lease.ends_at, ends_at, but=lease, book=book, share=lease.share)


def _move_windows(lease: Lease, ends_at: datetime) -> None:
    ids = list(lease.placements.filter(released=False).values_list("device_id", flat=True))
    devices = placing.lock(ids)
    placing.check_free(devices, lease.ends_at, ends_at, allocation=lease.allocation, but=lease, bookable=False)
    placing.move_end(lease, ends_at)


def _promise(lease: Lease, ends_at: datetime) -> None:
    if lease.state == "scheduled":
        lease.ends_at = ends_at
    else:
        lease.pending_ends_at = ends_at
        lease.extensions += 1
        lease.generation += 1
        lease.attempts = 0
        ref = lease.public_id
        transaction.on_commit(lambda: nudge("allocations.reconcile_lease", ref))
    lease.save(update_fields=["ends_at", "pending_ends_at", "extensions", "generation", "attempts", "weights"])


def confirm(lease: Lease, *, actor: Any) -> None:
    """The nodes have acknowledged: the new end counts. The caller has locked the lease."""
    old, lease.ends_at = lease.ends_at, lease.pending_ends_at or lease.ends_at
    lease.pending_ends_at = None
    lease.attempts = 0
    lease.save(update_fields=["ends_at", "pending_ends_at", "attempts"])
    audit.record(actor=actor, verb="lease.extended", target=lease, changes={"ends_at": [old, lease.ends_at]})


def give_up(lease: Lease, *, actor: Any, reason: str) -> None:
    """No acknowledgement: the old end stands, the window shrinks back, the hours come back, and it does not count."""
    asked, lease.pending_ends_at = lease.pending_ends_at or lease.ends_at, None
    lease.extensions = max(0, lease.extensions - 1)
    lease.attempts = 0
    lease.save(update_fields=["pending_ends_at", "extensions", "attempts"])
    allocation = Allocation.objects.select_for_update(no_key=True).get(pk=lease.allocation_id)
    placing.move_end(lease, lease.ends_at, back=True)
    waking.wake_pools_of(row.node_id for row in lease.placements.filter(released=False))
    before, after = window_lines(lease, asked), window_lines(lease, lease.ends_at)
    ledger.hold(lease, before, after, actor=actor, reason="extension not acknowledged")
    warning.after_a_return(allocation)
    ledger.write_off(allocation, actor=actor)
    audit.record(actor=actor, verb="lease.extension_lost", target=lease, changes={"asked": asked, "reason": reason})
