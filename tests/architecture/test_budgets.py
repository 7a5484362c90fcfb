"""Files and functions stay small enough to be read at a sitting."""

import ast

import pytest

from tests.architecture.tree import ROOT, sources, tracked

FILE_WALL = 500
FUNCTION_WALL = 60
FORBIDDEN_NAMES = {"utils.py", "helpers.py", "manager.py", "handlers.py", "misc.py"}


def test_no_file_is_longer_than_the_wall() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (*sources(), *(p for p in tracked() if p.suffix == ".py" and "tests" in p.parts))
        if (lines := len(path.read_text().splitlines())) > FILE_WALL
    }
    assert not long, f"over {FILE_WALL} lines: {long}"


def test_no_function_is_longer_than_the_wall() -> None:
    long = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                if body and (lines := (node.end_lineno or 0) - body[0].lineno + 1) > FUNCTION_WALL:
                    long.append(f"{path.relative_to(ROOT)}:{node.name} {lines}")
    assert not long, f"over {FUNCTION_WALL} lines: {long}"


def test_no_file_is_a_drawer_for_everything() -> None:
    drawers = [str(path.relative_to(ROOT)) for path in tracked() if path.name in FORBIDDEN_NAMES]
    assert not drawers


def test_public_functions_of_services_and_selectors_say_what_they_do() -> None:
    silent = []
    for path in sources():
        if not any(part.startswith(("services", "selectors", "policy")) for part in path.parts):
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not ast.get_docstring(node):
                silent.append(f"{path.relative_to(ROOT)}:{node.name}")
    assert not silent, f"no docstring: {silent}"


@pytest.mark.parametrize("word", ["/work/", "/root/", "files.pythonhosted", "registry.npmjs"])
def test_the_project_names_no_machine_and_no_registry(word: str) -> None:
    named = []
    for path in tracked():
        if path == ROOT / "tests/architecture/test_budgets.py" or "vendor" in path.parts:
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if word in text:
            named.append(str(path.relative_to(ROOT)))
    assert not named, f"{word} stands in {named}"
