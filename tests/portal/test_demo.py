"""The demo's runner: one clear line for each trouble, restarts what dies, leaves nothing."""

import base64
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from portal.demo.folder import reset
from portal.demo.options import DemoOptions, node_environment, read_options
from portal.demo.processes import parse_exports, portal_processes
from portal.demo.readiness import table
from portal.demo.secrets import keep_secrets
from portal.embedded import EmbeddedError
from portal.embedded.lock import FolderLock
from portal.embedded.process import Child, ChildSpec
from tests.folders import open_folder
from tests.portal.running import PATIENCE_SECONDS, run_demo, wait_for


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder("bitgoeul-demo-") as path:
        yield path


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
