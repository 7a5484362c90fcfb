"""Hours that were not used by the end of an allocation leave its balance, once, and the ledger says so."""

from datetime import timedelta

import pytest

from allocations.models import Allocation, LedgerEntry
from allocations.selectors.balances import balance
from allocations.services import awards, ending, ledger, reconcile
from audit.models import AuditEvent
from common.actors import RECONCILER
from tests.allocations.conftest import Stage
from tests.allocations.nodes import answer
from tests.allocations.test_api import client as api_of
from tests.allocations.test_reconcile import brought_back, go, started
from tests.allocations.test_views import sign_in
from tests.factories import AllocationFactory

AWARDED = 10_000 * 3600


def expiries(allocation: Allocation) -> list[int]:
    return list(allocation.ledger.filter(kind="expiry").order_by("id").values_list("device_seconds", flat=True))


def test_the_end_of_its_window_writes_off_what_is_left_once(stage: Stage) -> None:
    end = stage.allocation.valid_until
    reconcile.tick(now=end - timedelta(seconds=1))
    assert expiries(stage.allocation) == []
    for _turn in range(3):
        reconcile.tick(now=end)
    assert expiries(stage.allocation) == [-AWARDED]
    found = balance(stage.allocation)
    assert (found.left, found.expired, found.awarded) == (0, AWARDED, AWARDED)
    row = LedgerEntry.objects.get(kind="expiry")
    assert (row.actor_label, row.reason, row.lease) == (RECONCILER.label, "allocation expired", None)
    event = AuditEvent.objects.get(verb="allocation.expire")
    assert event.changes["expired_device_seconds"] == AWARDED


@pytest.mark.parametrize("state", ["suspended", "exhausted"])
def test_it_expires_from_every_state_that_is_not_over(stage: Stage, state: str) -> None:
    Allocation.objects.filter(pk=stage.allocation.pk).update(state=state)
    reconcile.tick(now=stage.allocation.valid_until)
    assert expiries(stage.allocation) == [-AWARDED]


def test_an_allocation_without_anything_left_gets_no_row(stage: Stage) -> None:
    spent = AllocationFactory(project=stage.cast.project, pool=stage.pool)
    ledger.enter(spent, LedgerEntry.Kind.SETTLE, -AWARDED, actor=RECONCILER)
    reconcile.tick(now=spent.valid_until)
    spent.refresh_from_db()
    assert spent.state == "expired" and expiries(spent) == []


def test_closing_leaves_to_booked_leases_what_they_hold(stage: Stage) -> None:
    lease = started(stage, count=2)
    held = 2 * 2 * 3600
    awards.close(actor=stage.cast.officer, allocation=stage.allocation, reason="The project is over.")
    assert expiries(stage.allocation) == [held - AWARDED]
    assert (balance(stage.allocation).held, balance(stage.allocation).left) == (held, 0)
    lease = brought_back(go(lease, lease.ends_at), lease.ends_at)
    found = balance(stage.allocation)
    assert lease.state == "ended" and (found.charged, found.held, found.left) == (held, 0, 0)
    assert expiries(stage.allocation) == [held - AWARDED]


def test_what_a_lease_gives_back_after_the_end_is_written_off_too(stage: Stage) -> None:
    lease = stage.book(2)
    held = 2 * 2 * 3600
    awards.close(actor=stage.cast.officer, allocation=stage.allocation, reason="The project is over.")
    ending.cancel(actor=stage.cast.owner, lease=lease)
    assert expiries(stage.allocation) == [held - AWARDED, -held]
    found = balance(stage.allocation)
    assert (found.left, found.charged, found.expired) == (0, 0, AWARDED)


def test_a_lease_that_outlives_its_allocation_is_charged_once_and_nothing_stays(stage: Stage) -> None:
    lease = started(stage, count=1)
    Allocation.objects.filter(pk=stage.allocation.pk).update(valid_until=lease.ends_at)
    reconcile.tick(now=lease.ends_at)  # the allocation expires while the lease is only beginning to be taken back
    lease.refresh_from_db()
    assert lease.state == "draining" and expiries(stage.allocation) == [2 * 3600 - AWARDED]
    answer(lease, "revoke")
    go(lease, lease.ends_at)
    answer(lease, "reclaim")
    go(lease, lease.ends_at + timedelta(seconds=20))
    found = balance(stage.allocation)
    assert (found.charged, found.expired, found.left) == (2 * 3600, AWARDED - 2 * 3600, 0)


def test_hours_of_an_allocation_that_is_not_over_stay(stage: Stage) -> None:
    lease = stage.book(2)
    ending.cancel(actor=stage.cast.owner, lease=lease)
    assert expiries(stage.allocation) == [] and balance(stage.allocation).left == AWARDED


def test_both_skins_say_what_expired(stage: Stage) -> None:
    reconcile.tick(now=stage.allocation.valid_until)
    page = sign_in(stage.cast.owner).get(stage.allocation.get_absolute_url()).content.decode()
    assert "Expired unused" in page
    url = f"/api/v1/allocations/{stage.allocation.public_id}/"
    assert api_of(stage.cast.owner).get(url + "balance/").data["expired"] == AWARDED
    assert [row["kind"] for row in api_of(stage.cast.owner).get(url + "ledger/").data["results"]] == ["award", "expiry"]
