"""What we stand on is locked, named and explained."""

import ast
import re
import sys
from importlib import metadata

import pytest

from tests.architecture.tree import ROOT


def _direct(name: str) -> list[str]:
    names = []
    for line in (ROOT / name).read_text().splitlines():
        match = re.match(r"[A-Za-z0-9_.-]+", line.strip())
        if match and not line.startswith(("#", "-")):
            names.append(match.group().lower())
    return names


def test_the_deprecated_pynvml_distribution_is_absent() -> None:
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.version("pynvml")
    assert metadata.version("nvidia-ml-py")


@pytest.mark.parametrize("name", ["requirements", "requirements-dev", "requirements-agent"])
def test_every_direct_requirement_is_locked_by_hash(name: str) -> None:
    lock = (ROOT / f"{name}.txt").read_text()
    for requirement in _direct(f"{name}.in"):
        assert re.search(rf"^{re.escape(requirement)}(\[.*\])?==.*\\\n +--hash=sha256:", lock, re.MULTILINE), (
            requirement
        )


def test_every_direct_requirement_is_explained() -> None:
    page = (ROOT / "docs/dependencies.md").read_text().lower()
    missing = [
        name for source in ("requirements.in", "requirements-dev.in") for name in _direct(source) if name not in page
    ]
    assert not missing, f"docs/dependencies.md says nothing of {missing}"


def test_the_law_names_its_top_level_folders() -> None:
    for name in (
        "manage.py",
        "portal",
        "allocations",
        "projects",
        "templates",
        "static",
        "tests",
        "docker-compose.yml",
    ):
        assert (ROOT / name).exists(), name


def test_a_node_installs_what_its_agent_imports_and_no_web_framework() -> None:
    lock = (ROOT / "requirements-agent.txt").read_text()
    installed = {re.sub(r"[-_.]+", "-", name.lower()) for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)}
    assert installed and not {"django", "psycopg2-binary", "djangorestframework"} & installed
    providers, imported = metadata.packages_distributions(), set()
    for path in (ROOT / "agent").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            imported |= {name.partition(".")[0] for name in names}
    third_party = imported - set(sys.stdlib_module_names) - {"agent"}
    assert third_party >= {"pynvml", "celery", "httpx"}
    for module in third_party:
        assert {re.sub(r"[-_.]+", "-", name.lower()) for name in providers[module]} & installed, module
