"""A change of GPUs, carried out: the new device checked, access moved node by node, the old ones cleaned, the account.

Before anything is moved it can be undone. From then on it goes forward only: a node that does not answer is asked again
until it does, or until the lease ends and everything is taken back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_noop

from allocations.charging import Lines
from allocations.lifecycle import RESHAPE
from allocations.models import Allocation, Lease, Placement, Reshape
from allocations.selectors.balances import window_lines
from allocations.selectors.windows import standing
from allocations.services import ledger, placing, replacing, standins, telling, warning
from allocations.services.overtaking import move_reshape
from allocations.services.placing import LostRace
from allocations.services.steps import device_ids
from allocations.services.waiting import STUCK_PAUSE, Outcome, look, may_try_again, pursue
from cluster.drivers.base import Step
from cluster.selectors import LENDABLE, grants_of
from cluster.services import devices
from common.actors import RECONCILER

NOT_CLEAN = gettext_noop("Not clean after use.")
ILL = gettext_noop("It was ill while it was in use.")
NO_STAND_IN = gettext_noop("No other GPU passed its check.")
_LIVE = ("available", "preparing", "in_use", "cleaning")


@dataclass(frozen=True)
class Part:
    """One verb of the move: about which placements, and which of them leave."""

    verb: str
    rows: list[Placement]
    leaving: list[Placement]


def step(lease: Lease, now: datetime) -> bool:
    """The next step of the change that is under way; False where there is none, or where it waits for a node."""
    reshape = lease.reshapes.under_way().select_for_update(of=("self",), no_key=True).first()
    if reshape is None:
        return False
    reshape.lease = lease
    stages: dict[str, Callable[[Lease, Reshape, datetime], bool]] = {
        "checking": _check,
        "fitting": _fit,
        "fitting_stuck": _fit,
        "cleaning": _clean,
        "cleaning_stuck": _clean,
    }
    return stages[reshape.state](lease, reshape, now)


def _coming(reshape: Reshape) -> list[Placement]:
    return _open(reshape.coming)


def _leaving(reshape: Reshape) -> list[Placement]:
    return _open(reshape.leaving)


def _open(rows: Any) -> list[Placement]:
    around = ("device__node", "device__gpu_class", "lease__allocation__envelope")
    return list(rows.filter(released=False).select_related(*around).order_by("device_id"))


def _check(lease: Lease, reshape: Reshape, now: datetime) -> bool:
    """The ladder for the device that comes, before it is given to anybody."""
    rows = _coming(reshape)
    if not rows:  # somebody was faster at the last try
        return _another(lease, reshape, [], now)
    outcome, seen = pursue(lease, "verify", now, rows=rows)
    if outcome == "done":
        move_reshape(reshape, "checked", actor=RECONCILER)
        return True
    if outcome == "failed" and seen is not None:
        reason = f"{lease.public_id}: {gettext_noop('A GPU did not pass its check before the start.')}"
        devices.quarantine(actor=RECONCILER, devices=device_ids(rows, *_LIVE), reason=reason)
        return _another(lease, reshape, rows, now)
    if outcome == "exhausted":
        devices.start_cleaning(actor=RECONCILER, devices=device_ids(rows, "preparing"), reason=lease.public_id)
        return _another(lease, reshape, rows, now)
    return False


def _another(lease: Lease, reshape: Reshape, rows: list[Placement], now: datetime) -> bool:
    """Another device in the place of the one that did not pass, or everything as it was."""
    replacing.release(rows, now)
    (row,) = _leaving(reshape)
    found = None
    if reshape.coming.count() < replacing.MOST_REPLACEMENTS:
        try:
            found = standins.take(lease, reshape, row, now)
        except LostRace:
            return False  # the tick comes again, and what is released is not asked about any more
    if found is None:
        _undo(lease, reshape, now)
        return True
    lease.generation += 1
    _count_anew(lease)
    return True


def _undo(lease: Lease, reshape: Reshape, now: datetime) -> None:
    reshape.leaving.update(left_by=None)
    placing.move_end(lease, lease.ends_at, back=True)
    reshape.ended_at = now
    move_reshape(reshape, "undo", actor=RECONCILER, fields=("ended_at",), reason=NO_STAND_IN)
    _count_anew(lease)
    for tell in (telling.tell_partner, telling.tell_operators):
        tell(lease, "lease_swap_failed")


def _parts(lease: Lease, reshape: Reshape) -> list[Part]:
    """What is to be said to whom: nodes that the lease keeps, enters, and leaves."""
    kept, coming, leaving = standing(lease), _coming(reshape), _leaving(reshape)
    before = {row.node_id for row in (*kept, *leaving)}
    after = {row.node_id for row in (*kept, *coming)}
    touched = {row.node_id for row in (*coming, *leaving)} & before & after
    parts = [
        Part(
            "reshape",
            [row for row in (*kept, *coming) if row.node_id in touched],
            [row for row in leaving if row.node_id in touched],
        ),
        Part("grant", [row for row in coming if row.node_id not in before], []),
        Part("revoke", [row for row in leaving if row.node_id not in after], []),
    ]
    return [part for part in parts if part.rows]


def _fit(lease: Lease, reshape: Reshape, now: datetime) -> bool:
    """Access moves on every node at once; the change counts when all of them have acknowledged it."""
    outcome, steps = _pursue_all(lease, _parts(lease, reshape), now)
    if outcome == "done":
        _fitted(lease, reshape, steps, now)
        return True
    return _stick(lease, reshape, steps, now) if outcome == "exhausted" else False


def _pursue_all(lease: Lease, parts: list[Part], now: datetime) -> tuple[Outcome, dict[str, Step]]:
    """As `pursue`, for verbs that go to different nodes in one generation."""
    seen = {part.verb: look(lease, part.verb, rows=part.rows, leaving=part.leaving) for part in parts}
    steps = {verb: found for verb, (found, _issue) in seen.items() if found is not None}
    for found, issue in seen.values():
        if found is None:
            issue(now)
    if len(steps) < len(parts) or any(found.state == "waiting" for found in steps.values()):
        return "waiting", steps
    if all(found.state == "done" for found in steps.values()):
        return "done", steps
    if not may_try_again(lease, now):
        return "exhausted", steps
    for part in parts:
        look(lease, part.verb, rows=part.rows, leaving=part.leaving)[1](now)
    return "waiting", {}


def _fitted(lease: Lease, reshape: Reshape, steps: dict[str, Step], now: datetime) -> None:
    """The nodes have done it: devices change their states, the time of use of each is written down, hours return."""
    allocation = Allocation.objects.select_for_update(no_key=True).get(pk=lease.allocation_id)
    coming, leaving, held = _coming(reshape), _leaving(reshape), window_lines(lease, lease.ends_at)
    moved = steps.get("reshape")
    gone = dict(moved.left_at) if moved else {}
    by_node = {grant.node_id: grant.revoked_at for grant in grants_of(lease.public_id)}
    for row in leaving:
        at = gone.get(row.device.uuid) or by_node.get(row.node_id) or now
        row.used_until = min(max(at, reshape.asked_at), now)  # whatever a node's clock says
    for row in coming:
        row.used_from = now
    Placement.objects.bulk_update([*leaving, *coming], ["used_from", "used_until"])
    lease.device_count += len(coming) - len(leaving)
    lease.shape_nodes = reshape.shape_nodes
    lease.reshaped = True
    lease.save(update_fields=["device_count", "shape_nodes", "reshaped"])
    _count_anew(lease)
    reshape.access_gone_at = max((row.used_until for row in leaving if row.used_until), default=now)
    reshape.returned_seconds = _give_back_hours(allocation, lease, held)
    devices.hand_over(actor=RECONCILER, devices=device_ids(coming, "preparing"), reason=lease.public_id)
    devices.start_cleaning(actor=RECONCILER, devices=device_ids(leaving, "in_use"), reason=lease.public_id)
    _take_in(lease, leaving, moved, now)
    move_reshape(
        reshape,
        "fitted",
        actor=RECONCILER,
        fields=("access_gone_at", "returned_seconds"),
        device_count=lease.device_count,
        returned_device_seconds=reshape.returned_seconds,
    )


def _give_back_hours(allocation: Allocation, lease: Lease, held: Lines) -> int:
    """What was held beyond what the devices' windows take now; the device-seconds that came back."""
    back = -ledger.hold(lease, held, window_lines(lease, lease.ends_at), actor=RECONCILER, reason="shrunk")
    if back:
        warning.after_a_return(allocation)
        ledger.write_off(allocation, actor=RECONCILER)
    return back


