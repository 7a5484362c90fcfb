"""Hours that are decided at one moment by several hands: each is counted once in its day. With the control."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from allocations.models import Lease, UsageDay, UsageHour
from allocations.services.usage import deciding
from tests.allocations.usage.measuring import HOUR, NOON, held
from tests.concurrency.test_booking_race import RACE, WRITERS, _race
from tests.concurrency.test_reconcile_race import ended, running
from tests.factories import PoolFactory, make_node

DAWN = NOON - 10 * HOUR
"""Eight hours from here lie in one day of Seoul."""


def _lease() -> Lease:
    return held(list(make_node(PoolFactory(), 2).devices.all()), DAWN, DAWN + 8 * HOUR)


def _decide(lease: Lease, writer: int, between: threading.Barrier | None = None) -> bool:
    """An hour of the lease and its day, as the job and the end of a lease write them."""
    since = DAWN + writer * HOUR
    with transaction.atomic():
        deciding._insert(since, since + HOUR, since + 2 * HOUR, [lease.pk])
        if between:
            between.wait(30)
        deciding.make_days(since, since + HOUR, [lease.pk])
    return True


@RACE
def test_hours_that_are_entered_at_once_are_all_in_their_day() -> None:
    lease, between = _lease(), threading.Barrier(WRITERS)
    assert all(result is True for result in _race(lambda writer: _decide(lease, writer, between)))
    assert UsageHour.objects.count() == 2 * WRITERS
    assert UsageDay.objects.get().held_seconds == 2 * WRITERS * 3600


@RACE
def test_control_without_the_lock_a_day_loses_what_others_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    lease = _lease()
    monkeypatch.setattr(deciding, "lock_days", lambda: None)
    results: list[Any] = []
    with transaction.atomic():
        _decide(lease, 0)
        with running(lambda: _decide(lease, 1), results):
            pass  # it has added up what it sees, which is not the first hour, and waits for the day's row
    assert ended(results) is True
    assert UsageHour.objects.count() == 2 * 2
    assert UsageDay.objects.get().held_seconds == 2 * 3600, "the first hour's two GPUs are lost"


@RACE
def test_eight_deciders_and_the_end_of_a_lease_decide_each_hour_once() -> None:
    lease = _lease()
    Lease.objects.filter(pk=lease.pk).update(drained_at=DAWN + 7 * HOUR + timedelta(minutes=30))
    lease.refresh_from_db()

    def attempt(writer: int) -> bool:
        if writer % 2:
            deciding.decide(DAWN + 12 * HOUR)
            return True
        with transaction.atomic():
            deciding.decide_lease(lease, DAWN + 12 * HOUR)
        return True

    assert all(result is True for result in _race(attempt))
    held_seconds = UsageHour.objects.totals()["held_seconds"]
    assert held_seconds == UsageDay.objects.totals()["held_seconds"] == 2 * int(7.5 * 3600)
