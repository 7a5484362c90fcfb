"""Checks of devices that no lease is about: kept, due again in a week, and what a failed one leads to."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from cluster.models import Device, DeviceEvent, Inspection
from cluster.services import devices
from tests.cluster.site import Speaker, checks
from tests.factories.cast import Cast

pytestmark = pytest.mark.django_db
EIGHT_DAYS = timedelta(days=8)


def test_a_free_device_is_due_every_week(speaker: Speaker) -> None:
    speaker.hello()
    assert Inspection.objects.filter(passed=True).count() == 2 and speaker.heartbeat()["check"] == []
    Device.objects.filter(uuid=speaker.uuids[0]).update(checked_at=timezone.now() - EIGHT_DAYS)
    assert speaker.heartbeat()["check"] == [speaker.uuids[0]]
    speaker.heartbeat(checks=checks(speaker.uuids[:1]))
    assert speaker.heartbeat()["check"] == [] and Inspection.objects.count() == 3


def test_a_device_that_fails_its_weekly_check_is_lent_no_more(speaker: Speaker) -> None:
    speaker.hello()
    Device.objects.update(checked_at=timezone.now() - EIGHT_DAYS)
    speaker.heartbeat(checks=checks(speaker.uuids, bad=(speaker.uuids[0],)))
    assert speaker.states() == ["quarantined", "available"]
    event = DeviceEvent.objects.get(kind="quarantined")
    assert event.device.uuid == speaker.uuids[0] and event.detail == {"reason": "It failed its regular check."}


def test_a_check_that_was_not_due_takes_nothing_out_of_service(speaker: Speaker) -> None:
    speaker.hello()
    speaker.heartbeat(checks=checks(speaker.uuids, bad=tuple(speaker.uuids)))
    assert speaker.states() == ["available", "available"]


def test_a_device_leaves_quarantine_through_the_ladder_and_failures_are_kept_once(speaker: Speaker, cast: Cast) -> None:
    speaker.hello()
    ill = Device.objects.get(uuid=speaker.uuids[0])
    devices.quarantine(actor=cast.operator, devices=[ill.pk], reason="odd noises")
    devices.clean(actor=cast.operator, devices=[ill.pk], reason="looked after")
    for _beat in range(3):
        assert speaker.heartbeat()["check"] == [ill.uuid]
        speaker.heartbeat(checks=checks([ill.uuid], bad=(ill.uuid,)))
    assert speaker.states() == ["cleaning", "available"]
    assert Inspection.objects.filter(device=ill, passed=False).count() == 1
    speaker.heartbeat(checks=checks([ill.uuid]))
    assert speaker.states() == ["available", "available"]
