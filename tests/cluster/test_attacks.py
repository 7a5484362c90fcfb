"""A node that lies, repeats itself or floods: refused with a reason, shown to operators, and no other node suffers."""

from __future__ import annotations

import gzip
import json
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cluster.models import Device, DeviceEvent, Handover, NodeCommand, NodeRefusal
from cluster.node_auth import NodeThrottle, SamplesThrottle
from cluster.services import refusals
from common.cache import FUSE
from telemetry.models import Sample
from tests.cluster.site import LEASE, Speaker, checks, enrol
from tests.factories import make_cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def other(speaker: Speaker) -> Speaker:
    """A second, honest node of the same pool."""
    node = enrol("gpu-02", speaker.node.pool)
    speaker.hello()
    node.hello()
    return node


def samples(speaker: Speaker, uuid: str, sequence: int = 1, at: float | None = None, **said: Any) -> Any:
    """One sample of a device."""
    row = {"uuid": uuid, "at": time.time() if at is None else at, "utilisation_percent": 50}
    body = {"boot_id": "boot-1", "sequence": sequence, "samples": [row], **said}
    packed = gzip.compress(json.dumps(body).encode())
    return speaker.post("samples/", packed, HTTP_CONTENT_ENCODING="gzip")


def test_a_node_speaks_of_its_own_devices_alone(speaker: Speaker, other: Speaker) -> None:
    theirs = other.uuids[0]
    assert samples(speaker, theirs).data["unknown_devices"] == 1 and not Sample.objects.exists()
    speaker.heartbeat(devices=[{"uuid": theirs, "health": "fail", "reasons": ["gpu_is_lost"]}])
    event = {"uuid": theirs, "kind": "xid", "detail": {"xid": 79}, "at": time.time()}
    assert speaker.post("events/", {"events": [event]}).data == {"accepted": 0}
    Device.objects.filter(uuid=theirs).update(state="cleaning")
    speaker.heartbeat(checks=checks([theirs]))
    device = Device.objects.get(uuid=theirs)
    assert (device.health, device.state) == ("ok", "cleaning") and not DeviceEvent.objects.filter(kind="xid").exists()


def test_a_uuid_that_belongs_elsewhere_is_told_to_operators_and_not_taken(speaker: Speaker, other: Speaker) -> None:
    speaker.uuids = [*speaker.uuids, other.uuids[0]]
    speaker.hello()
    assert Device.objects.get(uuid=other.uuids[0]).node == other.node
    assert DeviceEvent.objects.filter(node=speaker.node, kind="uuid_of_another_node").count() == 1


def test_samples_of_the_past_and_of_the_future_are_counted_and_not_kept(speaker: Speaker) -> None:
    speaker.hello()
    now = time.time()
    for sequence, at in enumerate((now - 3 * 3600, now + 3600), start=1):
        answer = samples(speaker, speaker.uuids[0], sequence, at).data
        assert (answer["accepted"], answer["bad_times"]) == (0, 1)
    assert not Sample.objects.exists()


def test_a_replayed_batch_counts_once(speaker: Speaker) -> None:
    speaker.hello()
    at = time.time()
    assert [samples(speaker, speaker.uuids[0], 7, at).data["repeated"] for _turn in range(3)] == [False, True, True]
    assert Sample.objects.count() == 1


def test_an_answer_cannot_be_given_for_another_node_or_generation_or_twice(speaker: Speaker, other: Speaker) -> None:
    command = speaker.order("verify", 3)
    assert other.answer(command).status_code == 404
    for generation in (2, 4):
        assert speaker.answer(command, generation=generation).status_code == 409
    assert speaker.answer(command, "failed").data["state"] == "failed"
    assert speaker.answer(command, "done").data["state"] == "failed", "the first answer stands"
    assert Handover.objects.filter(lease_ref=LEASE, passed=True).count() == len(speaker.uuids)


def test_evidence_about_the_devices_of_others_proves_nothing(speaker: Speaker, other: Speaker) -> None:
    command = speaker.order("reclaim")
    answer = speaker.answer(command, result={"clean": True, "checks": checks(other.uuids)})
    assert answer.data["state"] == "failed" and not Handover.objects.exists()
    assert NodeCommand.objects.get(pk=command.pk).result["error"] == "evidence_missing"


@pytest.mark.parametrize("path", ["hello/", "heartbeat/", "events/", "reports/", "samples/"])
def test_ten_mebibytes_are_refused_before_they_are_read(speaker: Speaker, other: Speaker, path: str) -> None:
    answer = speaker.post(path, b'{"a": "' + b"x" * (10 * 1024 * 1024) + b'"}')
    assert answer.status_code in (400, 413), answer.content[:200]
    assert other.heartbeat()["commands"] == []


def test_a_packed_bomb_is_not_unpacked(speaker: Speaker) -> None:
    speaker.hello()
    bomb = gzip.compress(b"0" * (64 * 1024 * 1024))
    assert len(bomb) < 100_000
    assert speaker.post("samples/", bomb, HTTP_CONTENT_ENCODING="gzip").status_code == 400


