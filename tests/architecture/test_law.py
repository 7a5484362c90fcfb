"""What the law says of the code, held against the code."""

import re

from django.conf import settings
from django.utils.module_loading import import_string

from cluster.lifecycle import NODE
from cluster.models import Node
from tests.architecture.tree import ROOT

APPS = (
    "accounts",
    "allocations",
    "audit",
    "cluster",
    "notifications",
    "partners",
    "projects",
    "proposals",
    "telemetry",
    "usage",
)
LAW = (ROOT / "docs/architecture.md").read_text()


def test_every_question_to_a_higher_floor_is_in_the_law_and_leads_somewhere() -> None:
    for name in (
        "GPU_CLASS_CHOICES",
        "COMMITTED_FIGURES",
        "DEVICES_IN_WORK",
        "HELD_BACK",
        "PROGRESS_ACCEPTED",
        "CALLS_OF_PROPOSALS",
        "PROPOSAL_NAME",
        "PROJECT_USE",
    ):
        assert f"`{name}" in LAW and callable(import_string(getattr(settings, name)))
    assert f'`COMMITTED_FIGURES="{settings.COMMITTED_FIGURES}"`' in LAW


def test_the_way_back_of_a_node_is_written_down_as_it_is_built() -> None:
    assert NODE.next("fenced", "confirm_clean") == "ready"
    assert NODE.next("fenced", "confirm_clean_drained") == "draining"
    assert Node._meta.get_field("drained").get_internal_type() == "BooleanField"
    assert "suspect -> unreachable -> fenced -> ready | draining" in LAW and "`Node.drained`" in LAW


def test_the_invariants_are_numbered_through() -> None:
    section = LAW.split("## The invariants", 1)[1].split("\n## ", 1)[0]
    numbers = [int(found) for found in re.findall(r"^(\d+)\. \*\*", section, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 6


def test_rows_are_locked_without_shutting_out_what_refers_to_them() -> None:
    found = 0
    for path in (path for app in APPS for path in (ROOT / app).rglob("*.py")):
        for call in re.findall(r"select_for_update\(((?:[^()]|\([^()]*\))*)\)", path.read_text()):
            found += 1
            assert "no_key=True" in call, f"{path.relative_to(ROOT)}: {call}"
    assert found > 30
