"""From active to ended: the end, the access, the cleaning, the account."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from allocations.models import Lease, Placement
from allocations.rules import may_retry
from allocations.selectors.leases import measured_rows
from allocations.selectors.windows import standing
from allocations.services import ending, extending, fitting, ledger, telling, warning
from allocations.services.crediting import credit_faults
from allocations.services.replacing import release
from allocations.services.steps import device_ids, lock_lease, move, open_placements
from allocations.services.usage import deciding
from allocations.services.waiting import STUCK_PAUSE, pursue
from audit import services as audit
from cluster.drivers.base import Step
from cluster.selectors import grants_of
from cluster.services import devices
from common.actors import RECONCILER
from common.errors import InvalidTransition
from common.nudge import nudge
from common.permissions import require
from telemetry.services import roll_up

NOT_CLEAN = gettext_noop("Not clean after use.")
_LIVE = ("available", "preparing", "in_use", "cleaning")


def step_active(lease: Lease, now: datetime) -> bool:
    """The end by the clock or by the nodes' own dead-man timers; else an extension or a change of GPUs goes on."""
    if lease.pending_ends_at and now < lease.ends_at:
        outcome, step = pursue(lease, "extend", now, hard_end=lease.pending_ends_at)
        if outcome == "done":
            extending.confirm(lease, actor=RECONCILER)
            return True
        if outcome in ("failed", "exhausted"):
            extending.give_up(lease, actor=RECONCILER, reason="; ".join(step.failures if step else ()))
            return True
    if now < lease.ends_at and not _all_revoked(lease, standing(lease)):
        return fitting.step(lease, now)
    if lease.pending_ends_at:
        extending.give_up(lease, actor=RECONCILER, reason="not acknowledged before the end")
    ending.start_draining(lease, "expire", actor=RECONCILER, end_reason=Lease.EndReason.EXPIRED, now=now)
    return True


def step_draining(lease: Lease, now: datetime) -> bool:
    """Access away; then the devices go into cleaning."""
    outcome, step = pursue(lease, "revoke", now)
    if outcome == "done" or (outcome != "failed" and lease.active_at and _all_revoked(lease, open_placements(lease))):
        _access_gone(lease, now)
        return True
    return _stick(lease, step, now) if outcome in ("failed", "exhausted") else False


def _access_gone(lease: Lease, now: datetime) -> None:
    revoked = [grant.revoked_at for grant in grants_of(lease.public_id) if grant.revoked_at]
    placements = open_placements(lease)
    live = device_ids(placements, "preparing", "in_use")
    devices.start_cleaning(actor=RECONCILER, devices=live, reason=lease.public_id)
    lease.access_gone_at = max(revoked) if revoked else now
    move(lease, "revoked", actor=RECONCILER, fields=("access_gone_at",), access_gone_at=lease.access_gone_at)


def step_reclaiming(lease: Lease, now: datetime) -> bool:
    """Clean and checked: the devices are available, the account is closed. Dirty: quarantine and people."""
    outcome, step = pursue(lease, "reclaim", now)
    if outcome == "done":
        _end(lease, now)
        return True
    if outcome == "failed" and step is not None:
        return _dirty(lease, step, now)
    return _stick(lease, step, now) if outcome == "exhausted" else False


def step_stuck(lease: Lease, now: datetime) -> bool:
    """A silent node is asked again every few minutes; a dirty device waits for an operator (`retry`)."""
    if lease.retry_at is None:
        return False
    return step_draining(lease, now) if lease.access_gone_at is None else step_reclaiming(lease, now)


def step_failed(lease: Lease, now: datetime) -> bool:
    """The devices that a failed lease had prepared come back through a reclaim, too."""
    placements = open_placements(lease)
    if not placements:
        return False
    outcome, step = pursue(lease, "reclaim", now)
    if outcome == "done":
        _give_back(lease, now)
        return True
    if outcome == "failed" and step is not None:
        _quarantine(lease, step)
        release(placements, now)
        telling.tell_operators(lease, "lease_stuck")
        return True
    if outcome == "exhausted" and lease.retry_at is None:
        lease.retry_at = now + STUCK_PAUSE
        lease.save(update_fields=["retry_at"])
        telling.tell_operators(lease, "lease_stuck")
    return False


@transaction.atomic
def retry(*, actor: Any, lease: Lease) -> Lease:
    """An operator has looked after a stuck return: quarantined devices go back to cleaning and are checked again."""
    lease = lock_lease(lease.pk)
    require(actor, may_retry)
    if lease.state != "reclaim_stuck":
        raise InvalidTransition("reservation", lease.state, "retry")
    placements = open_placements(lease)
    devices.clean(actor=actor, devices=device_ids(placements, "quarantined", "offline"), reason=lease.public_id)
    lease.generation += 1
    lease.state_reason = ""
    lease.access_gone_at = lease.access_gone_at or timezone.now()
    move(lease, "revoked", actor=actor, fields=("access_gone_at",), retried=True)
    ref = lease.public_id
    transaction.on_commit(lambda: nudge("allocations.reconcile_lease", ref))
    return lease


