"""What GPUs that are given back or replaced cost: weights over time, the notice, the early return, a later end."""

from __future__ import annotations

from datetime import timedelta

import pytest

from allocations.models import LedgerEntry
from allocations.selectors.balances import balance
from allocations.services import ending, extending, reshaping, weighing
from tests.allocations.conftest import Stage
from tests.allocations.nodes import answer
from tests.allocations.rules import say
from tests.allocations.test_reconcile import brought_back, go, started
from tests.allocations.test_reshaping import Clock, adds_up, clock, ill_one, refused

__all__ = ["clock"]
pytestmark = pytest.mark.django_db


def test_what_is_given_back_across_a_change_of_weight_comes_back_under_each(stage: Stage, clock: Clock) -> None:
    weighing.announce(
        actor=stage.cast.officer,
        pool=stage.pool,
        weight=1500,
        valid_from=stage.now + timedelta(hours=2),
        reason="summer",
    )
    lease = started(stage, count=3, start=1, hours=3)  # an hour at 1, two at 1.5
    assert balance(stage.allocation).held == 3 * 4 * 3600 and adds_up()
    at = clock(lease.starts_at + timedelta(minutes=90))
    reshaping.shrink(actor=stage.cast.owner, lease=lease, device_count=1)
    go(lease, at)
    answer(lease, "reshape", at=at)
    go(lease, at)
    back = list(lease.ledger.filter(kind="return").values_list("reason", "device_seconds", "weight"))
    assert back == [("shrunk", int(1.5 * 1.5 * 3600), 1500)] and adds_up()
    go(lease, lease.ends_at)
    lease = brought_back(lease, lease.ends_at + timedelta(seconds=5))
    assert balance(stage.allocation).charged == (2 * 4 + 1) * 3600 + int(0.5 * 1.5 * 3600) and adds_up()


def test_an_extension_after_giving_back_holds_what_is_left_and_no_more(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=3)
    at = clock(lease.starts_at + timedelta(hours=1))
    reshaping.shrink(actor=stage.cast.owner, lease=lease, device_count=2)
    go(lease, at)
    answer(lease, "reshape", at=at)
    go(lease, at)
    assert balance(stage.allocation).held == 7200 + 2 * 3600
    spare = balance(stage.allocation).left - 3600
    LedgerEntry.objects.create(
        allocation=stage.allocation, kind="expiry", device_seconds=-spare, actor_label="a test's"
    )
    extend = {"actor": stage.cast.owner, "lease": lease}
    refused(lambda: extending.extend(**extend, ends_at=lease.ends_at + timedelta(seconds=3601)), "balance")
    extending.extend(**extend, ends_at=lease.ends_at + timedelta(hours=1))
    assert balance(stage.allocation).left == 0 and adds_up()


def test_the_notice_and_the_early_return_hold_for_part_of_a_lease_as_for_all_of_it(stage: Stage, clock: Clock) -> None:
    say(stage, release_notice_seconds=1800, early_return_percent=50)
    lease = started(stage, count=3)
    at = clock(lease.starts_at + timedelta(minutes=30))
    reshape = reshaping.shrink(actor=stage.cast.owner, lease=lease, device_count=1)
    say(stage, release_notice_seconds=0, early_return_percent=100)
    go(lease, at)
    answer(lease, "reshape", at=at)
    go(lease, at)
    reshape.refresh_from_db()
    assert reshape.returned_seconds == 1800, "half an hour of notice, and half of the last hour"
    assert balance(stage.allocation).held == 3 * 7200 - 1800 and adds_up()
    go(lease, lease.ends_at)
    lease = brought_back(lease, lease.ends_at + timedelta(seconds=5))
    assert balance(stage.allocation).charged == 3 * 7200 - 1800 and adds_up()


def test_no_notice_is_paid_for_an_ill_gpu(stage: Stage, clock: Clock) -> None:
    say(stage, release_notice_seconds=1800)
    lease = started(stage, count=3)
    at = clock(lease.starts_at + timedelta(minutes=30))
    ill = ill_one(lease)
    reshape = reshaping.shrink(actor=stage.cast.owner, lease=lease, devices=[ill])
    go(lease, at)
    answer(lease, "reshape", at=at)
    go(lease, at)
    reshape.refresh_from_db()
    assert reshape.returned_seconds == 5400 and adds_up()


def test_a_lease_that_was_shrunk_and_is_released_pays_for_each_gpu_its_own_time(stage: Stage, clock: Clock) -> None:
    lease = started(stage, count=4)
    at = clock(lease.starts_at + timedelta(minutes=30))
    reshaping.shrink(actor=stage.cast.owner, lease=lease, device_count=2)
    go(lease, at)
    answer(lease, "reshape", at=at)
    go(lease, at)
    say(stage, early_return_percent=50)
    at = clock(lease.starts_at + timedelta(hours=1))
    ending.release(actor=stage.cast.owner, lease=lease)
    brought_back(go(lease, at), at + timedelta(seconds=5))
    charged = balance(stage.allocation).charged - balance(stage.allocation).credited
    assert charged == 2 * 1800 + 2 * (3600 + 1800) and adds_up()
