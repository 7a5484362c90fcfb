"""Repeat offenders: what counts, over which time, in how many queries."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from cluster.models import Device, DeviceEvent, Handover, Inspection
from cluster.services import devices
from common.actors import SEED
from reports.selectors.offenders import repeat_offenders
from tests.factories.cluster import PoolFactory, make_node

pytestmark = pytest.mark.django_db


def xid(device: Device, number: int, days_ago: float = 1) -> None:
    """An XID in the device's past."""
    at = timezone.now() - timedelta(days=days_ago)
    DeviceEvent.objects.create(node=device.node, device=device, kind="xid", detail={"xid": number}, at=at)


def test_three_troubles_in_thirty_days_make_an_offender(django_assert_num_queries: object) -> None:
    bad, harmless, old, mixed = make_node(PoolFactory(), devices=4).devices.order_by("index")
    for _time in range(3):
        xid(bad, 48)
        xid(harmless, 13)
        xid(old, 79, days_ago=31)
    xid(mixed, 74)
    devices.quarantine(actor=SEED, devices=[mixed.pk], reason="ill")
    evidence = {"passed": False, "checks": []}
    Inspection.objects.create(device=mixed, at=timezone.now(), **evidence)
    Handover.objects.create(
        device=mixed, lease_ref="lease-a", moment="end", generation=1, taken_at=timezone.now(), **evidence
    )
    with django_assert_num_queries(6):  # type: ignore[operator]
        found = repeat_offenders(timezone.now())
    assert [(each.device, each.total) for each in found] == [(mixed, 4), (bad, 3)]
    assert (found[0].xids, found[0].quarantines, found[0].failed_checks) == (1, 1, 2)
