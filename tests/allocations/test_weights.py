"""A second of a GPU may count more or less from a moment on; what is booked keeps what it was booked under."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from allocations.charging import NORMAL
from allocations.models import Lease, LedgerEntry, PoolWeight
from allocations.selectors.balances import balance
from allocations.selectors.offers import Wish, find_slots
from allocations.selectors.proof import ledger_faults
from allocations.services import changing, ending, extending, ledger, weighing
from allocations.shapes import ANY
from audit.models import AuditEvent
from common.errors import Forbidden, RuleBroken, WrongState
from notifications.models import Mail, Notification
from tests.allocations.conftest import Stage
from tests.allocations.test_ledger_proof import adds_up
from tests.allocations.test_reconcile import brought_back, go, started

HOUR = timedelta(hours=1)


def announced(stage: Stage, weight: int, hours: float, **fields: Any) -> PoolWeight:
    """A weight of the pool from so many hours from now on."""
    asked = {"actor": stage.cast.officer, "pool": stage.pool, "reason": "summer"} | fields
    return weighing.announce(weight=weight, valid_from=stage.now + hours * HOUR, **asked)


def entered(lease: Lease, kind: str) -> list[tuple[int, int | None]]:
    """(hours, weight) of a lease's lines of one kind."""
    rows = lease.ledger.filter(kind=kind).order_by("pk")
    return [(row.device_seconds // 3600, row.weight) for row in rows]


def test_a_lease_across_a_change_is_held_and_settled_in_two_lines(stage: Stage) -> None:
    announced(stage, 1500, hours=3)
    lease = started(stage, count=2, start=1, hours=6)
    assert entered(lease, "hold") == [(-4, 1000), (-12, 1500)]
    assert balance(stage.allocation).held == 16 * 3600 and adds_up()
    lease = go(lease, lease.ends_at)
    brought_back(lease, lease.ends_at + timedelta(minutes=1))
    assert entered(lease, "return") == [(4, 1000), (12, 1500)]
    assert entered(lease, "settle") == [(-4, 1000), (-12, 1500)]
    assert balance(stage.allocation).charged == 16 * 3600 and adds_up()


def test_a_return_before_the_change_is_charged_under_the_first_weight_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced(stage, 1500, hours=3)
    lease = started(stage, count=2, start=1, hours=6)
    monkeypatch.setattr("allocations.services.ending.timezone.now", lambda: stage.now + 2 * HOUR)
    lease = ending.release(actor=stage.cast.owner, lease=lease)
    go(lease, stage.now + 2 * HOUR)
    brought_back(lease, stage.now + 2.1 * HOUR)
    assert entered(lease, "settle") == [(-2, 1000)]
    assert balance(stage.allocation).held == 0 and adds_up()


def test_settling_again_changes_nothing_and_the_database_forbids_it(stage: Stage) -> None:
    """As after a crash between the settlement and whatever follows it."""
    announced(stage, 1500, hours=3)
    lease = started(stage, count=2, start=1, hours=6)
    lease = go(lease, lease.ends_at)
    brought_back(lease, lease.ends_at + timedelta(minutes=1))
    before = list(LedgerEntry.objects.values_list("pk", flat=True))
    with transaction.atomic():
        assert ledger.settle(lease, actor=stage.cast.officer, reason="expired") == 16 * 3600
    assert list(LedgerEntry.objects.values_list("pk", flat=True)) == before
    for segment in (0, 1):
        with pytest.raises(IntegrityError, match="lease_settles_once"), transaction.atomic():
            LedgerEntry.objects.create(
                allocation=stage.allocation, lease=lease, kind="settle", device_seconds=0, segment=segment
            )


def test_a_crash_in_the_middle_of_settling_leaves_nothing_and_the_next_turn_settles(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced(stage, 1500, hours=3)
    lease = stage.book(2, start=1, hours=6)

    def dies(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(ledger, "write_off", dies)
        ending.cancel(actor=stage.cast.owner, lease=lease)
    assert lease.ledger.filter(kind__in=("return", "settle")).count() == 0
    lease.refresh_from_db()
    assert lease.state == "scheduled"
    ending.cancel(actor=stage.cast.owner, lease=lease)
    assert balance(stage.allocation).left == stage.allocation.awarded_gpu_seconds and adds_up()


def test_what_is_booked_keeps_its_weights_and_what_is_added_has_those_of_today(stage: Stage) -> None:
    lease = stage.book(2, start=1, hours=2)
    announced(stage, 3000, hours=0)
    lease.refresh_from_db()
    assert entered(lease, "hold") == [(-4, 1000)] and lease.weights == [] and adds_up()
    lease = extending.extend(actor=stage.cast.owner, lease=lease, ends_at=lease.ends_at + HOUR)
    assert entered(lease, "hold") == [(-4, 1000), (-6, 3000)] and adds_up()
    fresh = stage.book(1, start=1, hours=1)
    assert entered(fresh, "hold") == [(-3, 3000)] and adds_up()


def test_a_changed_reservation_is_weighed_anew(stage: Stage) -> None:
    """Else one GPU booked in time would be the old price of sixty-four."""
    lease = stage.book(1, start=1, hours=4)
    announced(stage, 2000, hours=3)
    ask = {"starts_at": lease.starts_at, "ends_at": lease.ends_at, "shape": ANY}
    lease = changing.change(actor=stage.cast.owner, lease=lease, device_count=4, **ask)
    assert balance(stage.allocation).held == (4 * 2 + 4 * 2 * 2) * 3600 and adds_up()
    ending.cancel(actor=stage.cast.owner, lease=lease)
    assert balance(stage.allocation).left == stage.allocation.awarded_gpu_seconds and adds_up()


@pytest.mark.parametrize("confirmed", [True, False])
def test_an_extension_across_a_change_is_confirmed_or_given_up_whole(stage: Stage, confirmed: bool) -> None:
    lease = started(stage, count=1, start=1, hours=2)
    announced(stage, 1500, hours=4)
    extending.extend(actor=stage.cast.owner, lease=lease, ends_at=lease.ends_at + 3 * HOUR)
    lease.refresh_from_db()
    assert lease.pending_ends_at and adds_up()
    if confirmed:
        extending.confirm(lease, actor=stage.cast.owner)
    else:
        extending.give_up(lease, actor=stage.cast.owner, reason="silent")
    assert balance(stage.allocation).held == ((2 + 1 + 3) if confirmed else 2) * 3600 and adds_up()


def test_a_withdrawn_weight_is_none_but_for_what_was_booked_under_it(stage: Stage) -> None:
    weight = announced(stage, 2000, hours=2)
    before = stage.book(1, start=1, hours=2)
    weighing.withdraw(actor=stage.cast.officer, weight=weight, reason="a slip")
    after = stage.book(1, start=1, hours=2)
    assert entered(before, "hold") == [(-1, 1000), (-2, 2000)]
    assert entered(after, "hold") == [(-2, 1000)] and adds_up()
    with pytest.raises(WrongState):
        weighing.withdraw(actor=stage.cast.officer, weight=weight, reason="again")
    announced(stage, 500, hours=2)


def test_a_weight_in_force_is_not_withdrawn(stage: Stage) -> None:
    weight = announced(stage, 2000, hours=0)
    with pytest.raises(WrongState):
        weighing.withdraw(actor=stage.cast.officer, weight=weight, reason="late")
    with pytest.raises(IntegrityError, match="weight_withdrawn_in_time"), transaction.atomic():
        PoolWeight.objects.update(withdrawn_at=stage.now + HOUR)


@pytest.mark.parametrize(
    ("weight", "hours", "reason", "code"),
    [
        (1500, -1, "x", "weight_in_past"),
        (0, 1, "x", "weight_bounds"),
        (100_001, 1, "x", "weight_bounds"),
        (1500, 1, "  ", "reason_missing"),
        (1500, 2, "x", "weight_taken"),
    ],
)
def test_refusals_name_their_rule(stage: Stage, weight: int, hours: float, reason: str, code: str) -> None:
    announced(stage, 1100, hours=2)
    with pytest.raises(RuleBroken) as refused:
        announced(stage, weight, hours, reason=reason)
    assert refused.value.code == code and refused.value.remedy and PoolWeight.objects.count() == 1


@pytest.mark.parametrize("who", ["owner", "operator", "auditor", "reviewer"])
def test_only_officers_weigh(stage: Stage, who: str) -> None:
    with pytest.raises(Forbidden):
        announced(stage, 1500, 2, actor=getattr(stage.cast, who))


def test_managers_are_told_and_the_audit_log_knows(stage: Stage) -> None:
    announced(stage, 1250, hours=48, reason="new hardware")
    told = Notification.objects.filter(event="weight_announced")
    assert set(told.values_list("recipient_id", flat=True)) == {stage.cast.owner.pk, stage.cast.manager.pk}
    assert all("1.25" in note.body and "new hardware" in note.body for note in told)
    assert Mail.objects.filter(address=stage.cast.owner.email).exists()
    event = AuditEvent.objects.get(verb="pool.weigh")
    assert event.changes["weight"] == 1250


def test_the_refusal_for_lack_of_hours_names_the_longest_window_that_the_weights_allow(stage: Stage) -> None:
    announced(stage, 2000, hours=5000)
    with pytest.raises(RuleBroken) as refused:
        stage.allocation.concurrent_gpus = 12
        stage.book(12, start=1, hours=24 * 80, allocation=stage.allocation)
    assert refused.value.code == "balance"
    end = datetime.fromisoformat(refused.value.facts["latest_end"])
    assert stage.book(12, start=1, hours=(end - stage.now) / HOUR - 1)


def test_booking_asks_no_more_of_the_database_where_there_are_weights(stage: Stage) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as asked:
            stage.book(1, start=1, hours=2)
        return len(asked)

    statements()
    plain = statements()
    for number in range(1, 6):
        announced(stage, 1000 + number, hours=number / 2)
    assert statements() == plain


def test_slots_are_offered_where_the_balance_bears_them(stage: Stage) -> None:
    """Dear now and cheap in ten hours: the first window that can be paid lies then."""
    announced(stage, 4000, hours=0)
    announced(stage, NORMAL, hours=10)
    stage.allocation.ledger.create(
        kind="expiry", device_seconds=10 * 3600 - stage.allocation.awarded_gpu_seconds, actor_label="x"
    )
    wish = Wish(2, 2, 4 * HOUR, stage.now, stage.now + 48 * HOUR)
    first = find_slots([stage.allocation], wish, stage.now)[0]
    assert stage.now + 9 * HOUR < first.start < stage.now + 10 * HOUR
    assert 8 * 3600 < first.hold_seconds <= 10 * 3600
    assert stage.book(2, start=(first.start - stage.now) / HOUR, hours=4) and not list(ledger_faults())
