"""The sum of the ledger is the sum of what is placed, always; where it is not, it is named."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from allocations.models import Allocation, Lease, LedgerEntry
from allocations.selectors.balances import balance
from allocations.selectors.proof import ledger_faults
from allocations.services import ending, extending, replacing
from allocations.services.warning import step_of
from audit.models import AuditEvent
from notifications.models import Notification
from tests.allocations.conftest import Stage
from tests.allocations.test_reconcile import brought_back, go, started
from tests.factories import AllocationFactory

ODD = timedelta(seconds=7, microseconds=300_001)


def adds_up() -> bool:
    faults = list(ledger_faults())
    assert not faults, "\n".join(map(str, faults))
    return True


def test_windows_of_broken_seconds_add_up_through_every_verb(stage: Stage) -> None:
    lease = stage.book(3, hours=1 + 1 / 7)
    assert adds_up()
    for turn in range(1, 4):
        extending.extend(actor=stage.cast.owner, lease=lease, ends_at=lease.ends_at + turn * ODD)
        lease.refresh_from_db()
        assert adds_up()
    ending.cancel(actor=stage.cast.owner, lease=lease)
    assert adds_up() and balance(stage.allocation).left == stage.allocation.awarded_gpu_seconds


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_running_lease_with_a_later_end_adds_up(stage: Stage, confirmed: bool) -> None:
    lease = started(stage, hours=1 + 1 / 7)
    extending.extend(actor=stage.cast.owner, lease=lease, ends_at=lease.ends_at + ODD)
    lease.refresh_from_db()
    assert lease.pending_ends_at and adds_up()
    if confirmed:
        extending.confirm(lease, actor=stage.cast.owner)
    else:
        extending.give_up(lease, actor=stage.cast.owner, reason="silent")
    assert adds_up()
    lease.refresh_from_db()
    brought_back(go(lease, lease.ends_at), lease.ends_at + timedelta(minutes=2))
    assert adds_up()


def test_a_replaced_device_begins_later_and_an_extension_leaves_its_beginning(stage: Stage) -> None:
    """Its new device was somebody else's before: the window must not reach back into that."""
    lease = stage.book(2, start=0.2, hours=3)
    now = lease.starts_at + timedelta(minutes=7)
    row = lease.placements.order_by("device_id")[0]
    assert replacing.replace(lease, [row], now)
    later = lease.placements.get(released=False, window__startswith=now)
    extending.extend(actor=stage.cast.owner, lease=lease, ends_at=lease.ends_at + timedelta(hours=1))
    later.refresh_from_db()
    lease.refresh_from_db()
    assert (later.window.lower, later.window.upper) == (now, lease.ends_at)
    assert adds_up()


def corrupt(what: str, lease: Lease, allocation: Allocation) -> str:
    """Spoil one thing, past the services; the rule that says so."""
    entry: dict[str, Any] = {"allocation": allocation, "actor_label": "nobody"}
    if what == "hold":
        LedgerEntry.objects.create(lease=lease, kind="hold", device_seconds=-5, **entry)
        return "what is held"
    if what == "settle":
        LedgerEntry.objects.create(lease=lease, kind="settle", device_seconds=-5, **entry)
        return "not charged yet"
    if what == "window":
        row = lease.placements.all()[0]
        row.window = type(row.window)(row.window.lower, row.window.upper - timedelta(hours=1))
        row.save()
        return "what the placements take"
    if what == "over":
        Lease.objects.filter(pk=lease.pk).update(state="cancelled")
        return "holds nothing"
    if what == "award":
        LedgerEntry.objects.create(kind="award", device_seconds=5, **entry)
        return "entered once"
    if what == "adjustment":
        LedgerEntry.objects.create(kind="adjustment", device_seconds=-7, **entry)
        return "two people"
    if what == "weight":
        Lease.objects.filter(pk=lease.pk).update(weights=[[lease.starts_at.isoformat(), 1001]])
        return "window of every GPU"
    if what == "segment":
        LedgerEntry.objects.create(lease=lease, kind="return", device_seconds=7, weight=1000, **entry)
        LedgerEntry.objects.create(lease=lease, kind="hold", device_seconds=-7, weight=900, segment=1, **entry)
        return "segment 0 at its weight 1000"
    if what == "astray":
        other = AllocationFactory(project=allocation.project, pool=allocation.pool)
        LedgerEntry.objects.create(lease=lease, kind="credit", device_seconds=0, **entry | {"allocation": other})
        return "its own allocation"
    LedgerEntry.objects.create(kind="expiry", device_seconds=-(10**9), **entry)
    return "never overspent"


@pytest.mark.parametrize(
    "what", ["hold", "settle", "window", "over", "award", "overspent", "adjustment", "weight", "segment", "astray"]
)
def test_control_what_is_spoiled_is_named(stage: Stage, what: str) -> None:
    lease = stage.book(2)
    call_command("verify_ledger")
    rule = corrupt(what, lease, stage.allocation)
    with pytest.raises(CommandError, match=rule) as refused:
        call_command("verify_ledger")
    assert refused.value.returncode == 1
    stage.proved = False


@pytest.mark.parametrize(
    ("spent", "step"), [(0, 0), (49.9, 0), (50, 50), (74.9, 50), (75, 75), (90, 90), (99.9, 90), (100, 100)]
)
def test_the_steps(spent: float, step: int) -> None:
    assert step_of(1000, round(1000 - spent * 10)) == step


def told() -> list[str]:
    return list(Notification.objects.filter(event="allocation_spent").order_by("pk").values_list("subject", flat=True))


def test_managers_are_told_once_at_each_step_and_again_when_it_is_passed_again(stage: Stage) -> None:
    allocation = _small(stage, hours=100)
    people = 2  # owner and manager
    stage.book(4, start=1, hours=12, allocation=allocation)
    assert told() == []
    half = stage.book(1, start=20, hours=2, allocation=allocation)
    assert len(told()) == people and all("50" in subject for subject in told())
    stage.book(1, start=30, hours=2, allocation=allocation)
    assert len(told()) == people, "once"
    ending.cancel(actor=stage.cast.owner, lease=half)
    stage.book(1, start=33, hours=2, allocation=allocation)
    assert len(told()) == people, "52 % before, 50 % between: never below the step"
    stage.book(4, start=40, hours=12, allocation=allocation)
    assert len(told()) == 2 * people, "from 52 to 100 %: one notice"
    allocation.refresh_from_db()
    assert allocation.warned_percent == 100 and adds_up()
    assert AuditEvent.objects.filter(verb="allocation.warn").count() == 2
    ending.cancel(actor=stage.cast.owner, lease=Lease.objects.latest("pk"))
    allocation.refresh_from_db()
    assert allocation.warned_percent == 50
    stage.book(4, start=60, hours=10, allocation=allocation)
    assert len(told()) == 3 * people, "passed again"


def _small(stage: Stage, hours: int) -> Allocation:
    return AllocationFactory(project=stage.cast.project, pool=stage.pool, awarded_gpu_seconds=hours * 3600)


def test_owner_and_manager_are_told_and_nobody_else(stage: Stage) -> None:
    stage.book(1, start=1, hours=6, allocation=_small(stage, hours=10))
    recipients = set(Notification.objects.filter(event="allocation_spent").values_list("recipient_id", flat=True))
    assert recipients == {stage.cast.owner.pk, stage.cast.manager.pk}
