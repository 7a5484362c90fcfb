"""Every way a lease ends before or at its time: cancel, release, reclaim, expire."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from allocations.models import Allocation, Lease, Placement
from allocations.rules import may_end, may_reclaim
from allocations.selectors.availability import of_others
from allocations.selectors.boards import overlap
from allocations.selectors.rulebooks import bill_of
from allocations.services import entries, extending, keeping, ledger, overtaking, telling, waking
from allocations.services.retrying import retried
from allocations.services.steps import lock_lease, move, open_placements
from common.errors import InvalidTransition, RuleBroken
from common.nudge import nudge
from common.permissions import require

TAKEN_BACK = ("draining", "reclaiming", "reclaim_stuck", "failed")
RUNNING = ("preparing", "prepare_stuck", "active")
OFFER_ENDS = {
    "decline": ("decline", Lease.EndReason.DECLINED),
    "leave": ("decline", Lease.EndReason.DECLINED),
    "lapse": ("lapse", Lease.EndReason.LAPSED),
    "withdraw": ("withdraw", Lease.EndReason.WITHDRAWN),
    "drop": ("withdraw", Lease.EndReason.WITHDRAWN),
}
"""What happens to the entry of an offer that is not taken: (what happens to the lease, why it ended)."""


@retried
def cancel(*, actor: Any, lease: Lease) -> Lease:
    """Give a scheduled lease up: devices free, hold given back; charged is only what lies within the notice."""
    lease = lock_lease(lease.pk)
    require(actor, may_end, lease)
    _freeze_charge(lease, timezone.now())
    return _cancel(lease, actor, Lease.EndReason.CANCELLED)


@retried
def release(*, actor: Any, lease: Lease) -> Lease:
    """Give a running lease back early; what was not used comes back to the allocation when the node has let go.

    The notice is charged and the part of the rest that comes back is settled by the rules of this moment.
    """
    lease = lock_lease(lease.pk)
    require(actor, may_end, lease)
    if lease.state == "scheduled":
        raise InvalidTransition("reservation", lease.state, "release", ("cancel",))
    now = timezone.now()
    if lease.pending_ends_at:
        extending.give_up(lease, actor=actor, reason="released before it was confirmed")
    _freeze_charge(lease, now)
    return start_draining(lease, "release", actor=actor, end_reason=Lease.EndReason.RELEASED, now=now)


@retried
def reclaim(*, actor: Any, lease: Lease, reason: str, returned_percent: int = 100) -> Lease:
    """Take a lease back for the agency, whatever its state before the end, with a reason that the partner reads.

    `returned_percent` of what is left of the window of one that runs comes back.
    """
    lease = lock_lease(lease.pk)
    require(actor, may_reclaim)
    if not reason.strip():
        raise RuleBroken(
            _("A reclaim needs a reason."), code="reason_missing", remedy=_("Write one sentence."), field="reason"
        )
    lease.state_reason = reason.strip()[:300]
    if lease.state == "scheduled":
        return _cancel(lease, actor, Lease.EndReason.RECLAIMED)
    if lease.state == "offered":
        return take_offer_back(lease, "withdraw", actor=actor, reason=lease.state_reason)
    if returned_percent != lease.returned_percent:
        lease.returned_percent = returned_percent
        lease.save(update_fields=["returned_percent"])
    return start_draining(lease, "release", actor=actor, end_reason=Lease.EndReason.RECLAIMED, now=timezone.now())


def take_offer_back(lease: Lease, event: str, *, actor: Any, reason: str = "") -> Lease:
    """An offer of the wait-list is over: devices free, hold given back; its entry moves by `event`, its people know.

    The caller has locked the lease.
    """
    of_lease, end_reason = OFFER_ENDS[event]
    lease.offer_until = None
    lease.state_reason = reason[:300]
    _give_up(lease, of_lease, actor, end_reason)
    entries.offer_is_over(lease, event, actor=actor, reason=reason)
    return lease


def _freeze_charge(lease: Lease, now: datetime) -> None:
    """What a partner's own end costs is decided once: rules that change later change nothing of it."""
    closing = bill_of(lease, now).closing
    lease.charged_until, lease.returned_percent = closing.charged_until, closing.returned_percent
    lease.save(update_fields=["charged_until", "returned_percent"])


