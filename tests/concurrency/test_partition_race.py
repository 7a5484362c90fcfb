"""Samples that come while the partition is made into which they belong. With the control."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from telemetry import partitions
from telemetry.models import Sample
from telemetry.services import Ingested, ingesting
from tests.concurrency.test_booking_race import RACE
from tests.concurrency.test_promise_race import Elsewhere
from tests.concurrency.test_reconcile_race import until_somebody_waits
from tests.factories import PoolFactory, make_node


@pytest.fixture
def no_partitions(transactional_db: None) -> Iterator[None]:
    """The default one alone, before and after."""
    for turn in range(2):
        for partition in partitions.existing(partitions.tables()[0]):
            partitions._drop(partition)
        if not turn:
            yield


def _come_meanwhile(take: Callable[..., Ingested]) -> Any:
    """What became of a delivery that waits for the default partition while today's is made."""
    device, now = make_node(PoolFactory(), 1).devices.get(), timezone.now()
    samples = [{"uuid": device.uuid, "at": now.timestamp(), "utilisation_percent": 50}]
    with transaction.atomic():
        partitions._make(partitions.tables()[0], now - timedelta(hours=1), now + timedelta(hours=1))
        delivery = Elsewhere(lambda: take(node=device.node, boot_id="b", sequence=1, samples=samples, host=None))
        until_somebody_waits(delivery)
    delivery.join(30)
    return delivery.outcome


@RACE
def test_a_delivery_that_comes_while_its_partition_is_made_is_taken(no_partitions: None) -> None:
    assert _come_meanwhile(ingesting.ingest) == Ingested(accepted=1, repeated=False)
    assert Sample.objects.count() == 1


@RACE
def test_control_taken_once_it_finds_no_place(no_partitions: None) -> None:
    refused = _come_meanwhile(ingesting._take)
    assert isinstance(refused, IntegrityError) and not Sample.objects.exists()
