"""The bare-metal engine: commands as signed rows, steps as what the nodes said."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.utils import timezone

from agent.commands import CommandRefused, open_envelope
from agent.trust import leads_to
from audit.models import AuditEvent
from cluster.drivers.base import Step
from cluster.models import Grant, Handover, NodeCommand
from cluster.services import signing
from cluster.services.commands import expire_late
from cluster.services.engine import engine_for
from cluster.services.evidence import digest, entry_of
from common.signatures import Purpose, read_keys, succeed
from tests.cluster.site import LEASE, LOGIN, Speaker, checks

pytestmark = pytest.mark.django_db


def test_a_verb_is_one_command_however_often_it_is_ordered(speaker: Speaker) -> None:
    speaker.hello()
    assert speaker.order("verify") == speaker.order("verify")
    assert speaker.order("verify", 2) != speaker.order("verify")
    assert NodeCommand.objects.count() == 2


def test_the_agent_believes_what_the_portal_signed_and_nothing_else(speaker: Speaker) -> None:
    pinned = speaker.hello()["signing_key"]
    envelope = signing.envelope(speaker.order("grant", 4))
    command = open_envelope(envelope, pinned)
    assert (command.node, command.verb, command.lease, command.generation) == ("gpu-01", "grant", LEASE, 4)
    assert (command.login, command.device_uuids) == (LOGIN, tuple(speaker.uuids))
    forged = json.dumps({**json.loads(envelope["command"]), "generation": 5})
    with pytest.raises(CommandRefused):
        open_envelope({**envelope, "command": forged}, pinned)


def test_what_the_portal_signed_for_something_else_is_no_command(speaker: Speaker) -> None:
    pinned = speaker.hello()["signing_key"]
    told = signing.envelope(speaker.order("grant"))
    for purpose in Purpose:
        other = {**told, "signature": signing.signature(purpose, told["command"])}
        if purpose is Purpose.COMMAND:
            assert open_envelope(other, pinned).verb == "grant"
        else:
            with pytest.raises(CommandRefused):
                open_envelope(other, pinned)


def test_a_node_is_led_from_the_key_that_it_has_pinned_to_the_one_of_now(speaker: Speaker, settings: Any) -> None:
    pinned = speaker.hello()["signing_key"]
    words = [base64.b64encode(settings.NODE_SIGNING_KEY).decode()]
    for _change in range(2):
        words = succeed(words, Ed25519PrivateKey.generate().private_bytes_raw(), endorsed=True)
    settings.NODE_SIGNING_KEY, settings.EARLIER_SIGNING_KEYS = read_keys(words)
    for said in (speaker.heartbeat(), speaker.hello()):
        assert said["signing_key"] != pinned and len(said["succession"]) == 2
        assert leads_to(pinned, said["signing_key"], said["succession"])
    words = succeed(words, Ed25519PrivateKey.generate().private_bytes_raw(), endorsed=False)
    settings.NODE_SIGNING_KEY, settings.EARLIER_SIGNING_KEYS = read_keys(words)
    said = speaker.heartbeat()
    assert said["succession"] == [], "a key that was stolen vouches for none"
    assert signing.is_ours(pinned)


def test_steps_tell_how_far_a_lease_has_come(speaker: Speaker) -> None:
    speaker.hello()
    driver, order = engine_for(speaker.node.pool), speaker.lease_order()
    assert {step.state for step in driver.observe(order).values()} == {"none"}
    command = speaker.order("verify")
    assert driver.observe(order)["verify"].state == "waiting"
    speaker.answer(command)
    step = driver.observe(order)["verify"]
    assert (step.state, [report.passed for report in step.reports]) == ("done", [True, True])
    assert driver.observe(speaker.lease_order(2))["verify"].state == "none"


def test_a_failure_says_where_and_why(speaker: Speaker) -> None:
    speaker.hello()
    bad = speaker.uuids[1]
    speaker.answer(speaker.order("verify"), "failed", result={"checks": checks(speaker.uuids, bad=(bad,))})
    step = engine_for(speaker.node.pool).observe(speaker.lease_order())["verify"]
    assert (step.state, step.failures) == ("failed", (f"gpu-01: {bad}: no_processes",))


def test_a_command_nobody_answers_expires_and_a_late_answer_changes_nothing(speaker: Speaker) -> None:
    speaker.hello()
    command = speaker.order("grant")
    assert expire_late(timezone.now()) == 0
    assert expire_late(timezone.now() + timedelta(minutes=2)) == 1
    step = engine_for(speaker.node.pool).observe(speaker.lease_order())["grant"]
    assert (step.state, step.failures) == ("failed", ("gpu-01: no answer in time",))
    assert speaker.answer(command).data["state"] == "expired"
    assert speaker.heartbeat()["commands"] == []


def reshape(speaker: Speaker, leaving: str, **result: Any) -> Step:
    """Have the first of two devices kept and the second given up; the step after the node's answer."""
    keeps = next(uuid for uuid in speaker.uuids if uuid != leaving)
    order = replace(
        speaker.lease_order(3), devices={speaker.node.name: (keeps,)}, leaving={speaker.node.name: (leaving,)}
    )
    driver = engine_for(speaker.node.pool)
    driver.reshape(order, deadline_at=timezone.now() + timedelta(minutes=1))
    command = NodeCommand.objects.get(verb="reshape")
    pinned = signing.public_key()
    told = open_envelope(signing.envelope(command), pinned)
    assert (told.device_uuids, told.leaving) == ((keeps,), (leaving,))
    speaker.answer(command, result=result)
    return driver.observe(order)["reshape"]


def test_devices_change_hands_with_evidence_of_those_that_left(speaker: Speaker) -> None:
    speaker.hello()
    speaker.answer(speaker.order("grant"))
    keeps, leaves = speaker.uuids
    at = time.time()
    step = reshape(speaker, leaves, left={leaves: at}, checks=checks([leaves]))
    assert step.state == "done" and step.left_at == {leaves: datetime.fromtimestamp(at, UTC)}
    evidence = Handover.objects.get()
    assert (evidence.device.uuid, evidence.moment, evidence.passed) == (leaves, "end", True)
    event = AuditEvent.objects.get(verb="command.reshape")
    assert event.changes["evidence"] == {leaves: digest(entry_of(evidence))}
    grant = Grant.objects.get()
    assert grant.device_uuids == [keeps] and grant.revoked_at is None


def test_a_dirty_device_has_left_all_the_same(speaker: Speaker) -> None:
    speaker.hello()
    leaves = speaker.uuids[1]
    step = reshape(speaker, leaves, left={leaves: time.time()}, checks=checks([leaves], bad=(leaves,)))
    assert step.state == "done" and [report.passed for report in step.reports] == [False]


@pytest.mark.parametrize("what", ["left", "checks"])
def test_a_device_of_which_nothing_is_said_has_not_left(speaker: Speaker, what: str) -> None:
    speaker.hello()
    keeps, leaves = speaker.uuids
    said: dict[str, Any] = {"left": {leaves: time.time()}, "checks": checks([leaves])}
    said[what] = {keeps: time.time()} if what == "left" else checks([keeps])
    step = reshape(speaker, leaves, **said)
    assert step.state == "failed" and step.failures == ("gpu-01: evidence_missing",)
