"""From scheduled to active, or to failed."""

from datetime import datetime, timedelta

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.utils.translation import gettext_noop

from allocations.models import Lease, Placement
from allocations.selectors import LEAD, free_devices
from allocations.services import ending, ledger, placing, telling
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
_GONE = ("offline", "quarantined", "rma", "retired")
_LOST_NODES = ("unreachable", "fenced", "maintenance")


def step_scheduled(lease: Lease, now: datetime) -> bool:
    """Prepare when the lead begins and the devices are there; replace those that will not be; give up at last."""
    if now < lease.starts_at - LEAD:
        return False
    placements = open_placements(lease)
    awaited = _promised_before(lease, placements)
    missing = [row for row in placements if row.device_id in awaited or not _ready(row)]
    if not missing and now < lease.ends_at:
        _prepare(lease, placements)
        return True
    if now >= min(lease.ends_at, lease.starts_at + GIVE_UP):
        fail(lease, gettext_noop("The GPUs were not ready in time."), now, bad=[])
        return True
    gone = [row for row in missing if row.device.state in _GONE or row.device.node.state in _LOST_NODES]
    return _replace(lease, missing if now >= lease.starts_at + PATIENCE else gone, now)


def _ready(row: Placement) -> bool:
    return row.device.state == "available" and row.device.node.state not in _LOST_NODES


def _promised_before(lease: Lease, placements: list[Placement]) -> set[int]:
    """Devices that an earlier lease still has or waits for: they may be free at this moment and are not this lease's.

    A device that comes back late from one lease is wanted by two that are due: the one whose turn it is gets it.
    """
    earlier = Placement.objects.filter(
        device_id__in=[row.device_id for row in placements], released=False, window__startswith__lt=lease.starts_at
    )
    return set(earlier.exclude(lease=lease).values_list("device_id", flat=True))


def _prepare(lease: Lease, placements: list[Placement]) -> None:
    devices.prepare(actor=RECONCILER, devices=[row.device_id for row in placements], reason=lease.public_id)
    move(lease, "prepare", actor=RECONCILER)


def _replace(lease: Lease, missing: list[Placement], now: datetime) -> bool:
    """Move placements to devices that are ready; False when there are none to be had."""
    if not missing:
        return False
    start = max(lease.starts_at, now)
    chosen = placing.choose(list(free_devices(lease.allocation.pool, start, lease.ends_at, now=now)), len(missing))
    if chosen is None:
        return False
    locked = placing.lock(device.pk for device in chosen)
    try:
        placing.check_bookable(lease.allocation.pool, (device.pk for device in locked), start, lease.ends_at)
        placing.check_free((device.pk for device in locked), start, lease.ends_at)
    except placing.LostRace:
        return False
    swaps = {row.device.public_id: device.public_id for row, device in zip(missing, locked, strict=True)}
    release(missing, now)  # cut to now: what these devices measure later is not this lease's
    placing.place(lease, locked, start, lease.ends_at)
    audit.record(actor=RECONCILER, verb="lease.replace_devices", target=lease, changes={"devices": swaps})
    return True


def step_preparing(lease: Lease, now: datetime) -> bool:
    """Verify, wait for the start, grant, hand over. Ends here too when its time is over."""
    if now >= lease.ends_at:
        ending.start_draining(lease, "expire", actor=RECONCILER, end_reason=Lease.EndReason.EXPIRED, now=now)
        return True
    if lease.verified_at is None:
        return _verify(lease, now)
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
        fail(lease, gettext_noop("A GPU did not pass its check before the start."), now, bad=bad)
        return True
    return _stick(lease, step, now) if outcome == "exhausted" else False


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
        release(ill, now)
        ending.open_windows(lease)
    else:
        release(placements, now)
    ledger.settle(lease, actor=RECONCILER, reason="failed")
    telling.tell_partner(lease, "lease_failed")
    telling.tell_operators(lease, "lease_failed")


def release(placements: list[Placement], now: datetime) -> None:
    """These placements no longer hold their device; their window ends now."""
    for row in placements:
        row.window = DateTimeTZRange(row.window.lower, max(now, row.window.lower + timedelta(microseconds=1)))
        row.released = True
    Placement.objects.bulk_update(placements, ["window", "released"])
