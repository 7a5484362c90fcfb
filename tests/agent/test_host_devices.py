"""Settings of devices through the port to a host: the sandbox asks the driver itself, a real node has root ask it.

The driver is the simulator's. On the Linux host the agent's process has no right to change anything (NVML_SIM_ROOT=0);
root's process has it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.journal import Journal
from tests.agent.linux_node import LinuxNode, linux_node
from tests.simulator.nodes import ROOT, SimulatedNode, start_node

pytestmark = pytest.mark.xdist_group("linux-node")
PRELUDE = """
import sys
from pathlib import Path
from agent import nvml, preparation
from agent.device_records import NvmlError
from agent.host.base import HostError
from agent.host.linux import LinuxHost
from agent.host.root_part import RootPart
from agent.host.sandbox import SandboxHost
from agent.journal import Journal

folder, socket = Path(sys.argv[1]), sys.argv[2]
journal = Journal(folder / "state")
host = LinuxHost(journal, RootPart(Path(socket)), "", folder / "no_key") if socket else SandboxHost(folder, journal)
uuids, _ = nvml.enumerate_uuids()

def refused(act, *arguments):
    try:
        act(*arguments)
    except (HostError, NvmlError) as error:
        return error.code
    return "done"
"""
OFF = (
    ("nvmlDeviceSetPersistenceMode", 0),
    ("nvmlDeviceSetComputeMode", 2),
    ("nvmlDeviceSetPowerManagementLimit", 450_000),
)


class Site:
    """A host over a simulated driver, and an agent's process to ask it from."""

    def __init__(self, folder: Path, driver: SimulatedNode, node: LinuxNode | None) -> None:
        self.folder, self.driver, self.node = folder, driver, node
        self.journal = Journal(folder / "state")

    @property
    def uuids(self) -> list[str]:
        """The devices."""
        return self.driver.brain.uuids

    def agent(self, code: str, **variables: str) -> str:
        """Run code as the agent would: `host`, `nvml`, `uuids` and `refused` are there. Its output."""
        socket = str(self.node.folder / "run/root.sock") if self.node else ""
        surroundings = {**self.driver.env, "NVML_SIM_ROOT": "0" if self.node else "1", **variables}
        words = [sys.executable, "-c", PRELUDE + textwrap.dedent(code), str(self.folder), socket]
        ran = subprocess.run(words, env=surroundings, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    def hold(self, index: int) -> None:
        """A login has a device."""
        self.journal.begin("CMD-held", "L-held", 1, "grant")
        held = {"login": "bg-held", "device_uuids": [self.uuids[index]], "hard_end": time.time() + 600}
        self.journal.change_lease("L-held", phase="granted", **held)
        if self.node:
            self.node.root.ask("open", **self.node.opening("held", minors=(index,)))

    def let_go(self) -> None:
        """The login has it no more."""
        self.journal.change_lease("L-held", phase="revoked", ended_at=time.time())
        if self.node:
            self.node.root.ask("close", login=self.node.login("held"))

    def log(self) -> list[dict[str, Any]]:
        """What root wrote down."""
        assert self.node is not None
        return [json.loads(line) for line in (self.node.folder / "log/root.jsonl").read_text().splitlines()]


@contextmanager
def either_host(kind: str, folder: Path, profile: str) -> Iterator[tuple[SimulatedNode, LinuxNode | None]]:
    """Two simulated devices, and a node of real Linux users over them, or none for the sandbox."""
    driver = start_node(folder, profile, count=2)
    try:
        if kind == "sandbox":
            yield driver, None
            return
        with linux_node(driver.env) as node:
            yield driver, node
    finally:
        driver.stop()


@pytest.fixture(params=["sandbox", "linux"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with either_host(request.param, tmp_path, "h100_sxm_8") as (driver, node):
        yield Site(tmp_path, driver, node)


def test_a_device_is_put_in_order_by_whoever_may(site: Site) -> None:
    upset(site)
    said = site.agent(
        """
        actions = preparation.put_in_order(host, uuids[:1])[uuids[0]]
        print([(each.name, each.value, each.result) for each in actions])
        seen = nvml.reading(uuids[0])
        assert (seen.persistence_mode, seen.compute_mode, seen.power_limit_watts) == (True, "default", 700.0)
        assert preparation.put_in_order(host, uuids[:1]) == {uuids[0]: []}, "what is right is left alone"
        if socket:
            assert refused(nvml.set_compute_mode, uuids[0], "prohibited") == "NO_PERMISSION", "the agent itself may not"
        """
    )
    assert said == str(
        [("persistence_mode", "on", "done"), ("compute_mode", "default", "done"), ("power_limit", "700.0 W", "done")]
    )


def upset(site: Site) -> None:
    """Leave the first device as a tenant of another time might have."""
    calls = "\n".join(f"p.{name}(h, {value})" for name, value in OFF)
    code = f"import pynvml as p\np.nvmlInit()\nh = p.nvmlDeviceGetHandleByIndex(0)\n{calls}"
    subprocess.run([sys.executable, "-c", code], env=site.driver.env, check=True)


def test_every_setting_is_set_and_no_other_value(site: Site) -> None:
    site.agent(
        """
        host.set_device(uuids[0], "power_limit", 450)
        host.set_device(uuids[0], "compute_mode", "exclusive_process")
        host.set_device(uuids[0], "persistence_mode", False)
        host.set_device(uuids[0], "locked_clocks", None)
        seen, other = (nvml.device_facts(uuid) for uuid in uuids)
        assert (seen.power_limit_watts, seen.compute_mode, seen.persistence_mode) == (450, "exclusive_process", False)
        assert (other.power_limit_watts, other.compute_mode, other.persistence_mode) == (700, "default", True)
        for watts in (seen.power_min_watts - 1, seen.power_max_watts + 1):
            assert refused(host.set_device, uuids[0], "power_limit", watts) == "INVALID_ARGUMENT"
        for setting, value in (("compute_mode", "all"), ("power_limit", "450"), ("locked_clocks", 1), ("ecc", None)):
            assert refused(host.set_device, uuids[0], setting, value) in ("INVALID_ARGUMENT", "bad_request")
        unknown = "GPU-00000000-0000-0000-0000-000000000000"
        assert refused(host.set_device, unknown, "power_limit", None) == "NOT_FOUND"
        assert nvml.device_facts(uuids[0]) == seen, "nothing of that was done"
        """
    )


def test_nothing_is_changed_on_a_device_that_a_login_has(site: Site) -> None:
    site.hold(0)
    change = 'refused(host.set_device, uuids[0], "power_limit", 450)'
    site.agent(
        f"""
        assert {change} == "device_of_a_login"
        assert nvml.device_facts(uuids[0]).power_limit_watts == 700
        host.set_device(uuids[1], "power_limit", 450)
        """
    )
    site.let_go()
    assert site.agent(f"print({change})") == "done"


def test_a_device_that_hangs_or_is_refused_is_told_with_the_drivers_code(site: Site) -> None:
    site.driver.fault("nvml_error", call="nvmlDeviceSetComputeMode", code=4, count=1)
    site.agent('assert refused(host.set_device, uuids[0], "compute_mode", "default") == "NO_PERMISSION"')
    site.driver.fault("nvml_hang", call="nvmlDeviceSetComputeMode", seconds=60.0)
    site.agent(
        """
        assert refused(host.set_device, uuids[0], "compute_mode", "default") == "STALLED"
        host.set_device(uuids[1], "power_limit", 450)
        import os
        os._exit(0)  # a thread of the sandbox's is still inside
        """
    )


def test_root_writes_down_what_it_changes_before_and_after(tmp_path: Path) -> None:
    driver = start_node(tmp_path, "h100_sxm_8", count=1)
    try:
        with linux_node(driver.env) as node:
            site = Site(tmp_path, driver, node)
            site.agent('host.set_device(uuids[0], "power_limit", 450)')
            asked, done = site.log()[-2:]
            said = {"uuid": site.uuids[0], "change": ["power_limit", 450]}
            assert (asked["stage"], asked["verb"], asked["arguments"]) == ("asked", "device", said)
            assert (done["stage"], done["answer"]) == ("done", {"minor": 0, "was": 700.0})
            assert asked["call"] == done["call"] and asked["peer_uid"] == 0
    finally:
        driver.stop()


def test_what_is_given_up_does_not_come_back() -> None:
    code = (
        "import subprocess, ctypes; from agent.privileged.capabilities import *\n"
        "ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)\n"  # PR_SET_NO_NEW_PRIVS, as systemd sets it
        "give_up(SYS_ADMIN, MKNOD)\n"
        "print(open('/proc/self/status').read(), subprocess.check_output(['cat', '/proc/self/status'], text=True))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    sets = [int(line.split()[1], 16) for line in ran.stdout.splitlines() if line.startswith(("CapEff", "CapPrm"))]
    assert len(sets) == 4 and not any(each >> number & 1 for each in sets for number in (21, 27))
