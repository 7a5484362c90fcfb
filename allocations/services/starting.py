"""From scheduled to active, or to failed."""

from datetime import datetime, timedelta

from django.utils.translation import gettext_noop

from allocations.models import Lease, Placement
from allocations.selectors.availability import LEAD
from allocations.services import ending, ledger, replacing, telling
from allocations.services.steps import device_ids, move, open_placements
from allocations.services.waiting import STUCK_PAUSE, pursue
from audit import services as audit
from cluster.drivers.base import Step
from cluster.services import devices
from common.actors import RECONCILER

PATIENCE = timedelta(minutes=5)
"""How long past its start a lease waits for its own devices before others are looked for."""
GIVE_UP = timedelta(minutes=30)
"""How long past its start a lease waits at all."""


def step_scheduled(lease: Lease, now: datetime) -> bool:
    """Prepare when the lead begins and the devices are there; replace those that will not be; give up at last."""
    if now < lease.starts_at - LEAD:
        return False
    placements = open_placements(lease)
    awaited = replacing.promised_before(lease, placements)
    missing = [row for row in placements if row.device_id in awaited or not replacing.is_ready(row)]
    if not missing and now < lease.ends_at:
        _prepare(lease, placements)
        return True
    if now >= min(lease.ends_at, lease.starts_at + GIVE_UP):
        fail(lease, gettext_noop("The GPUs were not ready in time."), now, bad=[])
        return True
    gone = [row for row in missing if replacing.is_gone(row)]
    return bool(replacing.replace(lease, missing if now >= lease.starts_at + PATIENCE else gone, now))


def _prepare(lease: Lease, placements: list[Placement]) -> None:
    devices.prepare(actor=RECONCILER, devices=[row.device_id for row in placements], reason=lease.public_id)
    move(lease, "prepare", actor=RECONCILER)


def step_preparing(lease: Lease, now: datetime) -> bool:
    """Verify, wait for the start, grant, hand over. Ends here too when its time is over."""
    if now >= lease.ends_at:
        ending.start_draining(lease, "expire", actor=RECONCILER, end_reason=Lease.EndReason.EXPIRED, now=now)
        return True
    if lease.verified_at is None:
        return _verify(lease, now)
    gone = [row.device.uuid for row in open_placements(lease) if replacing.is_ill(row)]
    if gone:
        return _without(lease, gone, gettext_noop("A GPU was lost before the start."), now)
    if now < lease.starts_at:
        return False
    outcome, step = pursue(lease, "grant", now)
    if outcome == "done":
        _hand_over(lease, now)
        return True
    if outcome in ("failed", "exhausted"):
        return _stick(lease, step, now)
    return False


def _verify(lease: Lease, now: datetime) -> bool:
    outcome, step = pursue(lease, "verify", now)
    if outcome == "done":
        lease.verified_at = now
        lease.attempts = 0
        lease.save(update_fields=["verified_at", "attempts"])
        audit.record(actor=RECONCILER, verb="lease.verified", target=lease, changes={"generation": lease.generation})
        return True
    if outcome == "failed" and step is not None:
        bad = [report.uuid for report in step.reports if not report.passed]
        return _without(lease, bad, gettext_noop("A GPU did not pass its check before the start."), now)
    return _stick(lease, step, now) if outcome == "exhausted" else False


def _without(lease: Lease, bad: list[str], reason: str, now: datetime) -> bool:
    """Go on with other devices in place of these, or fail where there are none."""
    if not replacing.replace_failed(lease, bad, reason, now):
        fail(lease, reason, now, bad=bad)
    return True


def _stick(lease: Lease, step: Step | None, now: datetime) -> bool:
    if lease.state == "prepare_stuck":
        return False
    lease.state_reason = "; ".join(step.failures if step else ())[:300]
    move(lease, "stick", actor=RECONCILER, reason=lease.state_reason)
    lease.retry_at = now + STUCK_PAUSE
    lease.save(update_fields=["retry_at"])
    telling.tell_operators(lease, "lease_stuck")
    return True


def _hand_over(lease: Lease, now: datetime) -> None:
    placements = open_placements(lease)
    devices.hand_over(actor=RECONCILER, devices=device_ids(placements, "preparing"), reason=lease.public_id)
    lease.active_at = now
    lease.state_reason = ""
    move(lease, "hand_over", actor=RECONCILER, fields=("active_at",))
    telling.tell_partner(lease, "lease_active")


def fail(lease: Lease, reason: str, now: datetime, *, bad: list[str]) -> None:
    """Not handed over: hold back, bad devices to quarantine, the others through cleaning, people told."""
    placements = open_placements(lease)
    ill = [row for row in placements if row.device.uuid in bad]
    rest = [row for row in placements if row.device.uuid not in bad]
    lease.state_reason = reason
    lease.ended_at = now
    lease.end_reason = Lease.EndReason.FAILED
    touched = lease.state != "scheduled"
    lease.generation += 1
    move(lease, "fail", actor=RECONCILER, fields=("ended_at", "end_reason"), reason=reason, devices=bad)
    if ill:
        ids = device_ids(ill, "preparing", "available", "cleaning")
        devices.quarantine(actor=RECONCILER, devices=ids, reason=f"{lease.public_id}: {reason}")
    if touched:
        devices.start_cleaning(actor=RECONCILER, devices=device_ids(rest, "preparing"), reason=lease.public_id)
        replacing.release(ill, now)
        ending.open_windows(lease)
    else:
        replacing.release(placements, now)
    ledger.settle(lease, actor=RECONCILER, reason="failed")
    telling.tell_partner(lease, "lease_failed")
    telling.tell_operators(lease, "lease_failed")