def only_waits(lease: Lease) -> bool:
    """Whether nobody has access under this lease any more and it only waits for its devices to be clean."""
    return lease.state == "failed" or (
        lease.state in ("reclaiming", "reclaim_stuck") and lease.access_gone_at is not None
    )


@transaction.atomic
def let_go(*, actor: Any, lease: Lease, device_ids: Iterable[int], reason: str) -> Lease:
    """A device that leaves the house is not waited for: the lease goes on without it, or ends if it was the last.

    WrongState while somebody may still have access.
    """
    require(actor, may_retry)
    lease = lock_lease(lease.pk)
    if not only_waits(lease):
        raise InvalidTransition("reservation", lease.state, "let_go")
    leaving = set(device_ids)
    gone = [row for row in open_placements(lease) if row.device_id in leaving]
    now = timezone.now()
    release(gone, now)
    lease.generation += 1
    lease.save(update_fields=["generation"])
    devices_gone = [row.device.public_id for row in gone]
    audit.record(actor=actor, verb="lease.let_go", target=lease, changes={"devices": devices_gone, "reason": reason})
    if lease.state != "failed" and not open_placements(lease):
        _end(lease, now)
    return lease


def _end(lease: Lease, now: datetime) -> None:
    measured = [row.device_id for row, start, end in measured_rows(lease, now) if end > start]
    _give_back(lease, now)
    if measured:
        roll_up(now, device_ids=measured)
    deciding.decide_lease(lease, now)
    lease.used_seconds = deciding.used_in_all(lease)
    lease.ended_at = now
    lease.state_reason = lease.state_reason if lease.end_reason == Lease.EndReason.RECLAIMED else ""
    charged = ledger.settle(lease, actor=RECONCILER, reason=str(lease.end_reason))
    credited = credit_faults(lease, charged, actor=RECONCILER)
    lease.allocation.refresh_from_db(fields=["state", "warned_percent"])  # it may have moved; settle holds its lock
    if credited:
        warning.after_a_return(lease.allocation)
    ledger.write_off(lease.allocation, actor=RECONCILER)
    changes = {
        "charged_device_seconds": charged,
        "credited_device_seconds": credited,
        "used_device_seconds": lease.used_seconds,
    }
    move(lease, "cleaned", actor=RECONCILER, fields=("used_seconds", "ended_at"), **changes)
    telling.tell_partner(lease, "lease_ended", charged=charged, credited=credited)


def _give_back(lease: Lease, now: datetime) -> None:
    placements = open_placements(lease)
    cleaning = device_ids(placements, "cleaning")
    devices.confirm_clean(actor=RECONCILER, devices=cleaning, reason=lease.public_id)
    release(placements, now)


def _dirty(lease: Lease, step: Step, now: datetime) -> bool:
    """The bad devices stay held and go to quarantine, the clean ones go back to everybody."""
    bad = _quarantine(lease, step)
    good = [row for row in open_placements(lease) if row.device.uuid not in bad]
    devices.confirm_clean(actor=RECONCILER, devices=device_ids(good, "cleaning"), reason=lease.public_id)
    release(good, now)
    return _stick(lease, step, now, wait_for_people=True)


def _quarantine(lease: Lease, step: Step) -> set[str]:
    bad = {report.uuid for report in step.reports if not report.passed}
    rows = [row for row in open_placements(lease) if row.device.uuid in bad]
    reason = f"{lease.public_id}: {NOT_CLEAN}"
    devices.quarantine(actor=RECONCILER, devices=device_ids(rows, *_LIVE), reason=reason)
    return bad


def _stick(lease: Lease, step: Step | None, now: datetime, *, wait_for_people: bool = False) -> bool:
    retry_at = None if wait_for_people else now + STUCK_PAUSE
    if lease.state == "reclaim_stuck":
        if wait_for_people:
            lease.retry_at = None
            lease.save(update_fields=["retry_at"])
        return wait_for_people
    lease.state_reason = "; ".join(step.failures if step else ())[:300]
    move(lease, "stick", actor=RECONCILER, reason=lease.state_reason)
    lease.retry_at = retry_at
    lease.save(update_fields=["retry_at"])
    telling.tell_operators(lease, "lease_stuck")
    return True


def _all_revoked(lease: Lease, rows: list[Placement]) -> bool:
    """Whether access is gone on every node of these placements where it was given."""
    nodes = {row.node_id for row in rows}
    grants = [grant for grant in grants_of(lease.public_id) if grant.node_id in nodes]
    return bool(grants) and all(grant.revoked_at for grant in grants)
