"""The demo's runner, as a person runs it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120.0


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Until it is so; fails with `what`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def demo_command(*arguments: str, **variables: str) -> tuple[list[str], dict[str, str]]:
    """(command, environment) of `python -m portal.demo`: with servers of its own, without nodes unless told."""
    left_out = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "PYTEST_CURRENT_TEST", "MAKELEVEL")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    return [sys.executable, "-m", "portal.demo", *arguments], {**environment, "NODES": "0", **variables}


def run_demo(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """To its end."""
    command, environment = demo_command(*arguments, **variables)
    return subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True)


def start_demo(log: Path, **variables: str) -> "subprocess.Popen[bytes]":
    """Start it and leave it running; what it says goes to `log`, from its beginning."""
    command, environment = demo_command(**variables)
    with log.open("wb") as out:
        return subprocess.Popen(command, env=environment, cwd=REPOSITORY, stdout=out, stderr=out)
