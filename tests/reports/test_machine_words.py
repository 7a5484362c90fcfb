"""Every kind of event has a sentence in both languages; the agent's health and the topology are said in words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.utils import timezone, translation

from cluster.event_words import PLAIN, WORDS, event_words
from cluster.models import Device, DeviceEvent
from reports.templatetags.machine_words import agent_rows, mig_layout, topology_rows
from tests.factories.cluster import PoolFactory, make_node

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("agent", "cluster/services")


@pytest.fixture
def in_english() -> Iterator[None]:
    """The tests' site is Korean."""
    with translation.override("en"):
        yield


def _texts(value: ast.AST) -> list[str]:
    """A plain word, or those of `a if … else b`."""
    if isinstance(value, ast.IfExp):
        return [*_texts(value.body), *_texts(value.orelse)]
    return [value.value] if isinstance(value, ast.Constant) and isinstance(value.value, str) else []


def kinds() -> set[str]:
    """Event kinds as the agent and the machines' services write them: `kind=`, `"kind":` and `kind = a if … else b`."""
    found: set[str] = set()
    for folder in FOLDERS:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                pairs: list[tuple[object, ast.AST]] = []
                if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
                    *("create", "DeviceEvent"),
                ):
                    pairs = [(word.arg, word.value) for word in node.keywords]
                if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "_event":
                    pairs = [("kind", value) for value in node.args if isinstance(value, ast.Constant)][:1]
                if isinstance(node, ast.Dict):
                    pairs = [
                        (getattr(key, "value", None), value) for key, value in zip(node.keys, node.values, strict=True)
                    ]
                if isinstance(node, ast.Assign):
                    pairs = [(getattr(target, "id", None), node.value) for target in node.targets]
                found |= {word for name, value in pairs if name == "kind" for word in _texts(value)}
    return found - {"revoked"}


def test_every_kind_has_its_sentence() -> None:
    assert {"nvml_stalled", "samples_dropped", "part_restarted", "no_inventory", "new_boot", "clock_skew"} <= kinds()
    assert kinds() - {"xid"} <= {*PLAIN, *WORDS}


@pytest.mark.parametrize("kind", [*PLAIN, *WORDS])
def test_a_sentence_is_said_in_korean_with_and_without_its_figures(kind: str) -> None:
    with translation.override("en"):
        english = event_words(SimpleNamespace(kind=kind, detail={}))
    with translation.override("ko"):
        assert event_words(SimpleNamespace(kind=kind, detail={})) not in (kind, english)
    assert "%" not in event_words(SimpleNamespace(kind=kind, detail={"from": 1.0, "until": None}))


@pytest.mark.django_db
def test_the_agents_health_has_units_and_gaps(in_english: None) -> None:
    node = make_node(PoolFactory(), devices=2)
    assert {row.value for row in agent_rows(node)} <= {"–", "none", "– / –"}
    first = node.devices.order_by("index").first()
    assert first is not None
    node.agent_health = {
        "memory_mib": 91.26,
        "clock_skew_seconds": -0.004,
        "parts": {"worker": {"restarts": 2, "why": "ended with -9"}},
        "sampler": {"silent": [first.uuid], "last_success": {first.uuid: timezone.now().timestamp()}, "cost_p50_us": 3},
    }
    said = {str(row.name): row.value for row in agent_rows(node)}
    assert said["Memory, MiB"] == "91.3" and said["GPUs that do not answer"] == str(first.index)
    assert (
        said["Parts started again"] == "worker 2 (ended with -9)" and said["A call takes, µs (half / 99 %)"] == "3 / –"
    )


@pytest.mark.django_db
def test_the_topology_is_a_square(in_english: None) -> None:
    node = make_node(PoolFactory(), devices=2)
    one, two = node.devices.order_by("index")
    node.topology = {one.uuid: {two.uuid: "NODE"}, two.uuid: {one.uuid: "NODE"}}
    type(one).objects.filter(pk=one.pk).update(facts={"numa_node": 1, "mig_capable": True, "mig_enabled": False})
    rows = topology_rows(node)
    assert [row.cells for row in rows] == [["X", "NODE"], ["NODE", "X"]]
    assert (rows[0].numa_node, rows[0].mig, rows[1].mig) == ("1", "off", "–")


@pytest.mark.django_db
def test_an_xid_is_said_with_what_it_means(in_english: None) -> None:
    event = DeviceEvent(kind="xid", detail={"xid": 79})
    assert event_words(event) == "XID 79: The GPU has fallen off the bus"
    assert event_words(DeviceEvent(kind="xid", detail={"xid": [1]})) == "XID [1]"


def test_a_mig_layout_is_told_by_its_instances() -> None:
    device = Device(facts={})
    assert mig_layout(device) == "–"
    device.facts = {"mig_capable": True, "mig_enabled": False}
    with translation.override("en"):
        assert mig_layout(device) == "off"
        device.facts |= {"mig_enabled": True}
        assert mig_layout(device) == "on, no instances"
    device.facts["mig_instances"] = [{"profile": name} for name in ("3g.40gb", "1g.10gb", "1g.10gb")]
    assert mig_layout(device) == "3g.40gb, 1g.10gb × 2"
