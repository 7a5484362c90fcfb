"""Two operators at once, an operator against bookings, two agents with one join token; each with a control."""

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from django.apps import apps
from django.db import connections, transaction
from django.utils import timezone

from allocations.models import Lease, Placement
from allocations.promises import promises_on
from allocations.selectors.availability import free_devices
from allocations.services import booking, changing, operating, placing, planning
from allocations.shapes import ANY
from cluster.models import Device, JoinToken, MaintenanceWindow, Node
from cluster.services import enrolment, maintenance
from cluster.services.nodes import hash_token
from common.actors import SEED
from common.errors import DomainError, Forbidden, InvalidTransition
from tests.factories import AllocationFactory, PoolFactory, make_cast, make_node

RACE = pytest.mark.django_db(transaction=True, available_apps=[app.name for app in apps.get_app_configs()])


def race(*attempts: Callable[[], Any]) -> list[Any]:
    """Run all at once, each on its own connection; what each returned or raised."""
    results: list[Any] = [None] * len(attempts)
    barrier = threading.Barrier(len(attempts))

    def run(place: int) -> None:
        try:
            barrier.wait(30)
            results[place] = attempts[place]()
        except Exception as error:
            results[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(attempts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


@RACE
def test_of_two_operators_with_two_plans_one_is_obeyed() -> None:
    cast, pool = make_cast(), PoolFactory()
    node, _other = make_node(pool, 2), make_node(pool, 2)
    allocation = AllocationFactory(project=cast.project, pool=pool)
    start = timezone.now() + timedelta(hours=1)
    lease = booking.book(
        actor=cast.owner,
        allocation=allocation,
        device_count=2,
        starts_at=start,
        ends_at=start + timedelta(hours=1),
        devices=list(node.devices.all()),
    )
    device = node.devices.first()
    assert device

    def quarantine(what: str) -> Any:
        plan = {lease.public_id: what}
        return operating.quarantine_device(
            actor=cast.operator, device=Device.objects.get(pk=device.pk), reason=what, plan=plan, force=True
        )

    results = race(lambda: quarantine("move"), lambda: quarantine("end"))
    done = [result for result in results if isinstance(result, operating.Done)]
    assert len(done) == 1, results
    assert all(isinstance(result, operating.Done | DomainError) for result in results), results
    lease.refresh_from_db()
    assert lease.state == ("scheduled" if results[0] in done else "cancelled")
    held = Placement.objects.filter(lease=lease, released=False)
    assert held.count() == (2 if results[0] in done else 0) and not held.filter(device=device).exists()


def _moved_while_made_smaller(monkeypatch: pytest.MonkeyPatch, read: Callable[..., Any]) -> tuple[int, int]:
    """How many GPUs a reservation of two is for, and how many it holds, when its plan was made, its booker gave one
    back, and then the plan to move it off that one was carried out. `read`: how the plan reads what is promised.
    """
    cast, pool = make_cast(), PoolFactory()
    node, _other = make_node(pool, 2), make_node(pool, 2)
    start = timezone.now() + timedelta(hours=1)
    window = {"starts_at": start, "ends_at": start + timedelta(hours=1)}
    lease = booking.book(
        actor=cast.owner,
        allocation=AllocationFactory(project=cast.project, pool=pool),
        device_count=2,
        devices=list(node.devices.all()),
        **window,
    )
    lock, smaller = planning._lock_leases, []
    ask = {"actor": cast.owner, "lease": lease, "device_count": 1, "shape": ANY, **window}

    def made_smaller_first(hit: Any) -> None:
        if not smaller:
            smaller.extend(race(lambda: changing.change(**ask)))
        lock(hit)

    monkeypatch.setattr(planning, "_lock_leases", made_smaller_first)
    monkeypatch.setattr(planning, "promises_on", read)
    last = node.devices.order_by("-pk")[0]
    plan = {lease.public_id: "move"}
    try:
        operating.quarantine_device(actor=cast.operator, device=last, reason="fan", plan=plan, force=True)
    except DomainError as error:
        assert error.code == "plan", error  # read again, the plan names a reservation that is not there any more
    assert isinstance(smaller[0], Lease), smaller
    lease.refresh_from_db()
    return lease.device_count, lease.placements.filter(released=False).count()


@RACE
def test_a_plan_is_read_again_once_its_leases_are_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _moved_while_made_smaller(monkeypatch, promises_on) == (1, 1)


@RACE
def test_control_a_plan_that_goes_by_what_it_read_first_gives_back_what_was_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = cache(lambda *ids: promises_on(ids))
    assert _moved_while_made_smaller(monkeypatch, lambda ids, **_span: first(*ids)) == (1, 2)


@RACE
def test_no_booking_slips_onto_a_device_that_is_being_taken_out() -> None:
    cast, pool = make_cast(), PoolFactory()
    node = make_node(pool, 4)
    allocations = [AllocationFactory(project=cast.project, pool=pool) for _writer in range(6)]
    for turn in range(10):
        Node.objects.filter(pk=node.pk).update(state="ready", drained=False)
        start = timezone.now() + timedelta(hours=1 + turn)

        def window(start: Any = start) -> Any:
            return operating.announce_maintenance(
                actor=cast.operator, node=node, starts_at=start, ends_at=start + timedelta(hours=1), reason="fans"
            )

        def book(place: int, start: Any = start) -> Lease:
            return booking.book(
                actor=cast.owner,
                allocation=allocations[place],
                device_count=1,
                starts_at=start,
                ends_at=start + timedelta(hours=1),
            )

        results = race(window, *(lambda place=place: book(place) for place in range(6)))  # type: ignore[misc]
        assert all(isinstance(result, operating.Done | Lease | DomainError) for result in results), results
        booked = sum(isinstance(result, Lease) for result in results)
        assert isinstance(results[0], operating.Done) == (booked == 0), results


@RACE
def test_control_work_that_takes_no_devices_does_not_keep_a_booking_off() -> None:
    cast, pool = make_cast(), PoolFactory()
    node = make_node(pool, 1)
    start, end = timezone.now() + timedelta(hours=1), timezone.now() + timedelta(hours=2)
    allocation = AllocationFactory(project=cast.project, pool=pool)
    looked, announced = threading.Event(), threading.Event()

    def careless_booking() -> None:
        with transaction.atomic():
            chosen = list(free_devices(pool, start, end))
            looked.set()
            announced.wait(30)
            placing.lock(device.pk for device in chosen)
            placing.check_free(chosen, start, end, allocation=allocation)
            lease = Lease.objects.create(
                allocation=allocation, booked_by=cast.owner, device_count=1, starts_at=start, ends_at=end
            )
            placing.place(lease, chosen, start, end)

    def window() -> Any:
        looked.wait(30)
        done = maintenance.announce(actor=cast.operator, node=node, starts_at=start, ends_at=end, reason="fans")
        announced.set()
        return done

    results = race(careless_booking, window)
    assert results[0] is None and isinstance(results[1], MaintenanceWindow), results
    assert Placement.objects.filter(lease__isnull=False).count() == 1


@RACE
def test_of_two_agents_with_one_join_token_one_gets_in() -> None:
    for turn in range(10):
        _node, token = enrolment.create_node(actor=SEED, name=f"gpu-{turn}", pool=PoolFactory())
        results = race(*[lambda token=token: enrolment.join(token=token)] * 4)  # type: ignore[misc]
        assert sum(isinstance(result, tuple) for result in results) == 1, results
        assert sum(isinstance(result, Forbidden) for result in results) == 3, results


@RACE
def test_control_a_look_without_the_lock_lets_both_in() -> None:
    _node, token = enrolment.create_node(actor=SEED, name="gpu-01", pool=PoolFactory())
    between = threading.Barrier(2)

    def careless() -> bool:
        with transaction.atomic():
            row = JoinToken.objects.get(token_hash=hash_token(token))
            free = row.used_at is None
            between.wait(30)
            JoinToken.objects.filter(pk=row.pk).update(used_at=timezone.now())
        return free

    assert race(careless, careless) == [True, True]


@RACE
def test_two_drains_at_once_are_one() -> None:
    cast = make_cast()
    node = make_node(PoolFactory(), 2)
    results = race(
        *[lambda: operating.drain_node(actor=cast.operator, node=Node.objects.get(pk=node.pk), reason="x")] * 4
    )
    assert sum(isinstance(result, operating.Done) for result in results) == 1, results
    assert sum(isinstance(result, InvalidTransition) for result in results) == 3, results
