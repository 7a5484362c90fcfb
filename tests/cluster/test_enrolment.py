"""A node joins with a token of one use; its GPUs count once an operator has confirmed them."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone
from rest_framework.test import APIClient

from agent import join as agent_join
from audit.models import AuditEvent
from cluster.models import Device, GpuClass, JoinToken, Node
from cluster.selectors import bookable_devices
from cluster.services import enrolment
from cluster.services.nodes import register_node
from common.actors import SEED
from common.errors import Forbidden, RuleBroken, WrongState
from tests.cluster.site import Speaker
from tests.factories import Cast, PoolFactory, make_cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def ask_to_join(token: str) -> Any:
    """POST join/ as a new agent does."""
    return APIClient().post("/api/node/v1/join/", {"join_token": token}, format="json")


def joined(cast: Cast, expected: int | None = 2) -> Speaker:
    """A node that an operator has made and that has joined."""
    node, token = enrolment.create_node(
        actor=cast.operator, name="gpu-07", pool=PoolFactory(), expected_devices=expected
    )
    return Speaker(node, ask_to_join(token).data["token"])


def test_a_join_token_opens_the_door_once(cast: Cast) -> None:
    node, token = enrolment.create_node(actor=cast.operator, name="gpu-07", pool=PoolFactory(), expected_devices=2)
    assert (node.state, node.token_hash) == ("joining", None)
    assert token not in str(list(JoinToken.objects.values()))
    answer = ask_to_join(token)
    assert (answer.status_code, answer.data["node"]) == (201, "gpu-07")
    assert ask_to_join(token).status_code == 403
    speaker = Speaker(node, answer.data["token"])
    speaker.hello()
    assert {event.verb for event in AuditEvent.objects.all()} >= {"node.register", "node.join_token", "node.join"}
    assert token not in str(list(AuditEvent.objects.values("changes")))


@pytest.mark.parametrize("body", [{}, {"join_token": ""}, {"join_token": "x" * 300}, {"join_token": ["x"]}, []])
def test_a_malformed_ask_to_join_is_a_400(body: Any) -> None:
    assert APIClient().post("/api/node/v1/join/", body, format="json").status_code == 400


def test_old_unknown_and_replaced_join_tokens_are_refused(cast: Cast) -> None:
    node, first = enrolment.create_node(actor=cast.operator, name="gpu-07", pool=PoolFactory())
    second = enrolment.issue_join_token(actor=cast.operator, node=node)
    assert [ask_to_join(token).status_code for token in (first, "guessed")] == [403, 403]
    JoinToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert ask_to_join(second).status_code == 403


def test_a_joining_nodes_gpus_are_booked_only_once_an_operator_has_confirmed_them(cast: Cast) -> None:
    speaker = joined(cast)
    speaker.hello()
    pool = speaker.node.pool
    assert speaker.node.state == "joining" and not bookable_devices(pool).exists()
    seen = speaker.uuids[:1]
    enrolment.confirm_inventory(actor=cast.operator, node=speaker.node, uuids=seen)
    assert [device.uuid for device in bookable_devices(pool)] == seen, "only what the operator has seen"
    speaker.node.refresh_from_db()
    assert speaker.node.state == "ready"
    enrolment.confirm_inventory(actor=cast.operator, node=speaker.node, uuids=speaker.uuids[1:])
    assert bookable_devices(pool).count() == 2


def test_a_gpu_that_comes_later_waits_alone(cast: Cast) -> None:
    speaker = joined(cast, expected=None)
    speaker.hello()
    enrolment.confirm_inventory(actor=cast.operator, node=speaker.node, uuids=speaker.uuids)
    speaker.uuids.append("GPU-new")
    speaker.hello()
    assert speaker.node.state == "ready"
    assert {device.uuid for device in bookable_devices(speaker.node.pool)} == set(speaker.uuids[:2])
    assert Device.objects.get(awaiting_confirmation=True).uuid == "GPU-new"


def test_a_difference_from_what_was_bought_must_be_accepted(cast: Cast) -> None:
    speaker = joined(cast, expected=8)
    speaker.hello()
    GpuClass.objects.create(code="l40s", name="NVIDIA L40S", nvml_name="NVIDIA L40S", memory_mib=46_068)
    Device.objects.filter(uuid=speaker.uuids[0]).update(gpu_class=GpuClass.objects.get(code="l40s"))
    ask = {"actor": cast.operator, "node": speaker.node, "uuids": speaker.uuids}
    with pytest.raises(RuleBroken) as caught:
        enrolment.confirm_inventory(**ask)
    assert len(caught.value.facts["differences"]) == 2
    enrolment.confirm_inventory(**ask, accept_difference=True)
    speaker.node.refresh_from_db()
    assert speaker.node.state == "ready"


def test_what_the_node_does_not_report_cannot_be_confirmed(cast: Cast) -> None:
    speaker = joined(cast)
    speaker.hello()
    for uuids in ([], ["GPU-other"], [*speaker.uuids, "GPU-other"]):
        with pytest.raises(WrongState):
            enrolment.confirm_inventory(actor=cast.operator, node=speaker.node, uuids=uuids)


def test_a_rotated_token_kills_the_old_one_at_once(cast: Cast) -> None:
    speaker = joined(cast)
    new = enrolment.rotate_token(actor=cast.operator, node=speaker.node, reason="leaked")
    assert speaker.post("hello/", speaker.hello_body()).status_code == 401
    speaker.token = new
    speaker.hello()


def test_a_node_that_joins_anew_keeps_its_name_and_loses_its_old_token(cast: Cast) -> None:
    speaker = joined(cast)
    token = enrolment.issue_join_token(actor=cast.operator, node=speaker.node)
    speaker.hello()
    answer = ask_to_join(token)
    assert answer.data["node"] == speaker.node.name
    assert speaker.post("hello/", speaker.hello_body()).status_code == 401


def test_only_operators_enrol(cast: Cast) -> None:
    pool = PoolFactory()
    node, _token = enrolment.create_node(actor=cast.operator, name="gpu-07", pool=pool)
    for actor in (cast.owner, cast.officer, cast.auditor):
        for verb, fields in (
            (enrolment.create_node, {"name": "gpu-08", "pool": pool}),
            (enrolment.issue_join_token, {"node": node}),
            (enrolment.rotate_token, {"node": node, "reason": "x"}),
            (enrolment.confirm_inventory, {"node": node, "uuids": ["x"]}),
        ):
            with pytest.raises(Forbidden):
                verb(actor=actor, **fields)  # type: ignore[operator]
    with pytest.raises(RuleBroken):
        enrolment.create_node(actor=cast.operator, name="gpu-07", pool=pool)
    Node.objects.filter(pk=node.pk).update(state="retired")
    with pytest.raises(WrongState):
        enrolment.issue_join_token(actor=cast.operator, node=node)


def test_without_trust_a_registered_node_is_joining(db: None) -> None:
    speaker = Speaker(*register_node(actor=SEED, name="gpu-01", pool=PoolFactory(), trust_inventory=False))
    speaker.hello()
    assert speaker.node.state == "joining" and not bookable_devices(speaker.node.pool).exists()


@pytest.mark.django_db(transaction=True, available_apps=[app.name for app in apps.get_app_configs()])
def test_the_agent_fetches_its_token_and_forgets_the_join_token(live_server: Any, tmp_path: Path, capsys: Any) -> None:
    _node, token = enrolment.create_node(actor=SEED, name="gpu-07", pool=PoolFactory())
    once, forever = tmp_path / "join", tmp_path / "token"
    once.write_text(token + "\n")
    words = ["--portal", live_server.url, "--join-token-file", str(once), "--token-file", str(forever)]
    assert agent_join.main(words) == 0
    assert stat.S_IMODE(forever.stat().st_mode) == 0o600 and not once.exists()
    Speaker(Node.objects.get(), forever.read_text().strip()).hello()
    once.write_text(token)
    assert agent_join.main(words) == 1, "the node has a token"
    kept = forever.read_text()
    assert agent_join.main([*words[:-1], str(tmp_path / "other")]) == 1, "the join token was used"
    assert forever.read_text() == kept and not (tmp_path / "other").exists()
    assert "403" in capsys.readouterr().err
