"""Two reconcilers at once: one tick works, a lease that somebody holds is passed by, no step is done twice."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone

from allocations.models import Lease
from allocations.services import booking, reconcile
from audit.models import AuditEvent
from cluster.models import Device, NodeCommand, Pool
from tests.concurrency.test_booking_race import RACE, WRITERS, _race
from tests.factories import AllocationFactory, Cast, PoolFactory, make_cast, make_node

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def stage(leases: int) -> tuple[Cast, list[Lease], datetime]:
    """So many leases of two devices that are due to be prepared, those that end first first; and when that is."""
    cast, pool = make_cast(), PoolFactory()
    make_node(pool, 8)
    start = timezone.now() + timedelta(hours=1)
    made = [_book(cast, pool, start, hours=1 + number) for number in range(leases)]
    return cast, made, start - timedelta(minutes=5)


def _book(cast: Cast, pool: Pool, start: datetime, hours: int) -> Lease:
    return booking.book(
        actor=cast.owner,
        allocation=AllocationFactory(project=cast.project, pool=pool),
        device_count=2,
        starts_at=start,
        ends_at=start + timedelta(hours=hours),
    )


@contextmanager
def held(query: Any) -> Iterator[None]:
    """Rows that somebody else's transaction holds locked meanwhile."""
    ready, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                list(query.select_for_update(of=("self",)))
                ready.set()
                done.wait(60)
        finally:
            ready.set()
            connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait(30)
    try:
        yield
    finally:
        done.set()
        thread.join(60)


@contextmanager
def running(verb: Any, results: list[Any]) -> Iterator[None]:
    """`verb` in a thread of its own, waiting for a lock when the block begins; what it returned is in `results`."""

    def run() -> None:
        try:
            results.append(verb())
        except Exception as error:
            results.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    until_somebody_waits(thread)
    try:
        yield
    finally:
        results.append(thread)


def until_somebody_waits(thread: threading.Thread) -> None:
    """Until a connection to this database waits for a lock: other tests have others of the same server."""
    pause = threading.Event()
    while thread.is_alive():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # within a transaction the view stands still otherwise
            cursor.execute(WAITING)
            if cursor.fetchone()[0]:
                return
        pause.wait(0.02)
    raise AssertionError("it ended without waiting for anybody")


def ended(results: list[Any]) -> Any:
    """What the thread of `running` returned, once nobody holds it up any more."""
    thread = next(result for result in results if isinstance(result, threading.Thread))
    thread.join(60)
    return next(result for result in results if result is not thread)


def state_of(lease: Lease) -> str:
    return Lease.objects.values_list("state", flat=True).get(pk=lease.pk)


@RACE
def test_of_two_ticks_at_once_only_one_works() -> None:
    _cast, (first, second), now = stage(2)
    results: list[Any] = []
    with (
        held(Device.objects.filter(placements__lease=first)),
        running(lambda: reconcile.tick(now=now), results),  # in the middle of the first lease, waiting for its devices
    ):
        assert reconcile.tick(now=now) == 0
        assert (state_of(first), state_of(second)) == ("scheduled", "scheduled")
        # Control: it was the tick's lock and nothing else that kept the second tick from this lease.
        assert reconcile.reconcile_lease(second.public_id, now=now) > 0
        assert state_of(second) == "preparing"
    assert ended(results) > 0 and state_of(first) == "preparing"
    assert AuditEvent.objects.filter(verb="lease.prepare").count() == 2
    assert reconcile.tick(now=now) == 0


@RACE
def test_a_tick_that_died_leaves_no_lock_behind() -> None:
    _cast, (lease,), now = stage(1)
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [reconcile.TICK_LOCK])
        assert reconcile.tick(now=now) == 0 and state_of(lease) == "scheduled"
    finally:
        other.close()  # as PostgreSQL sees a worker that was killed
    deadline = time.monotonic() + 10  # a busy server needs a moment to notice
    while not reconcile.tick(now=now):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert state_of(lease) == "preparing"


@RACE
def test_a_lease_that_somebody_holds_is_passed_by_and_the_others_go_on() -> None:
    _cast, (first, second), now = stage(2)
    with held(Lease.objects.filter(pk=first.pk)):
        with pytest.raises(DatabaseError), transaction.atomic():  # control: the row is really held
            Lease.objects.select_for_update(nowait=True).get(pk=first.pk)
        assert reconcile.reconcile_lease(first.public_id, now=now) == 0
        assert reconcile.tick(now=now) > 0
        assert (state_of(first), state_of(second)) == ("scheduled", "preparing")
    assert reconcile.tick(now=now) > 0 and state_of(first) == "preparing"


@RACE
def test_an_allocation_that_somebody_holds_is_passed_by() -> None:
    cast, _leases, now = stage(0)
    held_one = AllocationFactory(project=cast.project, pool=PoolFactory(), state="pending")
    free_one = AllocationFactory(project=cast.project, pool=PoolFactory(), state="pending")
    with held(type(held_one).objects.filter(pk=held_one.pk)):
        assert reconcile.tick(now=now) == 1
    held_one.refresh_from_db()
    free_one.refresh_from_db()
    assert (held_one.state, free_one.state) == ("pending", "active")


@RACE
def test_eight_reconcilers_of_one_lease_do_each_step_once() -> None:
    _cast, (lease,), now = stage(1)
    results = _race(lambda _writer: reconcile.reconcile_lease(lease.public_id, now=now))
    assert all(isinstance(result, int) for result in results), results
    assert AuditEvent.objects.filter(verb="lease.prepare").count() == 1
    assert NodeCommand.objects.filter(lease_ref=lease.public_id, verb="verify").count() == 1


@RACE
def test_control_reconcilers_that_only_look_do_the_step_eight_times() -> None:
    between = threading.Barrier(WRITERS)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE naive_lease (id int, state text)")
        cursor.execute("CREATE TABLE naive_step (lease int)")
        cursor.execute("INSERT INTO naive_lease VALUES (1, 'scheduled')")

    def attempt(_writer: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT state FROM naive_lease WHERE id = 1")
            due = cursor.fetchone()[0] == "scheduled"
            between.wait(30)
            if due:
                cursor.execute("UPDATE naive_lease SET state = 'preparing' WHERE id = 1")
                cursor.execute("INSERT INTO naive_step VALUES (1)")

    try:
        _race(attempt)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM naive_step")
            assert cursor.fetchone()[0] == WRITERS
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE naive_lease")
            cursor.execute("DROP TABLE naive_step")
