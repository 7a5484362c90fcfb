"""The source files that the laws are about."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = (
    "common",
    "accounts",
    "audit",
    "notifications",
    "partners",
    "projects",
    "cluster",
    "telemetry",
    "allocations",
    "usage",
    "proposals",
    "reports",
    "portal",
)
PACKAGES = (*APPS, "agent", "simulator", "bench", "tools")


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the tree that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    return tuple(ROOT / name for name in listed if (ROOT / name).is_file())


def sources(*packages: str) -> list[Path]:
    """Our Python files in these packages, migrations left out."""
    wanted = packages or PACKAGES
    return [
        path
        for path in tracked()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in wanted and "migrations" not in path.parts
    ]
