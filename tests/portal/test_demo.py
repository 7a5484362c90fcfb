"""The demo's runner: one clear line for each trouble, restarts what dies, leaves nothing."""

import base64
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from portal.demo.folder import reset
from portal.demo.options import DemoOptions, node_environment, read_options
from portal.demo.processes import parse_exports, portal_processes
from portal.demo.readiness import ask, table
from portal.demo.secrets import keep_secrets
from portal.embedded import EmbeddedError
from portal.embedded.lock import FolderLock
from portal.embedded.ports import free_port
from portal.embedded.process import Child, ChildSpec
from tests.folders import open_folder

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120.0


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder("bitgoeul-demo-") as path:
        yield path


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def demo_command(*arguments: str, **variables: str) -> tuple[list[str], dict[str, str]]:
    environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL", "MAKELEVEL")}
    return [sys.executable, "-m", "portal.demo", *arguments], {**environment, "NODES": "0", **variables}


def run_demo(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command, environment = demo_command(*arguments, **variables)
    return subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True)


def test_secrets_are_private_kept_and_fit_for_the_settings(folder: Path) -> None:
    path = folder / "secrets.json"
    kept = keep_secrets(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keep_secrets(path) == kept
    assert len(kept["SECRET_KEY"]) >= 50
    Ed25519PrivateKey.from_private_bytes(base64.b64decode(kept["NODE_SIGNING_KEY"]))
    key = load_ssh_private_key(base64.b64decode(kept["SSH_CA_KEY"]), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    assert all("\n" not in value for value in kept.values())


@pytest.mark.parametrize(("name", "value"), [("PORT", "eighty"), ("PORT", "0"), ("PORT", "70000"), ("NODES", "-1")])
def test_a_malformed_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(EmbeddedError, match=f"{name} must be a whole number"):
        read_options({name: value})


def test_a_node_sees_no_secret_of_the_portal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY", "DATABASE_URL", "SSH_CA_KEY", "NODE_SIGNING_KEY"):
        monkeypatch.setenv(name, "secret-of-the-portal")
    assert "secret-of-the-portal" not in node_environment(redis_url="redis://x").values()


def test_the_web_server_makes_no_control_socket_outside_the_demo(folder: Path) -> None:
    web = portal_processes(DemoOptions(folder, 8000, 0), {})[0]
    assert "--no-control-socket" in web.command


def test_exports_are_read_as_a_shell_would() -> None:
    assert parse_exports("export A=1\nexport B='two words'\n# no\n") == {"A": "1", "B": "two words"}


def test_columns_line_up_with_hangul() -> None:
    assert table([["가나", "x"], ["abcd", "y"]]) == ["  가나  x", "  abcd  y"]


def test_a_port_in_use_is_one_clear_line(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_demo(PORT=str(port), DEMO_DIR=str(folder))
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"bitgoeul: port {port} is in use: stop what listens there or choose another, PORT=8001"
    )


def test_reset_refuses_a_folder_that_is_no_demo_and_one_that_runs(folder: Path) -> None:
    assert reset(folder / "absent") is False
    (folder / "precious").write_text("x")
    with pytest.raises(EmbeddedError, match="does not look like a demo"):
        reset(folder)
    with FolderLock(folder / "demo.lock", what="a demo"), pytest.raises(EmbeddedError, match="already running"):
        reset(folder)
    assert (folder / "precious").exists()
    assert reset(folder) is True
    assert not folder.exists()


def test_a_child_that_keeps_dying_waits_longer_each_time(folder: Path) -> None:
    child = Child(ChildSpec("dies", [sys.executable, "-c", "raise SystemExit(3)"], folder))
    child.start()
    pauses = []
    for _ in range(3):
        assert child.process is not None
        child.process.wait()
        began = time.monotonic()
        while not child.restart_due():
            time.sleep(0.01)
        pauses.append(time.monotonic() - began)
        assert child.exit_text == "exit 3"
        child.start()
    child.stop()
    assert pauses[0] < pauses[1] < pauses[2]


def test_a_stopped_child_takes_its_session_with_it(folder: Path) -> None:
    script = "import subprocess, time; subprocess.Popen(['sleep', '300']); time.sleep(300)"
    child = Child(ChildSpec("parent", [sys.executable, "-c", script], folder))
    child.start()
    assert child.process is not None
    parent = psutil.Process(child.process.pid)
    wait_for(lambda: bool(parent.children()), "no grandchild")
    grandchildren = parent.children()
    child.stop()
    _, alive = psutil.wait_procs(grandchildren, timeout=PATIENCE_SECONDS)
    assert alive == []


PREPARING = "tables, the story and its accounts"


@pytest.mark.timeout(400)
def test_a_whole_demo_survives_a_killed_worker_dies_whole_with_its_runner_and_resumes(folder: Path) -> None:
    port = str(free_port())
    command, environment = demo_command(PORT=port, DEMO_DIR=str(folder))
    log = folder / "runner.out"
    with log.open("wb") as out:
        runner = subprocess.Popen(command, env=environment, cwd=REPOSITORY, stdout=out, stderr=out)
    started: list[psutil.Process] = []
    try:
        wait_for(lambda: runner.poll() is not None or ask(f"http://127.0.0.1:{port}/readyz")[0], "never ready")
        assert runner.poll() is None, log.read_text()
        wait_for(lambda: "Ctrl-C stops everything" in log.read_text(), "no greeting")
        assert f"http://127.0.0.1:{port}" in log.read_text()
        assert PREPARING in log.read_text()
        refused = run_demo("reset", DEMO_DIR=str(folder))
        assert refused.returncode == 1 and "already running" in refused.stderr
        worker = next(p for p in psutil.Process(runner.pid).children() if "worker" in p.cmdline())
        pool = worker.children(recursive=True)
        worker.kill()
        wait_for(lambda: "worker died (SIGKILL) and is started again" in log.read_text(), "worker not restarted")
        _, alive = psutil.wait_procs(pool, timeout=PATIENCE_SECONDS)
        assert alive == []
        started = psutil.Process(runner.pid).children(recursive=True)
        runner.kill()
        runner.wait()
        _, alive = psutil.wait_procs(started, timeout=PATIENCE_SECONDS)
        assert alive == []
        with log.open("wb") as out:
            runner = subprocess.Popen(command, env=environment, cwd=REPOSITORY, stdout=out, stderr=out)
        wait_for(lambda: "Ctrl-C stops everything" in log.read_text(), "not resumed")
        assert PREPARING not in log.read_text()  # the same code has prepared this database
        started = psutil.Process(runner.pid).children(recursive=True)
    finally:
        runner.kill()
        runner.wait()
        psutil.wait_procs(started, timeout=30)
    code = run_demo("otp", "officer@agency.example", DEMO_DIR=str(folder))
    assert re.match(r"\d{6}  \(for another \d+ s\)", code.stdout), code.stderr
