"""Hours that are decided at one moment by several hands: each is counted once in its day. With the control."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import transaction

from allocations.models import Lease, UsageDay, UsageHour
from allocations.services.usage import deciding
from tests.allocations.usage.measuring import HOUR, NOON, held
from tests.concurrency.test_booking_race import RACE, WRITERS, _race
from tests.factories import PoolFactory, make_node

DAWN = NOON - 10 * HOUR
"""Eight hours from here lie in one day of Seoul."""


def _lease() -> Lease:
    return held(list(make_node(PoolFactory(), 2).devices.all()), DAWN, DAWN + 8 * HOUR)


def _decide(lease: Lease, writer: int, between: threading.Barrier, *, held_seconds: float = 0) -> bool:
    """An hour of the lease and its day, as the job and the end of a lease write them; the commit that much later."""
    since = DAWN + writer * HOUR
    with transaction.atomic():
        deciding._insert(since, since + HOUR, since + 2 * HOUR, [lease.pk])
        between.wait(30)
        deciding.make_days(since, since + HOUR, [lease.pk])
        time.sleep(held_seconds)
    return True


@RACE
def test_hours_that_are_entered_at_once_are_all_in_their_day() -> None:
    lease, between = _lease(), threading.Barrier(WRITERS)
    assert all(result is True for result in _race(lambda writer: _decide(lease, writer, between)))
    assert UsageHour.objects.count() == 2 * WRITERS
    assert UsageDay.objects.get().held_seconds == 2 * WRITERS * 3600


@RACE
def test_control_without_the_lock_a_day_loses_what_others_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    lease, between = _lease(), threading.Barrier(WRITERS)
    monkeypatch.setattr(deciding, "lock_days", lambda: None)
    # held, so that all have begun when the first commits, on a busy machine, too
    assert all(result is True for result in _race(lambda writer: _decide(lease, writer, between, held_seconds=0.1)))
    assert UsageHour.objects.count() == 2 * WRITERS
    assert UsageDay.objects.get().held_seconds < 2 * WRITERS * 3600


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