def test_a_flood_is_slowed_and_only_its_own(speaker: Speaker, other: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    monkeypatch.setattr(NodeThrottle, "calls", 5)
    monkeypatch.setattr("cluster.node_api.NodeView.throttle_classes", (NodeThrottle,))
    body = {"boot_id": "boot-1", "sent_at": time.time()}
    answers = [speaker.post("heartbeat/", body).status_code for _turn in range(8)]
    assert answers == [200] * 5 + [429] * 3
    assert other.post("heartbeat/", body).status_code == 200
    cache.clear()


def test_a_device_that_hangs_when_the_inventory_is_taken_is_not_lost(speaker: Speaker) -> None:
    speaker.hello()
    both, speaker.uuids = speaker.uuids, speaker.uuids[:1]
    speaker.hello(faults=[{"index": None, "uuid": both[1], "code": "STALLED"}])
    assert speaker.states() == ["available", "available"]
    speaker.hello(faults=[{"index": 1, "uuid": None, "code": "STALLED"}])
    assert speaker.states() == ["available", "available"]
    speaker.hello(faults=[{"index": 1, "uuid": None, "code": "GPU_IS_LOST"}])
    assert speaker.states() == ["available", "offline"]


def test_what_was_refused_is_counted_and_shown_to_operators(speaker: Speaker, other: Speaker, client: Client) -> None:
    cache.clear()
    command = NodeCommand.objects.create(
        node=other.node, verb="revoke", lease_ref=LEASE, generation=1, deadline_at=timezone.now() + timedelta(minutes=5)
    )
    assert speaker.answer(command).status_code == 404
    for _turn in range(3):
        assert speaker.post("heartbeat/", b"{").status_code == 400
    samples(speaker, other.uuids[0])
    samples(speaker, speaker.uuids[0], sequence=2, at=time.time() + 3600)
    event = {"uuid": other.uuids[0], "kind": "xid", "detail": {"xid": 79}, "at": time.time()}
    speaker.post("events/", {"events": [event, event]})
    stranger = Speaker(speaker.node, "no-such-token")
    assert stranger.post("heartbeat/", {}).status_code == 401
    counted = {(row.node, row.code): row.times for row in NodeRefusal.objects.select_related("node")}
    assert counted == {
        (speaker.node, "not_found"): 1,
        (speaker.node, "parse_error"): 3,
        (speaker.node, "samples_unknown_devices"): 1,
        (speaker.node, "samples_bad_times"): 1,
        (speaker.node, "events_unknown_devices"): 2,
        (None, "authentication_failed"): 1,
    }
    operator = make_cast().operator
    client.force_login(operator)
    operator.language = "en"
    operator.save()
    page = client.get(speaker.node.get_absolute_url()).content.decode()
    assert "a body that cannot be read" in page and "nobody has it" not in page
    page = client.get(reverse("reports:health")).content.decode()
    assert "unknown caller" in page and "samples from the future" in page
    said = client.get("/api/v1/refused-calls/").json()
    assert said[0] | {"last_at": None} == {
        "node": speaker.node.public_id,
        "code": "parse_error",
        "times": 3,
        "last_at": None,
    }
    assert client.get(other.node.get_absolute_url()).content.decode().count("No call was refused.") == 1


def test_a_flood_of_strangers_is_written_down_in_one_piece(
    speaker: Speaker, django_assert_max_num_queries: Any
) -> None:
    cache.clear()
    stranger = Speaker(speaker.node, "no-such-token")
    for _turn in range(20):
        stranger.post("heartbeat/", {})
    row = NodeRefusal.objects.get(node=None, code="authentication_failed")
    assert row.times == 1, "the others wait for the next write"
    cache.delete("refused:0:authentication_failed:written")
    stranger.post("heartbeat/", {})
    row.refresh_from_db()
    assert row.times == 21
    with django_assert_max_num_queries(1):  # who has this token?
        stranger.post("heartbeat/", {})


def test_without_a_cache_nobody_is_slowed(speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NodeThrottle, "calls", 1)
    monkeypatch.setattr("cluster.node_api.NodeView.throttle_classes", (NodeThrottle,))
    body = {"boot_id": "boot-1", "sent_at": time.time()}
    FUSE.blow()
    try:
        assert [speaker.post("heartbeat/", body).status_code for _turn in range(3)] == [200] * 3
    finally:
        FUSE.mend()


def test_old_counts_are_forgotten(speaker: Speaker) -> None:
    now = timezone.now()
    for days in (1, 100):
        at = now - timedelta(days=days)
        NodeRefusal.objects.create(node=speaker.node, code="invalid", day=at.date(), times=1, last_at=at)
    assert refusals.tidy(now) == 1 and NodeRefusal.objects.count() == 1


def test_a_flood_of_samples_is_slowed(speaker: Speaker, other: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    monkeypatch.setattr(SamplesThrottle, "calls", 3)
    monkeypatch.setattr("telemetry.node_api.SamplesView.throttle_classes", (SamplesThrottle,))
    answers = [samples(speaker, speaker.uuids[0], sequence=turn).status_code for turn in range(1, 6)]
    assert answers == [202] * 3 + [429] * 2
    assert samples(other, other.uuids[0]).status_code == 202
    assert speaker.heartbeat()["commands"] == [], "its signs of life have an allowance of their own"
    cache.clear()