def _take_in(lease: Lease, rows: list[Placement], seen: Step | None, now: datetime) -> list[Placement]:
    """Devices of which the node has said how they are: clean ones are everybody's, the others quarantined."""
    passed = {report.uuid: report.passed for report in (seen.reports if seen else ())}
    told = [row for row in rows if row.device.uuid in passed]
    dirty = [row for row in told if not passed[row.device.uuid]]
    ill = [row for row in told if row not in dirty and row.device.health not in LENDABLE]
    for bad, reason in ((dirty, NOT_CLEAN), (ill, ILL)):
        ids = device_ids(bad, *_LIVE)
        devices.quarantine(actor=RECONCILER, devices=ids, reason=f"{lease.public_id}: {reason}")
    devices.confirm_clean(actor=RECONCILER, devices=device_ids(told, "cleaning"), reason=lease.public_id)
    replacing.release(told, now)
    if dirty:
        telling.tell_operators(lease, "device_not_clean", count=len(dirty))
    return told


def _clean(lease: Lease, reshape: Reshape, now: datetime) -> bool:
    """The devices of nodes that the lease has left: the login and its files go, the devices are checked."""
    rows = _leaving(reshape)
    if not rows:
        reshape.ended_at = now
        move_reshape(reshape, "cleaned", actor=RECONCILER, fields=("ended_at",))
        _count_anew(lease)
        telling.tell_partner(lease, f"lease_{reshape.kind}_done", returned=reshape.returned_seconds)
        return True
    found, issue = look(lease, "reclaim", rows=rows)
    if found is None:
        issue(now)
        return False
    if _take_in(lease, rows, found, now):
        return True
    if found.state == "waiting":
        return False
    if not may_try_again(lease, now):
        return _stick(lease, reshape, {"reclaim": found}, now)
    look(lease, "reclaim", rows=rows)[1](now)
    return False


def _stick(lease: Lease, reshape: Reshape, steps: dict[str, Step], now: datetime) -> bool:
    """Nobody answers: said once, asked again every few minutes."""
    if not RESHAPE.allows(reshape.state, "stick"):
        return False
    failures = "; ".join(failure for found in steps.values() for failure in found.failures)[:300]
    move_reshape(reshape, "stick", actor=RECONCILER, reason=failures)
    lease.retry_at = now + STUCK_PAUSE
    lease.save(update_fields=["retry_at"])
    telling.tell_operators(lease, "reshape_stuck", failures=failures)
    return True


def _count_anew(lease: Lease) -> None:
    lease.attempts, lease.retry_at = 0, None
    lease.save(update_fields=["generation", "attempts", "retry_at"])
