"""A late return, the booking that comes next and goes, and somebody who wants its window, in one moment.

While devices are taken back their windows are open, up to whatever comes next. The control opens a window as one would
write it first: look who follows, and write.
"""

import inspect
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from allocations.models import Lease, Placement
from allocations.services import booking, ending, reconcile
from cluster.models import Device
from common.errors import DomainError
from tests.allocations.nodes import answer
from tests.concurrency.test_booking_race import RACE, _overlaps
from tests.concurrency.test_lock_order import open_transaction
from tests.concurrency.test_operators_race import race
from tests.concurrency.test_promise_race import Elsewhere
from tests.concurrency.test_reconcile_race import until_somebody_waits
from tests.concurrency.test_reshape_race import HOUR, consistent, running, settle
from tests.factories import AllocationFactory, PoolFactory, make_cast, make_node


class Scene:
    """A lease on both GPUs of a node that was just given back, and one of the same organisation that comes next."""

    def __init__(self) -> None:
        self.cast, self.pool = make_cast(), PoolFactory()
        make_node(self.pool, 2)
        self.late = running(self.cast, self.pool, 2)
        self.start = self.late.ends_at + HOUR
        self.next = self.book(0)
        ending.release(actor=self.cast.owner, lease=self.late)
        self.late.refresh_from_db()
        assert self.late.state == "draining" and self.ends() == {self.start}

    def book(self, hours: float) -> Lease:
        """Both GPUs for an hour, so many hours after the next one's start."""
        start = self.start + hours * HOUR
        award = AllocationFactory(project=self.cast.project, pool=self.pool)
        devices = list(Device.objects.filter(node__pool=self.pool))
        window = {"starts_at": start, "ends_at": start + HOUR}
        return booking.book(actor=self.cast.owner, allocation=award, device_count=2, devices=devices, **window)

    def ends(self) -> set[Any]:
        """Until when the devices that are taken back are kept."""
        return {row.window.upper for row in self.late.placements.filter(released=False)}

    def law(self) -> bool:
        """Kept until the start of whatever lies there next, or without an end."""
        others = Placement.objects.filter(released=False).exclude(lease=self.late)
        starts = {row.window.lower for row in others}
        return self.ends() == {min(starts, default=None)}


@RACE
def test_a_window_that_was_passed_by_while_its_lease_was_at_work_is_opened_by_the_tick() -> None:
    scene = _passed_by()
    reconcile.reconcile_lease(scene.late.public_id)
    assert scene.ends() == {None} and scene.law() and consistent()


def _passed_by() -> Scene:
    """The next booking went while the late lease was at work: its windows still end where that would have begun."""
    scene = Scene()
    with open_transaction(lambda: Lease.objects.select_for_update(no_key=True).get(pk=scene.late.pk)):
        ending.cancel(actor=scene.cast.owner, lease=scene.next)
    assert scene.ends() == {scene.start}
    return scene


def _meets_a_booking(scene: Scene, step: Callable[[], Any]) -> Any:
    """What comes of a step that opens the windows while a booking in them is written and not yet committed."""
    with open_transaction(lambda: scene.book(1)):
        tick = Elsewhere(step)
        until_somebody_waits(tick)
    tick.join(30)
    return tick.outcome


@RACE
def test_the_tick_that_meets_a_booking_begins_anew_and_keeps_up_to_it() -> None:
    scene = _passed_by()
    assert isinstance(_meets_a_booking(scene, lambda: reconcile.reconcile_lease(scene.late.public_id)), int)
    assert scene.ends() == {scene.start + HOUR} and scene.law() and consistent()


@RACE
def test_control_a_step_that_is_not_run_anew_ends_in_the_constraint() -> None:
    scene = _passed_by()
    once = transaction.atomic(inspect.unwrap(reconcile._step))
    assert isinstance(_meets_a_booking(scene, lambda: once(scene.late.public_id, None)), IntegrityError)


@RACE
@pytest.mark.parametrize("turn", range(6))
def test_cancelling_returning_and_booking_the_same_window_leave_one_story(turn: int) -> None:
    scene = Scene()

    def come_back() -> None:
        if turn % 2:
            settle(scene.late)
        else:
            reconcile.reconcile_lease(scene.late.public_id)
            answer(scene.late, "revoke")

    verbs: list[Any] = [
        lambda: ending.cancel(actor=scene.cast.owner, lease=scene.next),
        come_back,
        lambda: scene.book(0),
        lambda: scene.book(1 + turn % 3),
    ]
    results = race(*verbs[turn % 4 :], *verbs[: turn % 4])
    refusals = [result for result in results if isinstance(result, Exception)]
    assert all(isinstance(refusal, DomainError) for refusal in refusals), results
    scene.next.refresh_from_db()
    assert scene.next.state == "cancelled" and consistent()
    reconcile.reconcile_lease(scene.late.public_id)
    scene.late.refresh_from_db()
    assert scene.late.state == "ended" if turn % 2 else scene.law(), results
    settle(scene.late)
    scene.late.refresh_from_db()
    assert scene.late.state == "ended" and scene.ends() == set() and consistent()
    assert scene.book(9), "what came back can be had"


@RACE
def test_control_look_who_follows_and_write_then_keeps_what_somebody_has_booked() -> None:
    between = threading.Barrier(2)
    with connection.cursor() as cursor:
        cursor.execute('CREATE TABLE naive_window (id serial, device_id int, "window" tstzrange)')
        cursor.execute("INSERT INTO naive_window VALUES (DEFAULT, 1, tstzrange('2027-01-01', '2027-01-02'))")
    follows = "SELECT count(*) FROM naive_window WHERE device_id = 1 AND \"window\" && tstzrange('2027-01-02', NULL)"

    def reopen() -> None:
        with connection.cursor() as cursor:
            cursor.execute(follows)
            alone = cursor.fetchone()[0] == 0
            between.wait(30)
            if alone:
                cursor.execute("UPDATE naive_window SET \"window\" = tstzrange('2027-01-01', NULL) WHERE id = 1")

    def book() -> None:
        with connection.cursor() as cursor:
            cursor.execute(follows)
            free = cursor.fetchone()[0] == 0
            between.wait(30)
            if free:
                cursor.execute("INSERT INTO naive_window VALUES (DEFAULT, 1, tstzrange('2027-01-02', '2027-01-03'))")

    try:
        assert race(reopen, book) == [None, None]
        assert _overlaps("naive_window") == 1
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE naive_window")
