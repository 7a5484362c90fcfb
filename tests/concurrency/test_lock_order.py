"""Heartbeats, bookings and operators on one node at once: nobody waits for somebody who waits for them."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone

from allocations.services import booking
from cluster.models import Device, Node
from cluster.services import devices as device_verbs
from cluster.services import nodes
from tests.concurrency.test_booking_race import RACE
from tests.concurrency.test_reconcile_race import ended, running
from tests.factories import AllocationFactory, PoolFactory, make_cast, make_node

pytestmark = RACE


def hear_after_boot(node: Node) -> Node:
    """The heartbeat that touches the most rows: a node is heard after a reboot, its devices' marks are dropped."""
    return nodes.hear(node=node, boot_id=uuid.uuid4().hex, sent_at=timezone.now().timestamp())


def in_the_old_order(node: Node) -> None:
    """What `hear` did before: the node's row first, FOR UPDATE, then its devices."""
    with transaction.atomic():
        node = Node.objects.select_for_update().get(pk=node.pk)
        list(node.devices.select_for_update().order_by("pk"))


@contextmanager
def open_transaction(work: Callable[[], Any]) -> Iterator[None]:
    """`work` done in another connection and not yet committed while the block runs."""
    ready, done, raised = threading.Event(), threading.Event(), []

    def hold() -> None:
        try:
            with transaction.atomic():
                work()
                ready.set()
                done.wait(60)
        except Exception as error:
            raised.append(error)
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
    assert not raised


@contextmanager
def patience(milliseconds: int) -> Iterator[None]:
    """Who waits longer than this for a lock gives up."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {milliseconds}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")


@pytest.mark.parametrize("control", [False, True], ids=["as built", "control: locked as before"])
def test_a_heartbeat_does_not_wait_for_a_booking_on_its_node(control: bool) -> None:
    cast, pool = make_cast(), PoolFactory()
    node = make_node(pool, 8)
    allocation = AllocationFactory(project=cast.project, pool=pool)
    start = timezone.now() + timedelta(hours=1)

    def book() -> None:
        booking.book(
            actor=cast.owner,
            allocation=allocation,
            device_count=2,
            starts_at=start,
            ends_at=start + timedelta(hours=1),
        )

    with open_transaction(book), patience(1500):
        if control:
            with pytest.raises(OperationalError, match="lock timeout"):
                in_the_old_order(node)
        else:
            sent = timezone.now().timestamp()
            heard = nodes.hear(node=node, boot_id=node.boot_id, sent_at=sent)
            assert heard.last_seen_at is not None


@pytest.mark.parametrize("verb", [hear_after_boot, in_the_old_order], ids=["as built", "control: locked as before"])
def test_operators_and_heartbeats_lock_a_node_in_the_same_order(verb: Callable[[Node], Any]) -> None:
    node = make_node(PoolFactory(), 8)
    Node.objects.filter(pk=node.pk).update(boot_id="before")
    results: list[Any] = []
    knotted = False
    try:
        with transaction.atomic():  # an operator's verb: the devices, then their node
            device_verbs.lock(Device.objects.filter(node=node))
            with running(lambda: verb(node), results):
                Node.objects.select_for_update(no_key=True).get(pk=node.pk)
    except OperationalError:  # PostgreSQL undoes either of two that wait for each other
        knotted = True
    knotted |= isinstance(ended(results), OperationalError)
    assert knotted is (verb is in_the_old_order)
