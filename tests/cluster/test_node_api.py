"""The agents' door: who gets in, what is taken, what is refused, and that nothing is a 500."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from cluster.models import Device, DeviceEvent, Grant, Handover, Node
from cluster.services.devices import quarantine
from common.actors import SEED
from tests.cluster.site import DOOR, LEASE, Speaker, checks, enrol
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def test_a_first_hello_brings_clean_devices_into_service(speaker: Speaker) -> None:
    answer = speaker.hello(sent_at=time.time() - 42)
    assert (answer["node"], answer["heartbeat_seconds"]) == ("gpu-01", 5)
    assert speaker.states() == ["available", "available"]
    assert speaker.node.clock_skew_seconds == pytest.approx(-42, abs=5)
    assert (speaker.node.ssh_host, speaker.node.ssh_port) == (DOOR["host"], DOOR["port"])


def test_a_device_that_is_not_clean_waits_until_it_is(speaker: Speaker) -> None:
    speaker.hello(checks=checks(speaker.uuids, bad=(speaker.uuids[0],)))
    assert speaker.states() == ["cleaning", "available"]
    assert speaker.heartbeat()["check"] == [speaker.uuids[0]]
    speaker.heartbeat(checks=checks(speaker.uuids[:1]))
    assert speaker.states() == ["available", "available"]


def test_strange_devices_are_noted_and_not_taken(speaker: Speaker) -> None:
    speaker.hello()
    other = enrol("gpu-02", speaker.node.pool)
    other.uuids = [speaker.uuids[0], "GPU-new"]
    body = other.hello_body()
    body["devices"][1]["name"] = "NVIDIA Something Else"
    assert other.post("hello/", body).status_code == 200
    assert other.states() == []
    kinds = DeviceEvent.objects.filter(node=other.node).values_list("kind", flat=True)
    assert sorted(kinds) == ["unknown_gpu_class", "uuid_of_another_node"]


def test_a_missing_device_is_lost_and_comes_back_through_cleaning(speaker: Speaker) -> None:
    speaker.hello()
    both, speaker.uuids = speaker.uuids, speaker.uuids[:1]
    speaker.hello()
    assert speaker.states() == ["available", "offline"]
    speaker.uuids = both
    speaker.hello(checks=[])
    assert speaker.states() == ["available", "cleaning"]
    speaker.heartbeat(checks=checks(both))
    assert speaker.states() == ["available", "available"]


def test_a_quarantined_device_does_not_slip_out_by_vanishing(speaker: Speaker) -> None:
    speaker.hello()
    device = Device.objects.get(uuid=speaker.uuids[1])
    quarantine(actor=SEED, devices=[device.pk], reason="ill")
    both, speaker.uuids = speaker.uuids, speaker.uuids[:1]
    speaker.hello()
    speaker.uuids = both
    speaker.hello()
    assert speaker.states() == ["available", "quarantined"]


def test_a_new_boot_is_noted(speaker: Speaker) -> None:
    speaker.hello()
    speaker.boot_id = "boot-2"
    speaker.hello()
    assert DeviceEvent.objects.get(kind="new_boot").detail == {"from": "boot-1", "to": "boot-2"}


def test_an_answer_is_taken_once(speaker: Speaker) -> None:
    speaker.hello()
    command = speaker.order("grant")
    assert [each["command"] for each in speaker.heartbeat()["commands"]] == [
        speaker.get(f"commands/{command.public_id}/").data["command"]
    ]
    for outcome in ("done", "done", "failed"):
        assert speaker.answer(command, outcome).data == {"id": command.public_id, "state": "done"}
    grant = Grant.objects.get()
    assert (grant.lease_ref, grant.host, grant.port, grant.revoked_at) == (LEASE, DOOR["host"], DOOR["port"], None)
    assert speaker.heartbeat()["commands"] == []


def test_another_generation_is_a_conflict(speaker: Speaker) -> None:
    speaker.hello()
    answer = speaker.answer(speaker.order("revoke", 3), generation=2)
    assert (answer.status_code, answer.data["code"]) == (409, "wrong_generation")
    assert answer["Content-Type"] == "application/problem+json"


def test_the_agents_health_is_kept_and_clocks_that_part_are_noted(speaker: Speaker) -> None:
    speaker.hello(topology={speaker.uuids[0]: {speaker.uuids[1]: "NODE"}})
    assert speaker.node.topology == {speaker.uuids[0]: {speaker.uuids[1]: "NODE"}}
    parts = {"worker": {"restarts": 1, "why": ""}}
    agent = {"memory_mib": 88.5, "cpu_percent": 0.4, "clock_skew_seconds": 0.01, "parts": parts, "sampler": {}}
    speaker.heartbeat(agent=agent)
    assert speaker.node.agent_health["memory_mib"] == 88.5 and not DeviceEvent.objects.exists()
    parts["worker"] = {"restarts": 3, "why": "ended with -9"}
    for _beat in range(2):
        speaker.heartbeat(agent={**agent, "clock_skew_seconds": -7.5})
    assert speaker.node.clock_skew_seconds == -7.5
    speaker.heartbeat(agent=agent)
    told = [(event.kind, event.detail) for event in DeviceEvent.objects.order_by("id")]
    assert told == [
        ("clock_skew", {"seconds": -7.5}),
        ("part_restarted", {"part": "worker", "times": 2, "why": "ended with -9"}),
        ("clock_right_again", {"seconds": 0.01}),
    ]


def test_the_whole_inventory_is_kept_and_silent_devices_are_named(speaker: Speaker) -> None:
    body = speaker.hello_body(faults=[{"index": 7, "uuid": None, "code": "GPU_IS_LOST"}])
    cut = {"uuid": "MIG-1", "profile": "1g.10gb", "gpu_instance": 7, "compute_instance": 0, "memory_mib": 9728}
    told = {"vbios_version": "96.00", "numa_node": 1, "nvlink_count": 18, "mig_capable": True, "mig_instances": [cut]}
    body["devices"][0] |= told
    assert speaker.post("hello/", body).status_code == 200
    facts = Device.objects.get(uuid=speaker.uuids[0]).facts
    assert facts == told
    assert DeviceEvent.objects.get(kind="no_inventory").detail["index"] == 7


def test_readings_and_actions_are_part_of_the_evidence(speaker: Speaker) -> None:
    speaker.hello()
    said = checks(speaker.uuids)
    said[0] |= {"reading": {"ecc_dbe_aggregate": 3}, "actions": [{"name": "a", "value": "on", "result": "done"}]}
    speaker.answer(speaker.order("verify"), result={"checks": said})
    first, second = Handover.objects.order_by("device__index")
    assert (first.reading, first.actions[0]["name"]) == ({"ecc_dbe_aggregate": 3}, "a")
    assert (second.reading, second.actions) == (None, [])
    said[0]["reading"] = {"text": "x" * 20_000}
    assert speaker.answer(speaker.order("reclaim", 2), result={"checks": said}).status_code == 400


def test_evidence_becomes_handovers(speaker: Speaker) -> None:
    speaker.hello()
    speaker.answer(speaker.order("verify"))
    bad = {"clean": False, "checks": checks(speaker.uuids, bad=(speaker.uuids[1],))}
    speaker.answer(speaker.order("reclaim", 2), "failed", result=bad)
    rows = Handover.objects.order_by("moment", "device__index").values_list("moment", "generation", "passed")
    assert list(rows) == [("end", 2, True), ("end", 2, False), ("start", 1, True), ("start", 1, True)]


@pytest.mark.parametrize("result", [{}, {"checks": []}, {"checks": checks(["GPU-of-somebody"])}])
def test_done_without_evidence_is_not_done(speaker: Speaker, result: dict[str, Any]) -> None:
    speaker.hello()
    command = speaker.order("reclaim")
    assert speaker.answer(command, result=result).data["state"] == "failed"
    command.refresh_from_db()
    assert command.result["error"] == "evidence_missing"
    assert not Handover.objects.exists()


def test_revocation_and_the_nodes_own_clock_close_the_grant(speaker: Speaker) -> None:
    speaker.hello()
    speaker.answer(speaker.order("grant", 2))
    report = {"kind": "revoked", "lease": LEASE, "generation": 1, "at": time.time(), "killed": 3}
    assert speaker.post("reports/", report).status_code == 200
    assert Grant.objects.get().revoked_at is None, "an older story"
    assert speaker.post("reports/", {**report, "generation": 2}).status_code == 200
    first = Grant.objects.get().revoked_at
    assert first is not None
    speaker.answer(speaker.order("revoke", 3))
    assert Grant.objects.get().revoked_at == first


def test_a_lost_report_comes_again_with_the_heartbeat(speaker: Speaker) -> None:
    speaker.hello()
    speaker.answer(speaker.order("grant"))
    ended = {"lease": LEASE, "generation": 1, "state": "revoked", "hard_end": None, "at": time.time()}
    speaker.heartbeat(leases=[ended])
    assert Grant.objects.get().revoked_at is not None


def test_a_fatal_xid_stays_until_a_new_boot(speaker: Speaker) -> None:
    speaker.hello()
    events = [{"uuid": speaker.uuids[0], "kind": "xid", "detail": {"xid": xid}, "at": time.time()} for xid in (13, 48)]
    assert speaker.post("events/", {"events": events}).data == {"accepted": 2}
    well = [{"uuid": each, "health": "ok", "reasons": []} for each in speaker.uuids]
    speaker.heartbeat(devices=well)
    device = Device.objects.get(uuid=speaker.uuids[0])
    assert (device.health, device.health_reasons) == ("drain", ["xid_48"])
    speaker.heartbeat(devices=[{"uuid": device.uuid, "health": "warn", "reasons": ["hot"]}])
    device.refresh_from_db()
    assert (device.health, device.health_reasons) == ("drain", ["xid_48", "hot"])
    speaker.boot_id = "boot-2"
    speaker.heartbeat(devices=well)
    device.refresh_from_db()
    assert (device.health, device.health_reasons) == ("ok", [])


def test_strangers_and_people_stay_outside(speaker: Speaker) -> None:
    client = APIClient()
    assert client.post("/api/node/v1/heartbeat/", {}, format="json").status_code == 401
    for token in ("", "wrong", "ü", "a b"):
        answer = client.post("/api/node/v1/heartbeat/", {}, format="json", HTTP_AUTHORIZATION=f"Node {token}")
        assert answer.status_code == 401
    person: User = UserFactory()
    client.force_login(person)
    assert client.post("/api/node/v1/heartbeat/", {}, format="json").status_code in (401, 403)
    assert speaker.token not in Node.objects.get().token_hash


def test_another_nodes_command_does_not_exist(speaker: Speaker) -> None:
    speaker.hello()
    other = enrol("gpu-02", speaker.node.pool)
    command = speaker.order("grant")
    assert other.get(f"commands/{command.public_id}/").status_code == 404
    assert other.answer(command).status_code == 404
    assert other.heartbeat()["commands"] == []


PATHS = ("hello/", "heartbeat/", "reports/", "events/", "commands/{id}/result/")
NONSENSE: tuple[Any, ...] = (
    *(b"", b"[", b"null", b"[]", b'"x"', b"1", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000),
    *(b'{"sent_at": NaN}', b'{"boot_id": 1e999}'),
)


@pytest.mark.parametrize("path", PATHS)
def test_nonsense_is_a_400(speaker: Speaker, path: str) -> None:
    speaker.hello()
    path = path.format(id=speaker.order("grant").public_id)
    for body in NONSENSE:
        answer = speaker.post(path, body)
        assert answer.status_code == 400, (body[:20], answer.content)
        assert answer["Content-Type"] == "application/problem+json"
    assert speaker.post(path, b" " * (1024 * 1024 + 1)).status_code == 413


def test_values_that_no_database_holds_are_a_400(speaker: Speaker) -> None:
    speaker.hello()
    device = speaker.hello_body()["devices"][0]
    event = {"uuid": None, "kind": "xid", "detail": {}, "at": 1.0}
    ended = {"lease": LEASE, "generation": 1, "state": "revoked", "at": 1e300}
    deep: dict[str, Any] = {}
    for _ in range(20):
        deep = {"a": deep}
    for path, body in (
        ("hello/", speaker.hello_body(devices=[device, device])),
        ("hello/", speaker.hello_body(sent_at="nan")),
        ("hello/", speaker.hello_body(devices=[{**device, "power_limit_watts": "nan"}])),
        ("hello/", speaker.hello_body(devices=[{**device, "uuid": "GPU-\0"}])),
        ("hello/", speaker.hello_body(boot_id="\ud800")),
        ("hello/", speaker.hello_body(checks=[{"uuid": device["uuid"], "passed": True, "checks": [{}]}])),
        ("heartbeat/", {"boot_id": "b", "sent_at": 1e300}),
        ("heartbeat/", {"boot_id": "b", "sent_at": 1.0, "leases": [ended]}),
        ("events/", {"events": [{**event, "detail": {"text": "\0"}}]}),
        ("events/", {"events": [{**event, "detail": {"\ud800": 1}}]}),
        ("events/", {"events": [{**event, "detail": deep}]}),
        ("events/", {"events": [event] * 201}),
        ("reports/", {"kind": "revoked", "lease": LEASE, "generation": 1, "at": "inf"}),
    ):
        assert speaker.post(path, json.dumps(body).encode()).status_code == 400, (path, body)
    revoke = speaker.order("revoke")
    assert speaker.answer(revoke, result={"access_gone_at": 1e300}).status_code == 400
    assert speaker.answer(speaker.order("grant"), result={"host": "x"}).status_code == 400


def test_an_xid_that_is_no_number_is_kept_and_means_nothing(speaker: Speaker) -> None:
    speaker.hello()
    event = {"uuid": speaker.uuids[0], "kind": "xid", "detail": {"xid": [48]}, "at": time.time()}
    assert speaker.post("events/", {"events": [event]}).data == {"accepted": 1}
    assert Device.objects.get(uuid=speaker.uuids[0]).health == "ok"


def test_a_long_observation_is_cut_and_not_refused(speaker: Speaker) -> None:
    speaker.hello()
    evidence = checks(speaker.uuids)
    evidence[0]["checks"][0]["observed"] = "12345, " * 1000
    assert speaker.answer(speaker.order("verify"), result={"checks": evidence}).data["state"] == "done"
    assert len(Handover.objects.get(device__uuid=speaker.uuids[0]).checks[0]["observed"]) == 500
