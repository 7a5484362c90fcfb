"""A node as it is installed, on a real systemd: units, slices, pam_systemd, logind and sshd, booted in namespaces.

The machine itself is not touched: systemd runs over a copy of its files in memory, in PID, mount, network, IPC and
control group namespaces of its own.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.nodes import ROOT, wait_until

pytestmark = pytest.mark.xdist_group("linux-node")
HERE = Path(__file__).parent
BOOT_SECONDS = 120
NEEDED = ("/lib/systemd/systemd", "/lib/systemd/systemd-logind", "/usr/bin/dbus-daemon", "/usr/sbin/sshd", "/sbin/ip")
PYTHON = "/usr/bin/python3"  # the booted machine's: a virtual environment may lie where units may not look


def control_group() -> Path:
    """A new group of cgroup v2 for the boot; skips where there can be none."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    for _, where, kind, *_ in mounts:
        if kind == "cgroup2":
            group = Path(where) / f"bg-test-{secrets.token_hex(3)}"
            try:
                group.mkdir()
            except OSError as error:
                pytest.skip(f"no control group can be made for a systemd of our own: {error}")
            return group
    pytest.skip("no cgroup v2 on this machine: systemd 252 would not confine devices as on a node")


def why_not() -> str:
    """Why systemd cannot be booted here, or nothing."""
    if os.geteuid() != 0:
        return "booting systemd in namespaces needs root"
    if missing := [path for path in NEEDED if not Path(path).exists()]:
        return f"not installed: {', '.join(missing)}"
    if not list(Path("/").glob("lib/*/security/pam_systemd.so")):
        return "not installed: libpam-systemd"
    if not Path(PYTHON).exists():
        return f"not installed: {PYTHON}"
    asked = subprocess.run([PYTHON, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True)
    return "" if asked.stdout == b"True\n" else "the system's own Python is older than 3.11"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the booted machine answered, by name."""
    if reason := why_not():
        pytest.skip(reason)
    folder, answers, group = tmp_path_factory.mktemp("boot"), tmp_path_factory.mktemp("answers"), control_group()
    inside = f"/opt/bitgoeul/{(HERE / 'linux_inside.py').relative_to(ROOT)}"
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--uts", "--ipc", "--net"]
    words += ["bash", str(HERE / "linux_boot.sh"), str(folder), str(ROOT), inside, str(answers)]
    enter = f'echo $$ >{group}/cgroup.procs && exec "$@"'
    console = answers / "console"
    try:
        with console.open("wb") as out:
            boot = subprocess.Popen(["bash", "-c", enter, "boot", *words], stdout=out, stderr=out)
            wait_until(lambda: boot.poll() is not None or (answers / "over").exists(), BOOT_SECONDS)
            boot.kill()
            boot.wait()
        if not (answers / "said").exists():
            pytest.skip(f"systemd does not boot in namespaces here: {console.read_text()[-600:]}")
        lines = [json.loads(line) for line in (answers / "said").read_text().splitlines()]
        found = {line["name"]: line["value"] for line in lines}
        assert "end" in found, (found, (answers / "complaints").read_text()[-3000:], console.read_text()[-3000:])
        yield found
    finally:
        (group / "cgroup.kill").write_text("1")
        for below in sorted(group.glob("**/"), reverse=True):
            wait_until(lambda below=below: not (below / "cgroup.procs").read_text())
            below.rmdir()
        shutil.rmtree(answers, ignore_errors=True)


def test_the_installed_root_part_opens_leases(said: dict[str, Any]) -> None:
    assert said["trust"] == {}
    assert said["open bg-one"] == {"uid": 2_000_000, "home": "/var/lib/bitgoeul-homes/bg-one"}
    assert said["open bg-two"]["uid"] == 2_000_001


def test_a_session_is_in_the_leases_slice_and_opens_its_device_alone(said: dict[str, Any]) -> None:
    for number, login in enumerate(("bg-one", "bg-two")):
        group, *rest = said[f"look {login}"]
        assert f"/user.slice/user-{2_000_000 + number}.slice/session-" in group
        assert f"opens {number}" in rest and f"opens {1 - number}" not in rest
        assert any(f"/dev/nvidia{1 - number}: Operation not permitted" in line for line in rest)
    assert said["slice"] == [
        *("DeviceAllow=/dev/nvidia-uvm rw", "DeviceAllow=/dev/nvidia0 rw", "DeviceAllow=/dev/nvidiactl rw"),
        *("DevicePolicy=closed", "TasksMax=4096"),
    ]


def test_roots_own_sessions_open_devices_and_no_other_account_does(said: dict[str, Any]) -> None:
    assert (said["policy of 0"], said["policy of 1000"]) == ("DevicePolicy=auto", "DevicePolicy=closed")


def test_closing_ends_the_session_and_shuts_the_door(said: dict[str, Any]) -> None:
    assert said["session"] == "up"
    assert said["close"]["remaining"] == [] and said["close"]["killed"] >= 2
    assert said["shut"] == 255 and said["neighbour"] == "in"


def test_cleaning_leaves_neither_user_nor_slice(said: dict[str, Any]) -> None:
    assert said["clean"] == {}
    assert said["left"] == [["bg-two"], ["user-2000001.slice.d"]]
    assert said["overdue"] == ""