def _cancel(lease: Lease, actor: Any, end_reason: str) -> Lease:
    charged = _give_up(lease, "cancel", actor, end_reason)
    telling.tell_partner(lease, "lease_ended", charged=charged)
    return lease


def _give_up(lease: Lease, event: str, actor: Any, end_reason: str) -> int:
    """What has not begun is over; the device-seconds that are charged for it all the same."""
    lease.ended_at = timezone.now()
    lease.end_reason = end_reason
    fields = ("ended_at", "end_reason", "offer_until")
    move(lease, event, actor=actor, fields=fields, reason=lease.state_reason)
    placements = open_placements(lease)
    lease.placements.filter(released=False).update(released=True)
    if lease.allocation.envelope_key is not None:  # what its promise keeps is written by one at a time
        Allocation.objects.select_for_update(no_key=True).get(pk=lease.allocation_id)
    keeping.keep(lease.allocation, [row.device for row in placements])
    reopen_windows({row.node_id for row in placements})
    charged = ledger.settle(lease, actor=actor, reason=str(end_reason))
    waking.wake_pools_of(row.node_id for row in placements)
    return charged


def start_draining(lease: Lease, event: str, *, actor: Any, end_reason: str, now: datetime) -> Lease:
    """From a running state to draining: a new generation, windows open until the devices are clean.

    The reconciler takes the access away; the nudge only saves it a tick. The caller has locked the lease.
    """
    lease.drained_at = min(now, lease.ends_at)
    lease.end_reason = end_reason
    lease.pending_ends_at = None
    lease.generation += 1
    move(lease, event, actor=actor, fields=("drained_at", "end_reason", "pending_ends_at"), reason=lease.state_reason)
    overtaking.overtake(lease, now, actor=actor)
    open_windows(lease)
    telling.tell_partner(lease, "lease_ending")
    ref = lease.public_id
    transaction.on_commit(lambda: nudge("allocations.reconcile_lease", ref))
    return lease


def open_windows(lease: Lease) -> None:
    """Keep the devices until they are confirmed clean: no end, or the next booking of the same device (or, by another
    organisation, of the same node where that is lent whole).

    Of a lease that goes on, those alone that it gives up.

    A booking that follows stays booked; it cannot begin before the device is available, and the reconciler moves it
    to another device if this one is not back in time.
    """
    placements = _given_up(lease)
    others = Placement.objects.filter(
        ~Q(lease=lease), released=False, window__startswith__gt=lease.starts_at
    ).order_by()
    on_board = others.filter(board__in={row.board_id for row in placements})
    on_node = others.filter(
        of_others([lease.allocation.project.organisation_id]), node__in={row.node_id for row in placements}
    )
    boards = list(on_board.values_list("board", "slices", "window__startswith"))
    nodes = list(on_node.values_list("node", "window__startswith").distinct())
    moved = []
    for placement in placements:
        begin = placement.window.lower
        there = [
            at for board, slices, at in boards if board == placement.board_id and overlap(slices, placement.slices)
        ]
        there += [at for node, at in nodes if node == placement.node_id]
        # A device that came on the way may have been somebody else's, or maintained, since the lease began.
        window = DateTimeTZRange(begin, min((at for at in there if at > begin), default=None))
        if placement.window != window:
            placement.window = window
            moved.append(placement)
    Placement.objects.bulk_update(moved, ["window"])


def _given_up(lease: Lease) -> list[Placement]:
    """All of a lease's devices while it is taken back; of one that goes on, those that leave it."""
    taken_back = lease.state in TAKEN_BACK
    return [row for row in open_placements(lease) if taken_back or row.left_by_id is not None]


def keep_open(lease: Lease) -> None:
    """Whoever's step was under way when the booking that came next went was passed by (SKIP LOCKED): the tick makes up
    for it. One query where every window is open. The caller has locked the lease.
    """
    if any(row.window.upper is not None for row in _given_up(lease)):
        open_windows(lease)


def reopen_windows(nodes: set[int]) -> None:
    """A booking that came next has gone: whoever is still being taken back from these nodes keeps them open again."""
    there = Placement.objects.filter(node__in=nodes, released=False)
    coming_back = Q(state__in=TAKEN_BACK, pk__in=there.values("lease"))
    leases = (
        Lease.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
        .filter(coming_back | Q(pk__in=there.exclude(left_by=None).values("lease")))
        .select_related("allocation__project")
        .order_by("pk")
    )
    for lease in leases:
        open_windows(lease)
