"""Nodes: silence, the way back, and what an operator wants."""

from __future__ import annotations

import stat
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from audit.models import AuditEvent
from cluster.models import Node, Pool
from cluster.selectors import bookable_devices
from cluster.services.nodes import drain, hash_token, resume, watch_nodes
from common.actors import SEED
from common.errors import InvalidTransition
from tests.cluster.site import Speaker, checks
from tests.factories import PoolFactory

pytestmark = pytest.mark.django_db


def state_of(speaker: Speaker) -> str:
    """The node's state now."""
    speaker.node.refresh_from_db()
    return str(speaker.node.state)


def silence(speaker: Speaker, seconds: float) -> str:
    """The state after that much silence."""
    speaker.node.refresh_from_db()
    assert speaker.node.last_seen_at is not None
    watch_nodes(speaker.node.last_seen_at + timedelta(seconds=seconds))
    return state_of(speaker)


def test_silence_makes_a_node_suspect_and_then_unreachable(speaker: Speaker) -> None:
    speaker.hello()
    assert [silence(speaker, seconds) for seconds in (29, 31, 119, 121)] == [
        "ready",
        "suspect",
        "suspect",
        "unreachable",
    ]
    assert not bookable_devices(speaker.node.pool).exists()


def test_a_suspect_node_is_ready_again_when_it_speaks(speaker: Speaker) -> None:
    speaker.hello()
    silence(speaker, 31)
    speaker.heartbeat()
    assert state_of(speaker) == "ready"


def test_an_unreachable_node_proves_its_free_devices_first(speaker: Speaker) -> None:
    speaker.hello()
    silence(speaker, 31)
    silence(speaker, 121)
    assert sorted(speaker.heartbeat()["check"]) == sorted(speaker.uuids)
    assert state_of(speaker) == "fenced"
    speaker.heartbeat(checks=checks(speaker.uuids[:1]))
    assert state_of(speaker) == "fenced", "only one of two was looked at"
    speaker.heartbeat(checks=checks(speaker.uuids))
    assert state_of(speaker) == "ready"
    assert bookable_devices(speaker.node.pool).count() == 2


def test_what_is_not_clean_after_a_silence_is_quarantined(speaker: Speaker) -> None:
    speaker.hello()
    silence(speaker, 31)
    silence(speaker, 121)
    speaker.heartbeat()
    speaker.heartbeat(checks=checks(speaker.uuids, bad=(speaker.uuids[0],)))
    assert (state_of(speaker), speaker.states()) == ("ready", ["quarantined", "available"])


def test_a_fenced_node_may_fall_silent_again(speaker: Speaker) -> None:
    speaker.hello()
    silence(speaker, 31)
    silence(speaker, 121)
    speaker.heartbeat()
    assert silence(speaker, 121) == "unreachable"


def test_a_drained_node_stays_drained_through_every_silence(speaker: Speaker) -> None:
    speaker.hello()
    drain(actor=SEED, node=speaker.node, reason="new fans")
    assert not bookable_devices(speaker.node.pool).exists()
    silence(speaker, 31)
    speaker.heartbeat()
    assert state_of(speaker) == "draining"
    silence(speaker, 31)
    silence(speaker, 121)
    speaker.hello()
    assert state_of(speaker) == "draining"
    resume(actor=SEED, node=speaker.node, reason="fans are in")
    assert state_of(speaker) == "ready"
    silence(speaker, 31)
    speaker.heartbeat()
    assert state_of(speaker) == "ready"


def test_a_node_is_not_drained_twice(speaker: Speaker) -> None:
    drain(actor=SEED, node=speaker.node, reason="one")
    with pytest.raises(InvalidTransition):
        drain(actor=SEED, node=speaker.node, reason="two")


def test_a_node_that_never_spoke_is_not_missed(speaker: Speaker) -> None:
    assert watch_nodes(timezone.now() + timedelta(days=1)) == 0


def test_enrolling_writes_the_token_once(tmp_path: Path) -> None:
    pool: Pool = PoolFactory(name="h100")
    path = tmp_path / "token"
    call_command("enroll_node", "gpu-09", "--pool", "h100", "--token-file", str(path), stdout=StringIO())
    token = path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    node = Node.objects.get(name="gpu-09")
    assert (node.token_hash, node.pool) == (hash_token(token), pool)
    assert AuditEvent.objects.filter(verb="node.register").exists()
    for name, other in (("gpu-09", "h100"), ("gpu-10", "nowhere")):
        with pytest.raises(CommandError):
            call_command("enroll_node", name, "--pool", other, "--token-file", str(tmp_path / "other"))
    assert path.read_text().strip() == token
