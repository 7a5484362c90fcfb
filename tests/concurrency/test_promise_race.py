"""A guaranteed booking that makes room, and an extension, while somebody else holds a device of theirs."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from allocations.models import Allocation, Lease, Pin, Placement
from allocations.services import booking, checks, ending, envelopes, extending, keeping, placing
from cluster.models import Device
from cluster.services import devices as device_verbs
from common.actors import SEED
from common.errors import RuleBroken
from tests.concurrency.test_booking_race import RACE
from tests.concurrency.test_lock_order import open_transaction
from tests.concurrency.test_reconcile_race import until_somebody_waits
from tests.factories import AllocationFactory, PoolFactory, make_cast, make_node

HOUR = timedelta(hours=1)


class Elsewhere(threading.Thread):
    """A verb on a connection of its own; what it returned or raised."""

    def __init__(self, verb: Callable[[], Any]) -> None:
        super().__init__()
        self.verb, self.outcome = verb, None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self.verb()
        except Exception as error:
            self.outcome = error
        finally:
            connections.close_all()


def guarantee(cast: Any, allocation: Any, gpus: int) -> None:
    """So many GPUs are kept for it for ten days."""
    begin = timezone.now()
    with transaction.atomic():
        envelope = envelopes.hold(
            actor=SEED,
            pool=allocation.pool,
            organisation=cast.organisation,
            gpus=gpus,
            starts_at=begin,
            ends_at=begin + 240 * HOUR,
            award_ref="prop-test",
        )
        envelopes.attach(actor=SEED, envelope=envelope, allocation=allocation)


def booked(allocation: Allocation, actor: Any, start: int, hours: int, *devices: Device) -> Lease:
    begin = timezone.now() + start * HOUR
    return booking.book(
        actor=actor,
        allocation=allocation,
        device_count=len(devices) or 1,
        starts_at=begin,
        ends_at=begin + hours * HOUR,
        devices=list(devices) or None,
    )


@RACE
def test_what_goes_out_of_service_while_room_is_made_is_not_booked() -> None:
    cast, pool = make_cast(), PoolFactory()
    first, second = list(make_node(pool, 2).devices.order_by("pk"))
    allocation = AllocationFactory(project=cast.project, pool=pool)
    guarantee(cast, allocation, 2)
    assert Pin.objects.count() == 2
    booked(allocation, cast.owner, 2, 5, first)
    booked(allocation, cast.owner, 8, 5, second)
    with open_transaction(lambda: device_verbs.quarantine(actor=SEED, devices=[second.pk], reason="xid")):
        whole = Elsewhere(lambda: booked(allocation, cast.owner, 2, 11))
        until_somebody_waits(whole)
    whole.join(60)
    assert isinstance(whole.outcome, RuleBroken) and whole.outcome.code == "no_free_devices"


@RACE
def test_an_extension_that_meets_a_settlement_is_tried_again() -> None:
    cast, pool = make_cast(), PoolFactory()
    (device,) = make_node(pool, 1).devices.all()
    allocation = AllocationFactory(project=cast.project, pool=pool)
    lease = booked(allocation, cast.owner, 2, 1, device)
    with transaction.atomic():  # as the end of another reservation of the same award does: the device, then the account
        placing.lock([device.pk])
        longer = Elsewhere(lambda: extending.extend(actor=cast.owner, lease=lease, ends_at=lease.ends_at + HOUR))
        until_somebody_waits(longer)
        Allocation.objects.select_for_update(no_key=True).get(pk=allocation.pk)
    longer.join(60)
    assert isinstance(longer.outcome, Lease) and longer.outcome.ends_at == lease.ends_at + HOUR


@RACE
@pytest.mark.parametrize("backwards", [False, True])
def test_a_guaranteed_reservation_is_cancelled_while_another_takes_its_place(backwards: bool) -> None:
    cast, pool = make_cast(), PoolFactory()
    devices = list(make_node(pool, 2).devices.order_by("pk"))
    allocation = AllocationFactory(project=cast.project, pool=pool)
    guarantee(cast, allocation, 2)
    lease = booked(allocation, cast.owner, 2, 5, *devices)
    with transaction.atomic():  # as a booking does: the account, and what is kept makes way, device by device
        locked = checks.lock_allocation(allocation.pk)
        first, second = reversed(devices) if backwards else devices
        keeping.make_way(locked, [first])
        over = Elsewhere(lambda: ending.cancel(actor=cast.owner, lease=lease))
        until_somebody_waits(over)
        keeping.make_way(locked, [second])
        keeping.keep(locked, devices)
    over.join(60)
    assert isinstance(over.outcome, Lease) and over.outcome.state == "cancelled"
    kept = Placement.objects.filter(envelope__isnull=False, released=False)
    assert {row.device_id for row in kept} == {device.pk for device in devices}
