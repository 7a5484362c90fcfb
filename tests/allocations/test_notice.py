"""What giving back costs under the rules: said before, frozen then, and the ledger adds up for ever."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from allocations.models import Lease, LedgerEntry, PoolWeight
from allocations.selectors.balances import balance
from allocations.selectors.proof import ledger_faults
from allocations.selectors.rulebooks import bill_of
from allocations.services import ending, extending, ledger
from notifications.models import Notification
from tests.allocations.conftest import Stage
from tests.allocations.nodes import no_spares
from tests.allocations.rules import say
from tests.allocations.test_api import client
from tests.allocations.test_reconcile import answer, brought_back, go, started
from tests.allocations.test_views import sign_in

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def lines(lease: Lease) -> list[tuple[str, int, str]]:
    return list(lease.ledger.order_by("id").values_list("kind", "device_seconds", "reason"))


def set_clock(monkeypatch: Any, moment: datetime) -> None:
    monkeypatch.setattr(timezone, "now", lambda: moment)


def released(stage: Stage, monkeypatch: Any, lease: Lease, at: datetime) -> Lease:
    """The owner gives it back at this moment, and the node has let go; what was said before is what is charged."""
    set_clock(monkeypatch, at)
    said = bill_of(lease, at)
    ending.release(actor=stage.cast.owner, lease=lease)
    lease = brought_back(go(lease, at), at)
    assert lease.state == "ended"
    settled = sum(amount for kind, amount, _why in lines(lease) if kind in ("settle", "credit"))
    assert said.charged_seconds == -settled
    assert balance(stage.allocation).left == stage.allocation.awarded_gpu_seconds - said.charged_seconds
    return lease


@pytest.mark.parametrize(
    ("notice", "percent", "after", "charged", "credit"),
    [
        (0, 100, 3600, 3600, 0),
        (0, 100, 3599, 3599, 0),
        (1800, 100, 3600, 5400, 0),
        (3600, 100, 3601, 7200, 0),
        (7200, 100, 10, 7200, 0),
        (0, 50, 3600, 7200, 1800),
        (1800, 50, 3600, 7200, 900),
        (0, 0, 3600, 7200, 0),
        (7200, 0, 3600, 7200, 0),
        (0, 33, 3599, 7200, 1189),  # 3601 s are left: 3601 * 67 / 100 is 2412 whole seconds, 1189 come back
    ],
)
def test_an_early_return(
    stage: Stage, monkeypatch: Any, notice: int, percent: int, after: int, charged: int, credit: int
) -> None:
    say(stage, release_notice_seconds=notice // 60 * 60, early_return_percent=percent)
    lease = started(stage, count=1)  # of two hours
    lease = released(stage, monkeypatch, lease, lease.starts_at + timedelta(seconds=after))
    expected = [("hold", -7200, "booked"), ("return", 7200, "released"), ("settle", -charged, "released")]
    assert lines(lease) == expected + ([("credit", credit, "early return")] if credit else [])
    assert lease.returned_percent == percent and lease.charged_until is not None
    assert bill_of(lease, lease.ends_at + HOUR).charged_seconds == charged - credit, "what it cost, whenever one asks"


def test_the_notice_never_reaches_beyond_the_window(stage: Stage, monkeypatch: Any) -> None:
    say(stage, release_notice_seconds=24 * 3600, early_return_percent=10)
    lease = started(stage, count=3)
    lease = released(stage, monkeypatch, lease, lease.ends_at - timedelta(minutes=1))
    assert lease.charged_until == lease.ends_at
    assert ("settle", -3 * 7200, "released") in lines(lease) and len(lines(lease)) == 3


def test_rules_that_change_afterwards_change_nothing_of_it(stage: Stage, monkeypatch: Any) -> None:
    say(stage, early_return_percent=50)
    lease = started(stage, count=2)
    at = lease.starts_at + HOUR
    set_clock(monkeypatch, at)
    ending.release(actor=stage.cast.owner, lease=lease)
    say(stage, early_return_percent=0, release_notice_seconds=7200)
    lease = brought_back(go(lease, at), at)
    assert ("credit", 3600, "early return") in lines(lease)
    say(stage)
    assert not list(ledger_faults())


@pytest.mark.parametrize(("before", "charged"), [(7200, 0), (7199, 1), (3600, 3600), (60, 7140)])
def test_a_cancelled_lease_pays_what_lies_within_the_notice(
    stage: Stage, monkeypatch: Any, before: int, charged: int
) -> None:
    say(stage, release_notice_seconds=7200, early_return_percent=0)
    lease = stage.book(2, start=10, hours=2)
    at = lease.starts_at - timedelta(seconds=before)
    set_clock(monkeypatch, at)
    bill = bill_of(lease, at)
    assert (bill.charged_seconds, bill.back_seconds) == (2 * charged, 2 * (7200 - charged))
    ending.cancel(actor=stage.cast.owner, lease=lease)
    assert lines(lease)[1:] == [("return", 2 * 7200, "cancelled"), ("settle", -2 * charged, "cancelled")]
    assert balance(stage.allocation).left == stage.allocation.awarded_gpu_seconds - 2 * charged


def test_released_while_it_is_prepared_pays_the_notice_like_one_that_is_cancelled(
    stage: Stage, monkeypatch: Any
) -> None:
    say(stage, release_notice_seconds=3600, early_return_percent=0)
    lease = go(stage.book(1), stage.now + timedelta(minutes=55))
    assert lease.state == "preparing"
    at = lease.starts_at - timedelta(minutes=5)
    set_clock(monkeypatch, at)
    ending.release(actor=stage.cast.owner, lease=lease)
    lease = brought_back(go(lease, at), at)
    assert ("settle", -55 * 60, "released") in lines(lease)


def test_who_gives_up_waiting_for_a_late_handover_pays_nothing(stage: Stage, monkeypatch: Any) -> None:
    say(stage, release_notice_seconds=7200, early_return_percent=0)
    lease = go(stage.book(1), stage.now + timedelta(minutes=55))
    at = lease.starts_at + SECOND
    set_clock(monkeypatch, at)
    ending.release(actor=stage.cast.owner, lease=lease)
    lease = brought_back(go(lease, at), at)
    assert ("settle", 0, "released") in lines(lease) and lease.charged_until is None


@pytest.mark.parametrize("state", ["scheduled", "active"])
def test_the_agency_charges_no_notice_for_what_it_takes_back(stage: Stage, monkeypatch: Any, state: str) -> None:
    say(stage, release_notice_seconds=24 * 3600, early_return_percent=0)
    lease = stage.book(1) if state == "scheduled" else started(stage, count=1)
    at = lease.starts_at + (-HOUR / 2 if state == "scheduled" else HOUR)
    set_clock(monkeypatch, at)
    ending.reclaim(actor=stage.cast.officer, lease=lease, reason="needed elsewhere")
    if state == "active":
        lease = brought_back(go(lease, at), at)
    charged = 0 if state == "scheduled" else 3600
    assert lines(lease)[2] == ("settle", -charged, "reclaimed")


def test_a_handover_that_fails_charges_nothing(stage: Stage) -> None:
    say(stage, release_notice_seconds=24 * 3600, early_return_percent=0)
    lease = go(stage.book(1), stage.now + timedelta(minutes=55))
    no_spares(lease)
    answer(lease, "verify", "fail", bad=(lease.placements.get().device.uuid,))
    lease = go(lease, lease.starts_at)
    assert lease.state == "failed" and ("settle", 0, "failed") in lines(lease)


def test_an_extension_that_nobody_confirmed_is_given_up_before(stage: Stage, monkeypatch: Any) -> None:
    say(stage, early_return_percent=50)
    lease = started(stage, count=1)
    at = lease.starts_at + HOUR
    set_clock(monkeypatch, at)
    extending.extend(actor=stage.cast.owner, lease=lease, ends_at=lease.ends_at + HOUR)
    ending.release(actor=stage.cast.owner, lease=Lease.objects.get(pk=lease.pk))
    lease.refresh_from_db()
    lease = brought_back(go(lease, at), at)
    assert lease.extensions == 0
    assert ("settle", -7200, "released") in lines(lease) and ("credit", 1800, "early return") in lines(lease)


def test_a_window_that_ran_to_its_end_is_no_early_return(stage: Stage) -> None:
    say(stage, release_notice_seconds=3600, early_return_percent=0)
    lease = started(stage, count=1)
    lease = brought_back(go(lease, lease.ends_at), lease.ends_at)
    assert lines(lease)[1:] == [("return", 7200, "expired"), ("settle", -7200, "expired")]


def test_settling_twice_says_the_same(stage: Stage, monkeypatch: Any) -> None:
    say(stage, early_return_percent=50)
    lease = started(stage, count=1)
    lease = released(stage, monkeypatch, lease, lease.starts_at + HOUR)
    assert ledger.settle(lease, actor=stage.cast.owner, reason="released") == 5400
    assert LedgerEntry.objects.filter(lease=lease).count() == 4


def test_broken_seconds_add_up(stage: Stage, monkeypatch: Any) -> None:
    say(stage, early_return_percent=37, release_notice_seconds=60)
    lease = started(stage, count=5, hours=1 + 1 / 7)
    released(stage, monkeypatch, lease, lease.starts_at + timedelta(seconds=777, microseconds=333_333))


def test_control_a_credit_of_another_size_is_named(stage: Stage, monkeypatch: Any) -> None:
    say(stage, early_return_percent=50)
    lease = started(stage, count=1)
    lease = released(stage, monkeypatch, lease, lease.starts_at + HOUR)
    Lease.objects.filter(pk=lease.pk).update(returned_percent=60)
    assert any("early return" in str(fault) for fault in ledger_faults())
    stage.proved = False


def test_pages_and_api_say_beforehand_what_is_charged_and_what_comes_back(stage: Stage, monkeypatch: Any) -> None:
    say(stage, release_notice_seconds=3600, early_return_percent=50)
    lease = started(stage, count=2)
    set_clock(monkeypatch, lease.starts_at + timedelta(minutes=30))
    page = sign_in(stage.cast.owner).get(reverse("allocations:lease-release", args=[lease.public_id]))
    bill = page.context["bill"]
    assert (bill.charged_seconds, bill.back_seconds) == (2 * 6300, 2 * 900)
    text = page.content.decode()
    assert f"rule of the pool {stage.pool.name}" in text and "3.50" in text and "0.50" in text
    said = client(stage.cast.owner).get(f"/api/v1/leases/{lease.public_id}/bill/").data
    assert (said["charged_seconds"], said["back_seconds"]) == (2 * 6300, 2 * 900)
    assert said["notice_seconds"] == 3600 and said["notice_scope"] == "pool" and said["returned_percent"] == 50
    booked = stage.book(1, start=10)
    page = sign_in(stage.cast.owner).get(reverse("allocations:lease-cancel", args=[booked.public_id]))
    assert page.context["bill"].charged_seconds == 0


def test_the_mail_says_what_the_rules_kept(stage: Stage, monkeypatch: Any) -> None:
    say(stage, release_notice_seconds=1800, early_return_percent=50)
    lease = started(stage, count=1)
    released(stage, monkeypatch, lease, lease.starts_at + HOUR)
    note = Notification.objects.filter(event="lease_ended").latest("pk")
    assert "1.75" in note.body and "50 %" in note.body


def test_a_statement_calls_the_credit_by_its_name(stage: Stage, monkeypatch: Any) -> None:
    say(stage, early_return_percent=50)
    lease = started(stage, count=1)
    released(stage, monkeypatch, lease, lease.starts_at + HOUR)
    assert "given back early" in sign_in(stage.cast.owner).get(stage.allocation.get_absolute_url()).content.decode()


def test_notice_and_early_return_are_charged_by_the_weights_of_the_booking(stage: Stage, monkeypatch: Any) -> None:
    """Two hours, of which the second counts double: released after half an hour with half an hour's notice."""
    say(stage, release_notice_seconds=1800, early_return_percent=50)
    start = stage.now + HOUR
    PoolWeight.objects.create(
        pool=stage.pool, weight=2000, valid_from=start + HOUR, reason="x", set_by=stage.cast.officer
    )
    lease = started(stage, count=1)
    lease = released(stage, monkeypatch, lease, lease.starts_at + HOUR / 2)
    assert lines(lease)[-3:] == [
        ("settle", -3600, "released"),
        ("settle", -7200, "released"),
        ("credit", 3600, "early return"),
    ]
