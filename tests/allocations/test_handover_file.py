"""The handover sheet as a signed file: the same from both skins, and what was altered is found."""

import base64
import copy
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.urls import reverse
from django.utils import translation

from allocations.models import Lease
from audit.models import AuditEvent
from cluster.models import Handover
from cluster.services import commands, signing
from cluster.services.evidence import canonical
from common.signatures import EarlierKey, Purpose
from portal.demo.secrets import make_signing_key
from tests.allocations.conftest import Stage
from tests.allocations.nodes import answer, pending
from tests.allocations.test_api import client as api_of
from tests.allocations.test_reconcile import go
from tests.allocations.test_views import sign_in
from tests.cluster.site import checks

pytestmark = pytest.mark.django_db


def prove(lease: Lease, verb: str) -> None:
    """Each node answers the waiting command of this verb with evidence, through the service that takes answers."""
    for command in pending(lease, verb):
        result = {"checks": checks(command.payload["device_uuids"])}
        commands.finish(
            node=command.node, command=command, generation=command.generation, outcome="done", result=result
        )


@pytest.fixture
def lease(stage: Stage) -> Lease:
    """Handed over, used, taken back."""
    lease = go(stage.book(2), stage.now + timedelta(minutes=55))
    prove(lease, "verify")
    go(lease, lease.starts_at)
    answer(lease, "grant")
    go(lease, lease.starts_at + timedelta(seconds=5))
    go(lease, lease.ends_at)
    answer(lease, "revoke")
    go(lease, lease.ends_at + timedelta(seconds=5))
    prove(lease, "reclaim")
    return go(lease, lease.ends_at + timedelta(seconds=20))


@pytest.fixture
def signed(stage: Stage, lease: Lease) -> dict[str, Any]:
    """As the page gives it."""
    answer = sign_in(stage.cast.owner).get(reverse("allocations:lease-handover-file", args=[lease.public_id]))
    assert answer["Content-Disposition"] == f'attachment; filename="handover-{lease.public_id}.json"'
    document: dict[str, Any] = json.loads(answer.content)
    return document


def verdict(tmp_path: Path, signed: Any, capsys: Any) -> str:
    """What the command says, in English."""
    path = tmp_path / "sheet.json"
    path.write_text(signed if isinstance(signed, str) else json.dumps(signed))
    try:
        with translation.override("en"):
            call_command("verify_handover", str(path))
    except CommandError as error:
        return str(error)
    return str(capsys.readouterr().out)


def test_both_skins_give_the_same_signed_evidence(stage: Stage, lease: Lease, signed: dict[str, Any]) -> None:
    assert api_of(stage.cast.owner).get(f"/api/v1/leases/{lease.public_id}/handover/").json() == signed
    document = signed["document"]
    assert document["lease"] == lease.public_id and len(document["devices"]) == 2
    for device in document["devices"]:
        assert device["start"]["moment"] == "start" and device["end"]["moment"] == "end"
        assert device["start"]["passed"] and device["start"]["device"] == device["uuid"]
    stranger = sign_in(stage.cast.outsider)
    assert stranger.get(reverse("allocations:lease-handover-file", args=[lease.public_id])).status_code == 404
    assert api_of(stage.cast.outsider).get(f"/api/v1/leases/{lease.public_id}/handover/").status_code == 404


def test_a_genuine_sheet_is_said_to_be_genuine(signed: dict[str, Any], tmp_path: Path, capsys: Any) -> None:
    assert "is genuine: signed by this portal, 4 entries as in the audit log" in verdict(tmp_path, signed, capsys)


def test_a_changed_word_is_found(signed: dict[str, Any], tmp_path: Path, capsys: Any) -> None:
    forged = copy.deepcopy(signed)
    forged["document"]["devices"][0]["end"]["passed"] = not forged["document"]["devices"][0]["end"]["passed"]
    assert "the document was altered" in verdict(tmp_path, forged, capsys)


def test_evidence_changed_in_the_database_is_found(
    stage: Stage, lease: Lease, signed: dict[str, Any], tmp_path: Path, capsys: Any
) -> None:
    Handover.objects.filter(lease_ref=lease.public_id, moment="end").update(checks=[])
    again = api_of(stage.cast.owner).get(f"/api/v1/leases/{lease.public_id}/handover/").json()
    said = verdict(tmp_path, again, capsys)
    assert "(end) is not the one in the audit log" in said  # rightly signed, and still not what the node said
    assert "is genuine" in verdict(tmp_path, signed, capsys)


def test_another_portals_signature_is_none(signed: dict[str, Any], tmp_path: Path, capsys: Any, settings: Any) -> None:
    settings.NODE_SIGNING_KEY = base64.b64decode(make_signing_key())
    assert "another key" in verdict(tmp_path, signed, capsys)
    settings.EARLIER_SIGNING_KEYS = (EarlierKey(signed["signature"]["public_key"], ""),)
    assert "is genuine" in verdict(tmp_path, signed, capsys), "the same portal, after its key was changed"


def test_a_signature_for_something_else_is_none(signed: dict[str, Any], tmp_path: Path, capsys: Any) -> None:
    value = signing.signature(Purpose.STATEMENT, canonical(signed["document"]))
    forged = {**signed, "signature": {**signed["signature"], "value": value}}
    assert "the document was altered" in verdict(tmp_path, forged, capsys)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"document": {}, "signature": {"public_key": "é"}}', "\x00"]
)
def test_what_is_no_sheet_is_refused_in_one_line(text: str, tmp_path: Path, capsys: Any) -> None:
    said = verdict(tmp_path, text, capsys)
    assert "cannot be read" in said or "no signed handover sheet" in said
    assert len(said.splitlines()) == 1


def test_the_digests_stand_in_the_audit_log(lease: Lease) -> None:
    kept = AuditEvent.objects.filter(verb__in=("command.verify", "command.reclaim"), changes__lease=lease.public_id)
    assert {len(digest) for event in kept for digest in event.changes["evidence"].values()} == {64}
