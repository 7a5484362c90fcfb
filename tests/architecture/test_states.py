"""A state changes in one way: service -> lifecycle table."""

import ast
from pathlib import Path

from tests.architecture.tree import ROOT, sources
from tools.lifecycles import PAGE, lifecycles, page

TABLES = {
    "ASSIGNMENT",
    "REVIEW",
    "STEP",
    "DEVICE",
    "NODE",
    "COMMAND",
    "AGREEMENT",
    "ALLOCATION",
    "LEASE",
    "ADJUSTMENT",
    "PROGRESS_REPORT",
    "PROPOSAL",
    "RESHAPE",
    "WAIT",
    "PREPARED",
    "CHANGE",
    "IDLE_CASE",
    "IDLE_RULE",
}


def _is_lifecycle_call(value: ast.expr) -> bool:
    """`TABLE.next(...)`."""
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr == "next"
        and isinstance(value.func.value, ast.Name)
        and value.func.value.id in TABLES
    )


def _stray(path: Path) -> list[str]:
    found = []
    in_services = any(part.startswith("services") for part in path.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if isinstance(target, ast.Attribute) and target.attr == "state":
                own = isinstance(target.value, ast.Name) and target.value.id == "self"
                if own and path.parts[len(ROOT.parts)] in ("agent", "simulator"):
                    continue  # not one of the portal's nouns
                if not (in_services and node.value is not None and _is_lifecycle_call(node.value)):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_state_is_assigned_only_in_services_and_only_from_the_table() -> None:
    stray = [place for path in sources() for place in _stray(path)]
    assert not stray, f"state assigned past the lifecycle table: {stray}"


def test_update_never_writes_a_state() -> None:
    stray = []
    for path in sources(
        "partners", "projects", "cluster", "telemetry", "allocations", "usage", "proposals", "reports", "portal"
    ):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "update"
                and any(keyword.arg == "state" and not _is_lifecycle_call(keyword.value) for keyword in node.keywords)
            ):
                stray.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not stray


def test_lifecycle_tables_import_no_django() -> None:
    for path in sources():
        if path.name == "lifecycle.py" and path.parent.name != "common":
            assert "django" not in path.read_text(), path


def test_every_state_can_be_reached() -> None:
    for lifecycle in lifecycles():
        frontier = [lifecycle.initial, *lifecycle.other_initials]
        reached = set(frontier)
        while frontier:
            state = frontier.pop()
            for event in lifecycle.events_from(state):
                target = lifecycle.next(state, event)
                if target not in reached:
                    reached.add(target)
                    frontier.append(target)
        assert reached == set(lifecycle.states), lifecycle.noun


def test_the_pictures_in_the_docs_are_current() -> None:
    assert PAGE.read_text() == page(), "run: python -m tools.lifecycles"
